//! Admission of new connections, at a rate and at a share. Knows nothing of why.

use super::{MOST_PER_S, TOKEN};

/// Everything is admitted.
pub const SHARE_ALL: u32 = 1000;
/// The least that is admitted.
pub const SHARE_LEAST: u32 = SHARE_ALL / 4;
/// A step down takes this share of what is admitted: 5 %, as in DAGOR (Zhou et al., SoCC'18).
const STEP_DOWN_PERMILLE: u32 = 50;
/// A step up adds this share of everything: 1 %.
const STEP_UP: u32 = 10;
/// Admission not used is kept for this long: clients come in bursts, and what was idle for a second is not overloaded.
const ADMISSION_BURST_NS: u64 = 1_000_000_000;

/// The share after one step: down by 5 % of what is admitted when the scope is overloaded, else up by 1 % of everything.
#[must_use]
pub const fn step(share: u32, overloaded: bool) -> u32 {
    let share = clamped(share);
    let next = if overloaded {
        share - share * STEP_DOWN_PERMILLE / SHARE_ALL
    } else {
        share + STEP_UP
    };
    clamped(next)
}

#[inline(always)]
const fn clamped(share: u32) -> u32 {
    if share < SHARE_LEAST {
        SHARE_LEAST
    } else if share > SHARE_ALL {
        SHARE_ALL
    } else {
        share
    }
}

/// Admission of new connections: a rate with a small burst, and a share.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    at_ns: u64,
    balance: u64,
    /// What the share has paid in towards the next admission, of [`SHARE_ALL`].
    owed: u32,
    /// Padding.
    _pad: u32,
}

impl Admission {
    /// Admission that begins with nothing, now.
    #[must_use]
    pub(super) const fn starting(now_ns: u64) -> Self {
        Self {
            at_ns: now_ns,
            balance: 0,
            owed: 0,
            _pad: 0,
        }
    }

    /// Whether one more may come in.
    #[inline(always)]
    pub(super) fn admit(&mut self, now_ns: u64, per_s: u32, share: u32) -> bool {
        let by_share = self.owed + clamped(share);
        let chosen = by_share >= SHARE_ALL;
        self.owed = if chosen { by_share - SHARE_ALL } else { by_share };
        if per_s == 0 {
            return chosen;
        }
        self.refill(now_ns, per_s);
        if !chosen || self.balance < TOKEN {
            return false;
        }
        self.balance -= TOKEN;
        true
    }

    #[inline(always)]
    fn refill(&mut self, now_ns: u64, per_s: u32) {
        if now_ns <= self.at_ns {
            return;
        }
        let per_s = if per_s > MOST_PER_S { MOST_PER_S } else { per_s } as u64;
        let elapsed = now_ns - self.at_ns;
        let elapsed = if elapsed > ADMISSION_BURST_NS {
            ADMISSION_BURST_NS
        } else {
            elapsed
        };
        let most = per_s * ADMISSION_BURST_NS;
        let balance = self.balance + elapsed * per_s;
        self.balance = if balance > most { most } else { balance };
        self.at_ns = now_ns;
    }
}

const _: () = assert!(size_of::<Admission>() == 24);
