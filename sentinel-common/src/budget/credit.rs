//! Credit for connection attempts, brought by answers: what is not answered is not asked again and again. Knows nothing
//! of who answers.
//!
//! A budget that counts only what comes in cannot end an overload that sustains itself: what comes in is more than the
//! other side finishes, or its queue is full of requests nobody waits for any more, and both go on as long as the scope
//! is as loud as it may be. So an attempt needs a credit too. While nothing is answered a quarter of the work brings one,
//! the queue drains, and the first answers that are in time open the door again within a few round trips.

use super::TOKEN;

/// Credit is kept by the half second in which it came, and lives for two of them, that one included.
const SLICE_NS: u64 = 500_000_000;
/// What comes each half second in any case: one attempt a second, to hear when answers come again.
const PROBE: u64 = TOKEN / 2;
/// What one answered attempt brings: itself, and a fifth.
pub const ANSWER: u64 = TOKEN + TOKEN / 5;
/// Most that one half second may bring.
const MOST_PER_SLICE: u64 = 1_000_000_000 * TOKEN;

/// Credit of the last half second, and of the one before.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credit {
    slice: u64,
    now: u64,
    before: u64,
}

impl Credit {
    /// Credit that begins now, with one attempt.
    #[must_use]
    pub(super) const fn starting(now_ns: u64) -> Self {
        Self {
            slice: now_ns / SLICE_NS,
            now: TOKEN,
            before: 0,
        }
    }

    /// What can be spent, in parts of a token.
    #[must_use]
    pub const fn balance(&self) -> u64 {
        self.now + self.before
    }

    /// Goes on to now, and lets go of what is too old. A clock that lies behind changes nothing.
    #[inline(always)]
    pub(super) const fn advance(&mut self, now_ns: u64) {
        let slice = now_ns / SLICE_NS;
        if slice <= self.slice {
            return;
        }
        self.before = if slice == self.slice + 1 { self.now } else { PROBE };
        self.now = PROBE;
        self.slice = slice;
    }

    /// Pays in.
    #[inline(always)]
    pub(super) const fn pay(&mut self, amount: u64) {
        let room = MOST_PER_SLICE - self.now;
        self.now += if amount > room { room } else { amount };
    }

    /// True when there is enough for one attempt.
    #[inline(always)]
    pub(super) const fn suffices(&self) -> bool {
        self.balance() >= TOKEN
    }

    /// Spends for one attempt, the older first, where it [suffices](Self::suffices).
    #[inline(always)]
    pub(super) const fn take(&mut self) {
        let old = if self.before < TOKEN { self.before } else { TOKEN };
        self.before -= old;
        self.now = self.now.saturating_sub(TOKEN - old);
    }
}

const _: () = assert!(size_of::<Credit>() == 24);
const _: () = assert!(MOST_PER_SLICE <= u64::MAX / 4);
