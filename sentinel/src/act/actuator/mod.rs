//! Hands: what does an order and undoes it. An [`Order`] comes in, a file of a cgroup changes, and what it said before
//! is kept until it is put back. Never decides whether an order is right, and never acts without a written record.
//!
//! [`CgroupActuator`] does the work. [`Guarded`] has it done by a process of its own, so that a change is undone in
//! time however the agent ends, also by `kill -9`, and while it hangs or is stopped.

mod cgroup;
mod directory;
mod error;
pub mod guard;
mod guarded;
mod journal;
mod knob;
mod restore;
#[cfg(test)]
mod tests;
mod wire;

pub use self::{
    cgroup::{CgroupActuator, CgroupOptions, MAX_LEASES},
    error::{ActuatorError, JournalError},
    guarded::{GuardOptions, Guarded},
    journal::DEFAULT_PATH as DEFAULT_JOURNAL,
    knob::Knob,
    restore::put_back_all,
};
use super::{
    action::{LeaseId, Order, Ttl},
    message::{Applied, PutBack},
};
use crate::time::Now;

/// Something that does orders and undoes them.
pub trait Actuator: Send {
    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// Does an order; it holds for the order's ttl from now.
    ///
    /// # Errors
    /// It was not done, and nothing is changed.
    fn apply(&mut self, order: &Order, now: Now) -> Result<Applied, ActuatorError>;

    /// Lets it hold for `ttl` from now.
    ///
    /// # Errors
    /// The lease is not held, or no longer: what it changed was undone.
    fn renew(&mut self, lease: &LeaseId, ttl: Ttl, now: Now) -> Result<(), ActuatorError>;

    /// Undoes it. A lease that has lapsed tells what came of it then.
    ///
    /// # Errors
    /// The lease was never held.
    fn revert(&mut self, lease: &LeaseId, now: Now) -> Result<PutBack, ActuatorError>;
}
