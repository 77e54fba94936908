//! From verdicts to plans, and from plans to outcomes.
//!
//! Owns what the agent does to the host: the hooks of the config, and actions on cgroups. A
//! [`Verdict`](crate::judge::Verdict) comes in, a [`Plan`] for each matching rule and hook goes out, and an [`Outcome`] for
//! each step. It never waits and has no rights: hooks run beside the agent, each in a process group of its own, and what is
//! done to cgroups is an [`action::Order`], carried out by the [`hands`] with an [`actuator::Actuator`], under a [`lease`];
//! both by another process, which is all that is [`privileged`]. Nothing runs unless `autonomy` is `auto`, or a person
//! approved it, and no [`Veto`] forbids it.
#![forbid(unsafe_code)]

pub mod action;
mod actor;
pub mod actuator;
pub mod control;
mod environment;
pub mod hands;
mod hook;
mod hooks;
pub mod lease;
mod ledger;
pub mod message;
pub mod outcome;
mod output;
pub mod plan;
pub mod privileged;
mod process;
pub mod runner;
#[cfg(test)]
mod tests;
pub mod veto;
mod waiting;

pub use self::{
    actor::Actor,
    lease::{LeaseView, Protected, WaitingView},
    outcome::{ActionResult, Outcome},
    output::TAIL_BYTES,
    plan::Plan,
    veto::{PlanContext, Veto},
};
