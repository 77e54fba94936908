//! Policies of enforcement and the arithmetic of a decision: a budget for connection attempts, and the admission of
//! new connections. Integers only, no clock of its own, no allocation; the programs run it under a lock.
//!
//! Amounts are counted in parts of a token, 1/1,000,000,000 each: a rate per second times a time in nanoseconds is then
//! an amount, without a division and without a rest that gets lost.

mod admission;
mod credit;
mod tokens;

pub use admission::{Admission, SHARE_ALL, SHARE_LEAST, step};
pub use credit::{ANSWER, Credit};
pub use tokens::{LIFE_SLICES, SLICE_NS, TOKEN, Tokens};

use crate::pod;

/// The layout of [`Policy`]. Programs let everything pass under a policy of another one.
pub const POLICY_VERSION: u32 = 2;
/// Scopes under a policy at once.
pub const SCOPES: u32 = 64;

/// Bit of [`Policy::limits`]: connection attempts need a token.
pub const LIMIT_CONNECTS: u32 = 1;
/// Bit of [`Policy::limits`]: new connections from outside are admitted at a rate and a share.
pub const LIMIT_ACCEPTS: u32 = 2;
/// Bit of [`Policy::limits`], with [`LIMIT_CONNECTS`]: connection attempts need a credit too, which answers bring.
pub const LIMIT_BY_ANSWERS: u32 = 4;

/// Retries that are healthy, per thousand first attempts: 20 %, as in Finagle and Linkerd.
pub const RETRIES_PERMILLE: u64 = 200;
/// Tokens per second that come without any work: 10, as in Finagle and Linkerd.
pub const RESERVE_PER_S: u32 = 10;
/// Largest rate: with it, no amount of ten seconds comes near the largest number.
pub const MOST_PER_S: u32 = 1_000_000;
/// Most that one unit of work may bring.
pub const MOST_DEPOSIT: u64 = 100_000 * TOKEN;
/// So many are refused in a row at most: of any four that come, one passes, so at most 75 % is shed and recovery shows.
/// With [`LIMIT_BY_ANSWERS`] it is a quarter of the work that passes, not of the attempts it is turned into: with three
/// retries a quarter of the attempts is everything.
pub const MOST_IN_A_ROW: u32 = 3;

/// What may pass for one scope, until when. Written by user space, read by the programs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// [`POLICY_VERSION`]; 0 where there is no policy.
    pub version: u32,
    /// Bits: [`LIMIT_CONNECTS`], [`LIMIT_ACCEPTS`].
    pub limits: u32,
    /// `CLOCK_MONOTONIC`: from then on everything passes.
    pub expires_ns: u64,
    /// What a unit of inbound work brings: see [`deposit`].
    pub deposit: u64,
    /// Credit that a unit of inbound work brings, answered or not: see [`floor`].
    pub floor: u64,
    /// Index of the scope's [`Budget`].
    pub budget: u32,
    /// Tokens per second that come without any work.
    pub reserve_per_s: u32,
    /// New connections per second that are admitted; 0: only the share counts.
    pub finish_per_s: u32,
    /// Share of new connections that is admitted, of [`SHARE_ALL`].
    pub share: u32,
}

impl Policy {
    /// True when this policy limits this, now.
    #[inline(always)]
    #[must_use]
    pub const fn limits(&self, what: u32, now_ns: u64) -> bool {
        self.asks_for(what) && now_ns < self.expires_ns
    }

    /// True when this policy limits this while it lasts. Needs no clock.
    #[inline(always)]
    #[must_use]
    pub const fn asks_for(&self, what: u32) -> bool {
        self.version == POLICY_VERSION && self.limits & what != 0
    }
}

/// What a unit of inbound work brings: as many tokens as it usually causes attempts (the scope's own fan-out, per
/// thousand), and 20 % more for retries.
#[must_use]
pub const fn deposit(fan_out_permille: u32) -> u64 {
    let first = fan_out_permille as u64 * (TOKEN / 1000);
    let whole = first + first / 1000 * RETRIES_PERMILLE;
    if whole > MOST_DEPOSIT { MOST_DEPOSIT } else { whole }
}

/// Credit that a unit of inbound work brings, answered or not: a quarter of what it usually causes.
#[must_use]
pub const fn floor(fan_out_permille: u32) -> u64 {
    let quarter = fan_out_permille as u64 * (TOKEN / 1000) / 4;
    if quarter > MOST_DEPOSIT { MOST_DEPOSIT } else { quarter }
}

/// What became of one that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was within the budget.
    Within,
    /// It was above, and passed because so many before it had not.
    ByFloor,
    /// It was above.
    Refused,
}

/// What was decided under a policy. Each only grows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    /// Within the budget.
    pub within: u64,
    /// Above it, and let through: one of four always is.
    pub by_floor: u64,
    /// Refused.
    pub refused: u64,
}

impl Decisions {
    #[inline(always)]
    const fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Within => self.within = self.within.wrapping_add(1),
            Outcome::ByFloor => self.by_floor = self.by_floor.wrapping_add(1),
            Outcome::Refused => self.refused = self.refused.wrapping_add(1),
        }
    }
}

/// The kernel's spin lock; it knows it by this name and by its place in the value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct bpf_spin_lock {
    /// The kernel's own.
    pub val: u32,
}

