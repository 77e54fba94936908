//! The scopes a judge knows, in order of id: which there are, what a sample says of each, and which of them rest.

use std::sync::Arc;

use crate::{
    sense::sample::{Sample, Scope, ScopeKind, ScopeSample},
    time::Now,
};

use super::{
    JudgeConfig, State,
    context::Context,
    learned::{Remembered, ScopeLearned},
    rest::{Covered, Resting, Stillness, Zero},
    scope::{Desk, Input, ScopeState},
    standing::Standing,
    verdict::Signal,
};

/// What a scope is known by.
pub type Key = (ScopeKind, u64);

/// What holds for all scopes at one reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct World {
    /// What was read in all, without this reading and with it.
    pub(super) before: Covered,
    pub(super) covered: Covered,
    /// When the reading before ended.
    pub(super) last: Now,
    /// Scopes may rest: all sensors are read, and nobody wants to hear of every reading.
    pub(super) may_rest: bool,
    pub(super) zero: Zero,
}

/// One scope.
#[derive(Clone, Debug)]
struct Entry {
    key: Key,
    state: Box<ScopeState>,
    /// When it was there last, once it is not there any more.
    gone_ns: Option<u64>,
    present: bool,
    /// Its part of the sample.
    part: Option<usize>,
    stillness: Stillness,
    resting: Option<Resting>,
}

impl Entry {
    fn observe(&mut self, part: Option<&ScopeSample>, world: &World, context: &mut Context, desk: &mut Desk<'_>) {
        let tick = desk.elapsed.mem_ns.is_some();
        let input = part.map_or_else(|| self.stillness.input(&desk.elapsed, &world.zero), Input::of);
        let still = self.stillness.is_still(&input, tick);
        let now_ns = desk.now.monotonic_ns;
        if let Some(resting) = &mut self.resting {
            if still && world.may_rest && !resting.is_due(now_ns) {
                if self.key.0 == ScopeKind::Cgroup {
                    context.grown(&resting.rises);
                }
                return;
            }
            let from = resting.from;
            if still && world.may_rest {
                self.catch_up(&from, world.covered, desk.now, world, context, desk);
                let goes_on = self.state.is_at_rest();
                self.resting = goes_on.then(|| Resting::again(world.covered, now_ns, &self.state));
                if goes_on {
                    self.state.release();
                }
                return;
            }
            self.resting = None;
            self.catch_up(&from, world.before, world.last, world, context, desk);
        }
        if tick && part.is_some() {
            self.stillness.learn(&input);
        }
        self.state.observe(input, context, desk);
        if self.stillness.lasted(still, now_ns) && world.may_rest && self.state.is_at_rest() {
            self.resting = Some(Resting::new(world.covered, now_ns, self.key.1, &self.state));
            self.state.release();
        }
    }

    /// Gives what was kept back to the judges: nothing happened from then to `until`.
    fn catch_up(
        &mut self,
        from: &Covered,
        to: Covered,
        until: Now,
        world: &World,
        context: &mut Context,
        desk: &mut Desk<'_>,
    ) {
        let kept = to.since(from);
        if kept.is_empty() {
            return;
        }
        let input = self.stillness.input(&kept.elapsed, &world.zero);
        desk.during(until, &kept, |desk| self.state.observe(input, context, desk));
    }
}

/// How a scope is met that was not known.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    pub(super) config: &'a JudgeConfig,
    /// It appeared while the agent ran.
    pub(super) newborn: bool,
    /// What an earlier run knew.
    pub(super) remembered: &'a mut Remembered,
    pub(super) now: Now,
}

impl Arrival<'_> {
    /// What is known of a scope from now on.
    pub(super) fn state(&mut self, scope: &Arc<Scope>) -> ScopeState {
        let mut state = ScopeState::new(scope, self.config, self.newborn);
        if let Some((learned, age_s)) = self.remembered.recall(scope, self.now) {
            state.take_back(&learned, age_s);
        }
        state
    }
}

/// All scopes but the host.
#[derive(Clone, Debug, Default)]
pub(super) struct Scopes {
    entries: Vec<Entry>,
    roster: Arc<Vec<Arc<Scope>>>,
}

