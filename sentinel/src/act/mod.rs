//! From verdicts to plans, and from plans to outcomes.
//!
//! Owns what the agent does to the host: today the hooks of the config. A [`Verdict`](crate::judge::Verdict) comes in,
//! a [`Plan`] for each matching hook goes out, and an [`Outcome`] for each that ran. It never waits: hooks run beside
//! the agent, each in a process group of its own. Nothing runs unless `autonomy` is `auto` and no [`Veto`] forbids it.
//! What is done to cgroups is an [`action::Order`], carried out by an [`actuator::Actuator`] under a lease.
#![forbid(unsafe_code)]

pub mod action;
mod actor;
pub mod actuator;
mod environment;
mod hook;
mod ledger;
pub mod message;
pub mod outcome;
mod output;
pub mod plan;
mod process;
#[cfg(test)]
mod tests;
pub mod veto;

pub use self::{
    actor::Actor,
    outcome::{ActionResult, Outcome},
    output::TAIL_BYTES,
    plan::Plan,
    veto::{PlanContext, Veto},
};
