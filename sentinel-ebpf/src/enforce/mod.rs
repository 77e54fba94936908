//! Programs that refuse. They are loaded only when the agent may act, and attached only to a cgroup under a policy.
//!
//! The rules all of them keep: without a policy, or from its expiry on, everything passes; what cannot be read passes;
//! what another program denied stays denied. Every decision is counted in the scope's budget, under its lock.

use aya_ebpf::helpers::{
    bpf_ktime_get_ns,
    generated::{bpf_spin_lock, bpf_spin_unlock},
};
use sentinel_common::budget::{Budget, Policy};

use crate::maps::{BUDGETS, POLICIES};

mod admission;
mod inbound;
mod retry_budget;

/// The policy of the cgroup this program is attached to. Kernels make the entry when a program is attached, and user
/// space fills it later: until then its version is 0.
#[inline(always)]
fn policy() -> Policy {
    // SAFETY: an entry exists while the program is attached, and is replaced as a whole, never changed.
    unsafe { *POLICIES.get_ptr_mut() }
}

/// `CLOCK_MONOTONIC`.
#[inline(always)]
fn now_ns() -> u64 {
    // SAFETY: the helper takes nothing and only returns a number.
    unsafe { bpf_ktime_get_ns() }
}

/// The budget of a policy, while no other CPU touches it: locked until this is dropped.
///
/// Older verifiers allow no call while the lock is held, not even of a function of our own: what is done with it must be
/// inlined, and be nothing that becomes a call, as clearing an array does.
struct Locked(&'static mut Budget);

impl Locked {
    /// `None` when there is no such budget.
    #[inline(always)]
    fn of(policy: &Policy) -> Option<Self> {
        let budget = BUDGETS.get_ptr_mut(policy.budget)?;
        // SAFETY: the pointer comes from the map and is valid for the run of the program; the lock keeps others out, and
        // only the two helpers touch the lock itself.
        unsafe {
            bpf_spin_lock((&raw mut (*budget).lock).cast());
            Some(Self(&mut *budget))
        }
    }
}

impl Drop for Locked {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: it was locked when this was made.
        unsafe { bpf_spin_unlock((&raw mut self.0.lock).cast()) };
    }
}
