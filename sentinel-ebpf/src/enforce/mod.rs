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

/// Does something with the budget of a policy while no other CPU does. `None` when there is no such budget.
///
/// The verifier allows no call while the lock is held: everything in `change` must be inlined.
#[inline(always)]
fn with_budget<T>(policy: &Policy, change: impl FnOnce(&mut Budget) -> T) -> Option<T> {
    let budget = BUDGETS.get_ptr_mut(policy.budget)?;
    // SAFETY: the pointer comes from the map and is valid for the run of the program; the lock keeps others out. The
    // lock itself is never touched through the reference.
    unsafe {
        bpf_spin_lock((&raw mut (*budget).lock).cast());
        let result = change(&mut *budget);
        bpf_spin_unlock((&raw mut (*budget).lock).cast());
        Some(result)
    }
}