/// State of one scope under a policy. Written by the programs, under its lock; user space sets it before a policy names it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Held for the length of a decision.
    pub lock: bpf_spin_lock,
    /// Attempts refused since the last that passed.
    connects_in_a_row: u32,
    /// New connections shed since the last that passed.
    accepts_in_a_row: u32,
    /// Padding.
    _pad: u32,
    /// For attempts.
    pub tokens: Tokens,
    /// For new connections.
    admission: Admission,
    /// What became of connection attempts.
    pub connects: Decisions,
    /// What became of new connections. A client that sends its SYN again counts again.
    pub accepts: Decisions,
    /// Units of inbound work that brought tokens.
    pub inbound: u64,
    /// Inbound packets that brought none because the kernel gave no storage for their socket.
    pub inbound_unseen: u64,
    /// Attempts that were answered, with [`LIMIT_BY_ANSWERS`].
    pub answered: u64,
    /// For attempts, with [`LIMIT_BY_ANSWERS`].
    pub credit: Credit,
}

impl Budget {
    /// A budget that begins now: attempts with the reserve of one second, admission with nothing.
    #[must_use]
    pub fn starting(now_ns: u64, reserve_per_s: u32) -> Self {
        let mut budget = Self {
            tokens: Tokens::starting(now_ns.saturating_sub(SLICE_NS)),
            ..Self::default()
        };
        budget.tokens.advance(now_ns, reserve_per_s);
        budget.admission = Admission::starting(now_ns);
        budget.credit = Credit::starting(now_ns);
        budget
    }

    /// Inbound work came: it brings tokens, and the credit that comes in any case.
    #[inline(always)]
    pub fn work(&mut self, now_ns: u64, reserve_per_s: u32, deposit: u64, floor: u64) {
        self.tokens.advance(now_ns, reserve_per_s);
        self.tokens
            .pay(if deposit > MOST_DEPOSIT { MOST_DEPOSIT } else { deposit });
        self.credit.advance(now_ns);
        self.credit.pay(if floor > MOST_DEPOSIT { MOST_DEPOSIT } else { floor });
        self.inbound = self.inbound.wrapping_add(1);
    }

    /// An attempt was answered: it brings credit.
    #[inline(always)]
    pub fn answer(&mut self, now_ns: u64) {
        self.credit.advance(now_ns);
        self.credit.pay(ANSWER);
        self.answered = self.answered.wrapping_add(1);
    }

    /// Decides on a connection attempt.
    #[inline(always)]
    pub fn connect(&mut self, now_ns: u64, reserve_per_s: u32, by_answers: bool) -> Outcome {
        self.tokens.advance(now_ns, reserve_per_s);
        let outcome = if by_answers {
            self.credit.advance(now_ns);
            if self.credit.suffices() && self.tokens.take() {
                self.credit.take();
                Outcome::Within
            } else {
                Outcome::Refused
            }
        } else {
            let within = self.tokens.take();
            decide(within, &mut self.connects_in_a_row)
        };
        self.connects.count(outcome);
        outcome
    }

    /// Decides on a new connection from outside.
    #[inline(always)]
    pub fn accept(&mut self, now_ns: u64, finish_per_s: u32, share: u32) -> Outcome {
        let within = self.admission.admit(now_ns, finish_per_s, share);
        let outcome = decide(within, &mut self.accepts_in_a_row);
        self.accepts.count(outcome);
        outcome
    }
}

/// At most [`MOST_IN_A_ROW`] are refused in a row.
#[inline(always)]
const fn decide(within: bool, in_a_row: &mut u32) -> Outcome {
    if within {
        *in_a_row = 0;
        Outcome::Within
    } else if *in_a_row >= MOST_IN_A_ROW {
        *in_a_row = 0;
        Outcome::ByFloor
    } else {
        *in_a_row += 1;
        Outcome::Refused
    }
}

/// What is kept with a socket under a policy, to tell requests that come in from packets of one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InboundSocket {
    /// [`crate::net::ROLE_UNKNOWN`] and so on.
    pub role: u32,
    /// Segments with data it had sent when the last request came: data that comes after more were is the next request.
    pub answered: u32,
    /// 1 once a request came, or an answer on an opened socket.
    pub asked: u32,
    /// 1 when the accept was counted, which stands for the first request.
    pub accepted: u32,
}

impl InboundSocket {
    /// Data came in on an opened socket; true when it is the first, and so the answer to the attempt.
    #[inline(always)]
    pub const fn answer(&mut self) -> bool {
        let first = self.asked == 0;
        self.asked = 1;
        first
    }

    /// Data came in on an accepted socket that has sent so many segments with data; true when it is a unit of work of its own.
    #[inline(always)]
    pub const fn request(&mut self, sent: u32) -> bool {
        if self.asked != 0 && self.answered == sent {
            return false;
        }
        let first = self.asked == 0;
        self.asked = 1;
        self.answered = sent;
        !(first && self.accepted != 0)
    }
}

pod!(Policy, Budget, InboundSocket);
const _: () = assert!(size_of::<Policy>() == 48);
const _: () = assert!(size_of::<Budget>() == 16 + 152 + 24 + 24 + 24 + 16 + 8 + 24);
const _: () = assert!(size_of::<InboundSocket>() == 16);

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
