//! Scopes in which nothing happens: they are not judged at every reading. What the readings had to say, that nothing was
//! counted, is kept back and given to the judges as one reading once a minute, or as soon as something happens.
//!
//! A scope rests when nothing was counted in it for a while and every one of its judges has come to rest, so that more of
//! the same changes nothing but what is learned. Never decides a level.

use crate::sense::sample::{Elapsed, Mem, Net, Sched};

use super::{
    evidence::SECOND_NS,
    fever::{Limits, OverHorizons},
    scope::{Input, ScopeState},
};

/// Time in which nothing is counted before a scope may rest: longer than any window of a few seconds looks back.
const CALM_NS: u64 = 15 * SECOND_NS;
/// The most that is kept back.
const KEPT_NS: u64 = 60 * SECOND_NS;
/// Parts of that over which scopes that came to rest together are spread.
const SPREAD: u64 = 16;

/// Time that was read, by sensor, and in how many readings. Grows only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Covered {
    ns: [u64; 3],
    readings: [u32; 3],
    /// When each was read last.
    end_ns: [u64; 3],
}

impl Covered {
    /// Takes in a reading.
    pub(super) fn add(&mut self, elapsed: &Elapsed, now_ns: u64) {
        let sensors = [elapsed.sched_ns, elapsed.mem_ns, elapsed.net_ns];
        for (index, ns) in sensors.into_iter().enumerate() {
            if let Some(ns) = ns {
                self.ns[index] = self.ns[index].wrapping_add(ns);
                self.readings[index] = self.readings[index].wrapping_add(1);
                self.end_ns[index] = now_ns;
            }
        }
    }

    /// What was read since.
    pub(super) fn since(&self, earlier: &Self) -> Kept {
        let ns = |index: usize| {
            let ns = self.ns[index].wrapping_sub(earlier.ns[index]);
            (ns > 0).then_some(ns)
        };
        Kept {
            elapsed: Elapsed {
                sched_ns: ns(0),
                mem_ns: ns(1),
                net_ns: ns(2),
            },
            readings: std::array::from_fn(|index| self.readings[index].wrapping_sub(earlier.readings[index])),
            end_ns: self.end_ns,
        }
    }
}

/// Readings that were kept back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) elapsed: Elapsed,
    /// By signal.
    pub(super) readings: [u32; 3],
    /// By signal.
    pub(super) end_ns: [u64; 3],
}

impl Kept {
    pub(super) fn is_empty(&self) -> bool {
        self.elapsed == Elapsed::default()
    }
}

/// One scope at rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resting {
    /// What was covered when it was judged last.
    pub(super) from: Covered,
    /// When it has to be judged, though nothing happened.
    pub(super) due_ns: u64,
    /// How it grew, for the host.
    pub(super) rises: OverHorizons,
}

impl Resting {
    /// Since `now_ns`; `key` spreads those that come to rest together.
    pub(super) fn new(from: Covered, now_ns: u64, key: u64, state: &ScopeState) -> Self {
        Self {
            due_ns: now_ns + KEPT_NS / SPREAD * (1 + key % SPREAD),
            ..Self::again(from, now_ns, state)
        }
    }

    /// It was judged, and goes on.
    pub(super) fn again(from: Covered, now_ns: u64, state: &ScopeState) -> Self {
        Self {
            from,
            due_ns: now_ns + KEPT_NS,
            rises: state.rises(),
        }
    }
}

/// For how long nothing has been counted in a scope, and what does not count as something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stillness {
    since_ns: Option<u64>,
    limits: Limits,
    throttles: bool,
}

impl Stillness {
    /// Takes in what a tick says about limits.
    pub(super) fn learn(&mut self, input: &Input<'_>) {
        (self.limits, self.throttles) = (input.limits, input.throttled_ns.is_some());
    }