impl Scopes {
    /// Takes note of which scopes there are, and of what the sample says of them.
    pub(super) fn list(&mut self, sample: &Sample, arrival: &mut Arrival<'_>, last_ns: u64) {
        if sample.roster.is_empty() || !Arc::ptr_eq(&self.roster, &sample.roster) {
            for entry in &mut self.entries {
                entry.present = false;
            }
            let mut next = 0;
            for scope in sample.all() {
                next = self.enter(scope, next, arrival) + 1;
            }
            for entry in &mut self.entries {
                entry.gone_ns = (!entry.present).then_some(entry.gone_ns.unwrap_or(last_ns));
            }
            self.roster = Arc::clone(&sample.roster);
        }
        let mut next = 0;
        for (index, part) in sample.scopes.iter().enumerate() {
            let key = (part.scope.kind, part.scope.cgroup_id);
            let found = match self.find(key, next) {
                Ok(found) => found,
                Err(_) => self.enter(&part.scope, next, arrival),
            };
            self.entries[found].part = Some(index);
            next = found + 1;
        }
    }

    /// Where a scope is, new if it was not known; its path and unit may have become known meanwhile.
    fn enter(&mut self, scope: &Arc<Scope>, next: usize, arrival: &mut Arrival<'_>) -> usize {
        let key = (scope.kind, scope.cgroup_id);
        let found = self.find(key, next).unwrap_or_else(|at| {
            let entry = Entry {
                key,
                state: Box::new(arrival.state(scope)),
                gone_ns: None,
                present: true,
                part: None,
                stillness: Stillness::default(),
                resting: None,
            };
            self.entries.insert(at, entry);
            at
        });
        let entry = &mut self.entries[found];
        entry.present = true;
        if !Arc::ptr_eq(&entry.state.scope, scope) && entry.state.scope != *scope {
            entry.state.scope = Arc::clone(scope);
        }
        found
    }

    /// Where a scope is, or has to be. Samples name them in order, so the next one is tried first.
    fn find(&self, key: Key, next: usize) -> Result<usize, usize> {
        if self.entries.get(next).is_some_and(|entry| entry.key == key) {
            return Ok(next);
        }
        self.entries.binary_search_by_key(&key, |entry| entry.key)
    }

    /// Judges each by what the sample says of it.
    pub(super) fn observe(&mut self, sample: &Sample, world: &World, context: &mut Context, desk: &mut Desk<'_>) {
        for entry in self.entries.iter_mut().filter(|entry| entry.gone_ns.is_none()) {
            let part = entry.part.take().and_then(|index| sample.scopes.get(index));
            entry.observe(part, world, context, desk);
        }
    }

    /// Drops those that have been gone for longer than this, with a last word on each.
    pub(super) fn bury(&mut self, tolerance_ns: u64, context: &mut Context, desk: &mut Desk<'_>) {
        let now_ns = desk.now.monotonic_ns;
        self.entries.retain_mut(|entry| {
            let gone = entry
                .gone_ns
                .is_some_and(|gone_ns| now_ns.saturating_sub(gone_ns) > tolerance_ns);
            if gone {
                entry.state.bury(context, desk);
            }
            !gone
        });
    }

    /// Counts all of them, and names the signals of those that may be among the `most` most severe: all that do not rest,
    /// and as many that do, of which none is worse than another.
    pub(super) fn stand(&self, standing: &mut Standing, states: &mut Vec<State>, most: usize) {
        standing.scopes += self.entries.len() as u32;
        let mut named = 0;
        for entry in &self.entries {
            match &entry.resting {
                Some(resting) if named >= most => {
                    for (signal, level) in Signal::ALL.into_iter().zip(resting.levels) {
                        if let Some(level) = level {
                            standing.levels.add(signal, level);
                        }
                    }
                }
                resting => {
                    named += usize::from(resting.is_some());
                    states.extend(entry.state.states());
                }
            }
        }
    }

    /// In order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ScopeState> {
        self.entries.iter().map(|entry| &*entry.state)
    }

    /// One of them.
    pub(super) fn get(&self, key: Key) -> Option<&ScopeState> {
        let found = self.find(key, usize::MAX).ok()?;
        Some(&self.entries[found].state)
    }

    /// What was learned of the `most` scopes after this one, and which of them was the last; `None`: there are no more.
    pub(super) fn learned(&self, after: Option<Key>, most: usize, into: &mut Vec<ScopeLearned>) -> Option<Key> {
        let from = after.map_or(0, |key| self.entries.partition_point(|entry| entry.key <= key));
        let slice = &self.entries[from..self.entries.len().min(from.saturating_add(most))];
        into.extend(slice.iter().filter_map(|entry| entry.state.learned()));
        (from + slice.len() < self.entries.len()).then(|| slice.last().map(|entry| entry.key))?
    }

    /// How many rest.
    pub(super) fn resting(&self) -> usize {
        self.entries.iter().filter(|entry| entry.resting.is_some()).count()
    }
}
