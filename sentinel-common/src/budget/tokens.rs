//! Tokens that live for ten seconds, the oldest spent first. Knows nothing of what they are spent on.

use super::MOST_PER_S;

/// One token: what one connection attempt costs.
pub const TOKEN: u64 = 1_000_000_000;
/// Tokens are kept by the second in which they came…
pub const SLICE_NS: u64 = 1_000_000_000;
/// …and live for this many of them, that one included: more than 9 s and at most 10 s.
pub const LIFE_SLICES: u64 = 10;
/// Most that one second may bring.
const MOST_PER_SLICE: u64 = 1_000_000_000 * TOKEN;

/// Slots of the ring of slices: a power of two that holds [`LIFE_SLICES`] and one that begins.
const RING: usize = 16;

/// Tokens of the last ten seconds. The oldest are spent first.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Until when the reserve is paid in.
    at_ns: u64,
    /// What can be spent.
    pub(super) balance: u64,
    /// What was spent and is not yet settled with a slice. A slice is settled when its time is over: what is spent was
    /// its, up to what it had, and the rest of it is lost.
    pub(super) spent: u64,
    /// What came, by second modulo [`RING`].
    pub(super) slices: [u64; RING],
}

impl Tokens {
    /// Tokens that begin with nothing, now.
    #[must_use]
    pub const fn starting(now_ns: u64) -> Self {
        Self {
            at_ns: now_ns,
            balance: 0,
            spent: 0,
            slices: [0; RING],
        }
    }

    /// What can be spent, in parts of a token.
    #[must_use]
    pub const fn balance(&self) -> u64 {
        self.balance
    }

    /// Pays in.
    #[inline(always)]
    pub(super) fn pay(&mut self, amount: u64) {
        let slice = &mut self.slices[index(self.at_ns / SLICE_NS)];
        let room = MOST_PER_SLICE - *slice;
        let amount = if amount > room { room } else { amount };
        *slice += amount;
        self.balance += amount;
    }

    /// Goes on to now: pays the reserve in and lets go of what is too old. A clock that stands still or lies behind, as
    /// one read before another CPU had the lock, changes nothing.
    #[inline(always)]
    pub fn advance(&mut self, now_ns: u64, reserve_per_s: u32) {
        if now_ns <= self.at_ns {
            return;
        }
        let per_s = if reserve_per_s > MOST_PER_S {
            MOST_PER_S
        } else {
            reserve_per_s
        } as u64;
        let (slice, before) = (now_ns / SLICE_NS, self.at_ns / SLICE_NS);
        if slice - before > LIFE_SLICES {
            // Everything is too old; so is the reserve from before the last ten seconds. One by one: to clear the ring
            // at once would be a call, which older verifiers do not take under a lock.
            for age in 0..LIFE_SLICES {
                self.settle(before.wrapping_sub(age));
            }
            self.at_ns = (slice - LIFE_SLICES) * SLICE_NS;
        }
        for _ in 0..LIFE_SLICES {
            let current = self.at_ns / SLICE_NS;
            if current >= slice {
                break;
            }
            let next_ns = (current + 1) * SLICE_NS;
            self.pay((next_ns - self.at_ns) * per_s);
            self.at_ns = next_ns;
            self.settle((current + 1).wrapping_sub(LIFE_SLICES));
        }
        self.pay((now_ns - self.at_ns) * per_s);
        self.at_ns = now_ns;
    }

    /// Ends the life of a slice.
    #[inline(always)]
    fn settle(&mut self, slice: u64) {
        let came = core::mem::replace(&mut self.slices[index(slice)], 0);
        let used = if came < self.spent { came } else { self.spent };
        self.spent -= used;
        self.balance -= came - used;
    }

    /// Spends a token, if there is one.
    #[inline(always)]
    pub(super) fn take(&mut self) -> bool {
        if self.balance < TOKEN {
            return false;
        }
        self.balance -= TOKEN;
        self.spent += TOKEN;
        true
    }
}

#[inline(always)]
const fn index(slice: u64) -> usize {
    (slice % RING as u64) as usize
}

const _: () = assert!(size_of::<Tokens>() == 152);
const _: () = assert!(RING.is_power_of_two() && RING as u64 > LIFE_SLICES);
const _: () = assert!(MOST_PER_SLICE <= u64::MAX / (LIFE_SLICES + 1));
