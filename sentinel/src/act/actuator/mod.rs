//! Hands: what does an order and undoes it. An [`Order`] comes in, a file of a cgroup changes, and what it said before
//! is kept until it is put back. Never decides whether an order is right, and never acts without a written record.
//!
//! [`Shedding`] has programs in the kernel limit connection attempts, and new connections. [`CgroupActuator`] writes files of cgroups, and
//! [`Guarded`] has it do so by a process of its own, so that a change is undone in
//! time however the agent ends, also by `kill -9`, and while it hangs or is stopped.

mod cgroup;
mod directory;
mod error;
pub mod guard;
mod guarded;
mod journal;
mod knob;
mod restore;
mod shedding;
mod sparing;
#[cfg(test)]
mod tests;
pub(super) mod wire;

pub use self::{
    cgroup::{CgroupActuator, CgroupOptions, MAX_LEASES},
    error::{ActuatorError, JournalError},
    guarded::{GuardOptions, Guarded},
    journal::{DEFAULT_PATH as DEFAULT_JOURNAL, pending_in},
    knob::Knob,
    restore::put_back_all,
    shedding::Shedding,
    sparing::Sparing,
};
use serde::{Deserialize, Serialize};

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

    /// Takes more or less, step by step, where an action does so: its scope is overloaded now, or is not.
    fn adjust(&mut self, lease: &LeaseId, overloaded: bool) {
        let _ = (lease, overloaded);
    }

    /// Undoes it. A lease that has lapsed tells what came of it then.
    ///
    /// # Errors
    /// The lease was never held.
    fn revert(&mut self, lease: &LeaseId, now: Now) -> Result<PutBack, ActuatorError>;

    /// Ends what has lapsed and that nobody else ends in time, and says what that was. To be called often.
    fn lapse(&mut self, now: Now) -> Vec<PutBack> {
        let _ = now;
        Vec::new()
    }

    /// What it refused and let through so far; `None` where nothing is refused, or the lease is not held.
    fn tally(&self, lease: &LeaseId) -> Option<Tally> {
        let _ = lease;
        None
    }
}

/// What became of what a lease limits, from its beginning on. Only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Refused.
    pub refused: u64,
    /// Let through.
    pub allowed: u64,
}
