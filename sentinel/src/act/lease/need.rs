//! Whether a lease is needed still: what its signal says and what is refused, over time. Pure; missing data is no reason
//! to go on, and none to end.

use crate::{act::actuator::Tally, judge::verdict::Level};

/// How long nothing may be wrong, and hardly anything refused, before a lease ends: longer than a storm takes to come back.
pub(super) const CALM_NS: u64 = 5_000_000_000;
/// Share of what came that was refused since the last look from which on the action is still needed: one in so many.
const STILL_NEEDED: u64 = 100;

/// What is known of the need for one lease.
#[derive(Debug)]
pub(super) struct Need {
    /// What was seen says that it is needed until then.
    until_ns: u64,
    calm_since_ns: Option<u64>,
    /// Whether its signal was at `watch` or above when it was last judged; `None` before that, and for a person's order.
    overloaded: Option<bool>,
    /// What it did so far, and whether something was refused since the last look.
    tally: Option<Tally>,
    refusing: bool,
}

impl Need {
    /// Needed until then, whatever is seen.
    pub(super) const fn until(until_ns: u64) -> Self {
        Self {
            until_ns,
            calm_since_ns: None,
            overloaded: None,
            tally: None,
            refusing: false,
        }
    }

    /// Takes in the level of its signal, which is good for so long; `None` when there is no such scope any more.
    pub(super) fn weigh(&mut self, level: Option<Level>, good_for_ns: u64, now_ns: u64) {
        let overloaded = match level {
            None | Some(Level::Unknown) => return,
            Some(Level::Nominal) => false,
            Some(Level::Watch | Level::Veto) => true,
        };
        let calm = !overloaded && !self.refusing;
        self.overloaded = Some(overloaded);
        self.until_ns = now_ns.saturating_add(good_for_ns);
        self.calm_since_ns = calm.then(|| self.calm_since_ns.unwrap_or(now_ns));
    }

    /// Takes in what was refused and let through, where the action refuses anything.
    pub(super) fn count(&mut self, tally: Option<Tally>) {
        let Some(tally) = tally else { return };
        let before = self.tally.unwrap_or_default();
        let refused = tally.refused.saturating_sub(before.refused);
        let all = refused + tally.allowed.saturating_sub(before.allowed);
        self.refusing = refused.saturating_mul(STILL_NEEDED) > all;
        self.tally = Some(tally);
    }

    /// Whether there is reason to renew.
    pub(super) const fn lasts(&self, now_ns: u64) -> bool {
        now_ns < self.until_ns
    }

    /// Whether nothing has been wrong for long enough to end it.
    pub(super) fn is_past(&self, now_ns: u64) -> bool {
        self.calm_since_ns
            .is_some_and(|since| now_ns.saturating_sub(since) >= CALM_NS)
    }

    /// Whether its scope is overloaded, as last judged.
    pub(super) const fn overloaded(&self) -> Option<bool> {
        self.overloaded
    }

    /// What it did so far.
    pub(super) const fn tally(&self) -> Option<Tally> {
        self.tally
    }
}