    /// Whether a reading says that nothing happened; `tick` when it also tells limits.
    pub(super) fn is_still(&self, input: &Input<'_>, tick: bool) -> bool {
        input.sched.is_none_or(|sched| *sched == Sched::default())
            && input.net.is_none_or(|net| *net == Net::default())
            && input.mem.is_none_or(Mem::is_still)
            && input.throttled_ns.is_none_or(|ns| ns == 0)
            && input.worst_destination.is_none()
            && (!tick || input.limits == self.limits)
    }

    /// Follows; true when it has been still for long enough.
    pub(super) fn lasted(&mut self, still: bool, now_ns: u64) -> bool {
        if !still {
            self.since_ns = None;
            return false;
        }
        now_ns.saturating_sub(*self.since_ns.get_or_insert(now_ns)) >= CALM_NS
    }

    /// A reading of this scope in which nothing happened.
    pub(super) fn input<'a>(&self, elapsed: &Elapsed, zero: &'a Zero) -> Input<'a> {
        Input {
            sched: elapsed.sched_ns.map(|_| &zero.sched),
            mem: elapsed.mem_ns.map(|_| &zero.mem),
            net: elapsed.net_ns.map(|_| &zero.net),
            limits: self.limits,
            throttled_ns: self.throttles.then_some(0),
            worst_destination: None,
        }
    }
}

/// Nothing, as each sensor tells it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Zero {
    sched: Sched,
    /// What this kernel does not tell stays unknown.
    pub(super) mem: Mem,
    net: Net,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{config::Config, judge::JudgeConfig};

    #[test]
    fn what_is_kept_back_is_all_that_was_read_since() {
        let mut covered = Covered::default();
        let reading = Elapsed {
            sched_ns: Some(200),
            mem_ns: None,
            net_ns: Some(200),
        };
        let tick = Elapsed {
            mem_ns: Some(1000),
            ..reading
        };
        covered.add(&tick, 1000);
        let from = covered;
        assert!(covered.since(&from).is_empty());
        for (elapsed, now_ns) in [(reading, 1200), (reading, 1400), (tick, 2000)] {
            covered.add(&elapsed, now_ns);
        }
        covered.add(
            &Elapsed {
                mem_ns: None,
                sched_ns: None,
                ..reading
            },
            2200,
        );
        let kept = covered.since(&from);
        assert_eq!(kept.elapsed.sched_ns, Some(600));
        assert_eq!((kept.elapsed.mem_ns, kept.readings), (Some(1000), [3, 1, 4]));
        assert_eq!(
            kept.end_ns,
            [2000, 2000, 2200],
            "a sensor that is not read any more ended before"
        );
    }

    #[test]
    fn those_that_rest_together_are_not_judged_together() {
        let config = JudgeConfig::from(&Config::default());
        let state = ScopeState::new(&Arc::default(), &config, false);
        let due = |key: u64, now_ns: u64| now_ns >= Resting::new(Covered::default(), 0, key, &state).due_ns;
        let of = |now_ns: u64| (0..SPREAD).filter(|key| due(*key, now_ns)).count();
        assert_eq!((of(0), of(KEPT_NS / 2), of(KEPT_NS)), (0, 8, 16));
    }

    #[test]
    fn a_limit_that_is_as_it_was_is_nothing_and_another_is_something() {
        let zero = Zero::default();
        let mut stillness = Stillness::default();
        let elapsed = Elapsed {
            mem_ns: Some(1),
            ..Elapsed::default()
        };
        let mut input = stillness.input(&elapsed, &zero);
        assert!(stillness.is_still(&input, true));
        input.limits = Limits::of(&crate::sense::sample::ScopeSample {
            memory_max_bytes: Some(1 << 30),
            memory_current_bytes: Some(1 << 20),
            ..Default::default()
        });
        assert!(!stillness.is_still(&input, true));
        stillness.learn(&input);
        assert!(stillness.is_still(&input, true));
        input.throttled_ns = Some(5);
        assert!(!stillness.is_still(&input, true));
    }
}
