//! A budget for connection attempts: each takes a token, and what is above the budget is refused at `connect`, before
//! anything is sent.
//!
//! Only stream sockets count. A UDP socket connects to ask a name server or to choose an address, and refusing that
//! would break more than a storm does.

use aya_ebpf::{
    helpers::generated::{bpf_get_retval, bpf_set_retval},
    macros::cgroup_sock_addr,
    programs::SockAddrContext,
};
use sentinel_common::budget::{LIMIT_BY_ANSWERS, LIMIT_CONNECTS, Outcome};

use super::{Locked, now_ns, policy};
use crate::offsets::CHOOSES_ERROR;

const ALLOW: i32 = 1;
const DENY: i32 = 0;
const SOCK_STREAM: u32 = 1;
const ECONNREFUSED: i32 = 111;

/// `connect` to an IPv4 address. Effect: above the budget it ends with `ECONNREFUSED`, or `EPERM` where the kernel
/// leaves no choice.
#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    connect(&ctx)
}

/// `connect` to an IPv6 address. Effect: as for IPv4.
#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    connect(&ctx)
}

#[inline(always)]
fn connect(ctx: &SockAddrContext) -> i32 {
    let policy = policy();
    if !policy.asks_for(LIMIT_CONNECTS) {
        return ALLOW;
    }
    // SAFETY: `sock_addr` is this program's context; the verifier checks the field.
    if unsafe { (*ctx.sock_addr).type_ } != SOCK_STREAM {
        return ALLOW;
    }
    let now_ns = now_ns();
    if !policy.limits(LIMIT_CONNECTS, now_ns) {
        return ALLOW;
    }
    if denied_before() {
        // The kernel keeps the denial and its error; allowing here changes neither, and takes no token.
        return ALLOW;
    }
    let (reserve_per_s, by_answers) = (policy.reserve_per_s, policy.asks_for(LIMIT_BY_ANSWERS));
    let Some(locked) = Locked::of(&policy) else {
        return ALLOW;
    };
    let outcome = locked.0.connect(now_ns, reserve_per_s, by_answers);
    drop(locked);
    if outcome == Outcome::Refused { refuse() } else { ALLOW }
}

/// Whether a program that ran before this one has denied.
///
/// The helper came with <https://git.kernel.org/torvalds/c/b44123b4a3dcad4664d3a0f72c011ffd4c9c4d93> (5.18), and later to
/// this hook: 6.1 has it there. Where the kernel does not tell, it keeps a denial all the same, and this attempt
/// takes a token.
#[inline(always)]
fn denied_before() -> bool {
    // SAFETY: the helper takes nothing and only returns a number. Where it is missing the constant is 0, and the
    // verifier removes the call.
    CHOOSES_ERROR.load() != 0 && unsafe { bpf_get_retval() } != 0
}

#[inline(always)]
fn refuse() -> i32 {
    if CHOOSES_ERROR.load() != 0 {
        // SAFETY: the helper takes a number; as above.
        unsafe { bpf_set_retval(-ECONNREFUSED) };
    }
    DENY
}
