//! Admission of new connections to a scope that cannot finish what it has: what is above is dropped before a socket is
//! made for it.
//!
//! The client sees no answer: its `connect` takes as long as its own SYN is tried again (after 1 s, 3 s, 7 s, …), or
//! until its own time limit. An answer would be a reset, which clients meet with the next attempt at once.

use sentinel_common::budget::{LIMIT_ACCEPTS, Outcome, Policy};

use super::{Locked, now_ns};

/// Decides on one new connection.
#[inline(always)]
pub(super) fn admits(policy: &Policy) -> bool {
    if !policy.asks_for(LIMIT_ACCEPTS) {
        return true;
    }
    let now_ns = now_ns();
    if !policy.limits(LIMIT_ACCEPTS, now_ns) {
        return true;
    }
    let (finish_per_s, share) = (policy.finish_per_s, policy.share);
    let Some(locked) = Locked::of(policy) else { return true };
    let outcome = locked.0.accept(now_ns, finish_per_s, share);
    drop(locked);
    outcome != Outcome::Refused
}
