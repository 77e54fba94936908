//! When hooks began, for cooldown and hourly cap. Bounded: what is older than both is forgotten.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::veto::HOUR_NS;
use crate::sense::sample::{Scope, ScopeKind};

/// A hook for a scope. The path counts, not the cgroup id: a service that restarts keeps its cooldown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Index of the hook.
    pub(super) hook: usize,
    pub(super) kind: ScopeKind,
    pub(super) path: String,
}

impl Key {
    pub(super) fn new(hook: usize, scope: &Scope) -> Self {
        Self {
            hook,
            kind: scope.kind,
            path: scope.path.clone(),
        }
    }
}

/// Starts of hooks, by `CLOCK_MONOTONIC` nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    last: BTreeMap<Key, u64>,
    starts: BTreeMap<usize, VecDeque<u64>>,
}

impl Ledger {
    /// Notes that a run begins, and forgets what no rule looks at any more.
    pub(super) fn record(&mut self, key: &Key, cooldown: Duration, now_ns: u64) {
        let cooldown_ns = u64::try_from(cooldown.as_nanos()).unwrap_or(u64::MAX);
        self.last
            .retain(|other, start| other.hook != key.hook || now_ns.saturating_sub(*start) < cooldown_ns);
        self.last.insert(key.clone(), now_ns);
        let starts = self.starts.entry(key.hook).or_default();
        while starts
            .front()
            .is_some_and(|start| now_ns.saturating_sub(*start) >= HOUR_NS)
        {
            starts.pop_front();
        }
        starts.push_back(now_ns);
    }

    /// Gives hooks other numbers, and forgets those that have none any more.
    pub(super) fn renumber(&mut self, place: &dyn Fn(usize) -> Option<usize>) {
        let last = std::mem::take(&mut self.last).into_iter();
        self.last = last
            .filter_map(|(key, at)| {
                Some((
                    Key {
                        hook: place(key.hook)?,
                        ..key
                    },
                    at,
                ))
            })
            .collect();
        let starts = std::mem::take(&mut self.starts).into_iter();
        self.starts = starts.filter_map(|(hook, at)| Some((place(hook)?, at))).collect();
    }

    /// The last start of a hook for a scope.
    pub(super) fn last(&self, key: &Key) -> Option<u64> {
        self.last.get(key).copied()
    }

    /// Starts of a hook in the 60 minutes before `now_ns`.
    pub(super) fn last_hour(&self, hook: usize, now_ns: u64) -> usize {
        let starts = self.starts.get(&hook).into_iter().flatten();
        starts.filter(|start| now_ns.saturating_sub(**start) < HOUR_NS).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_that_moves_keeps_its_cooldown_and_one_that_goes_leaves_nothing() {
        let mut ledger = Ledger::default();
        let scope = Scope::host();
        for (hook, now_ns) in [(0, 10), (1, 20)] {
            ledger.record(&Key::new(hook, &scope), Duration::from_secs(60), now_ns);
        }
        // The first is gone, and the second is the first now.
        ledger.renumber(&|old| (old == 1).then_some(0));
        assert_eq!(ledger.last(&Key::new(0, &scope)), Some(20));
        assert_eq!(ledger.last(&Key::new(1, &scope)), None);
        assert_eq!((ledger.last_hour(0, 30), ledger.last_hour(1, 30)), (1, 0));
    }
}
