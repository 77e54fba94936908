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
    verdict::{Level, Signal},
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

/// One scope: what is looked at in every reading, also while it rests. All else lies apart, so that a thousand at rest are a few
/// pages to go through.
#[derive(Clone, Debug)]
struct Entry {
    key: Key,
    /// When it was there last, once it is not there any more.
    gone_ns: Option<u64>,
    /// Its part of the sample.
    part: Option<usize>,
    /// While it rests: when it has to be judged though nothing happens.
    due_ns: Option<u64>,
    /// It rests and has grown, which the host is to know.
    grew: bool,
    present: bool,
    /// Its levels while it rests, by signal; `None` for one that is off.
    levels: [Option<Level>; 3],
    body: Box<Body>,
}

/// What is known of a scope.
#[derive(Clone, Debug)]
struct Body {
    state: ScopeState,
    stillness: Stillness,
    resting: Option<Resting>,
}

impl Entry {
    fn new(key: Key, state: ScopeState) -> Self {
        Self {
            key,
            gone_ns: None,
            part: None,
            due_ns: None,
            grew: false,
            present: true,
            levels: [None; 3],
            body: Box::new(Body {
                state,
                stillness: Stillness::default(),
                resting: None,
            }),
        }
    }

    fn observe(&mut self, part: Option<&ScopeSample>, world: &World, context: &mut Context, desk: &mut Desk<'_>) {
        let tick = desk.elapsed.mem_ns.is_some();
        let now_ns = desk.now.monotonic_ns;
        let due = self.due_ns.is_none_or(|due_ns| now_ns >= due_ns);
        if part.is_none() && world.may_rest && !due {
            self.rest_on(tick, context);
            return;
        }
        let body = &mut *self.body;
        let input = part.map_or_else(|| body.stillness.input(&desk.elapsed, &world.zero), Input::of);
        let still = body.stillness.is_still(&input, tick);
        if let Some(resting) = &body.resting {
            if still && world.may_rest && !due {
                self.rest_on(tick, context);
                return;
            }
            let from = resting.from;
            if still && world.may_rest {
                body.catch_up(&from, world.covered, desk.now, world, context, desk);
                let goes_on = body.state.is_at_rest();
                self.rest(goes_on.then(|| Resting::again(world.covered, now_ns, &self.body.state)));
                return;
            }
            body.catch_up(&from, world.before, world.last, world, context, desk);
            self.rest(None);
        }
        let body = &mut *self.body;
        if tick && part.is_some() {
            body.stillness.learn(&input);
        }
        body.state.observe(input, context, desk);
        if body.stillness.lasted(still, now_ns) && world.may_rest && body.state.is_at_rest() {
            self.rest(Some(Resting::new(world.covered, now_ns, self.key.1, &self.body.state)));
        }
    }

    /// From now on it rests, or does not.
    fn rest(&mut self, resting: Option<Resting>) {
        self.due_ns = resting.as_ref().map(|resting| resting.due_ns);
        self.grew = resting
            .as_ref()
            .is_some_and(|resting| resting.rises.iter().any(|rise| *rise > 0.0));
        if resting.is_some() {
            self.levels = self.body.state.levels();
            self.body.state.release();
        }
        self.body.resting = resting;
    }

    /// Nothing happened in a scope at rest. What it grew by holds until the next tick.
    fn rest_on(&self, tick: bool, context: &mut Context) {
        if tick
            && self.grew
            && self.key.0 == ScopeKind::Cgroup
            && let Some(resting) = &self.body.resting
        {
            context.grown(&resting.rises);
        }
    }
}

impl Body {
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
    /// One of them may not be there any more.
    some_gone: bool,
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
                self.some_gone |= !entry.present;
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
            self.entries.insert(at, Entry::new(key, arrival.state(scope)));
            at
        });
        let entry = &mut self.entries[found];
        entry.present = true;
        let known = &mut entry.body.state.scope;
        if !Arc::ptr_eq(known, scope) && *known != *scope {
            *known = Arc::clone(scope);
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
        if !self.some_gone {
            return;
        }
        let now_ns = desk.now.monotonic_ns;
        self.some_gone = false;
        self.entries.retain_mut(|entry| {
            let gone = entry
                .gone_ns
                .is_some_and(|gone_ns| now_ns.saturating_sub(gone_ns) > tolerance_ns);
            if gone {
                entry.body.state.bury(context, desk);
            }
            self.some_gone |= !gone && entry.gone_ns.is_some();
            !gone
        });
    }

    /// Counts all of them, and names the signals of those that may be among the `most` most severe: all that do not rest,
    /// and as many that do, of which none is worse than another.
    pub(super) fn stand(&self, standing: &mut Standing, states: &mut Vec<State>, most: usize) {
        standing.scopes += self.entries.len() as u32;
        let mut named = 0;
        for entry in &self.entries {
            let rests = entry.due_ns.is_some();
            if rests && named >= most {
                for (signal, level) in Signal::ALL.into_iter().zip(entry.levels) {
                    if let Some(level) = level {
                        standing.levels.add(signal, level);
                    }
                }
            } else {
                named += usize::from(rests);
                states.extend(entry.body.state.states());
            }
        }
    }

    /// In order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ScopeState> {
        self.entries.iter().map(|entry| &entry.body.state)
    }

    /// One of them.
    pub(super) fn get(&self, key: Key) -> Option<&ScopeState> {
        let found = self.find(key, usize::MAX).ok()?;
        Some(&self.entries[found].body.state)
    }

    /// What was learned of the `most` scopes after this one, and which of them was the last; `None`: there are no more.
    pub(super) fn learned(&self, after: Option<Key>, most: usize, into: &mut Vec<ScopeLearned>) -> Option<Key> {
        let from = after.map_or(0, |key| self.entries.partition_point(|entry| entry.key <= key));
        let slice = &self.entries[from..self.entries.len().min(from.saturating_add(most))];
        into.extend(slice.iter().filter_map(|entry| entry.body.state.learned()));
        (from + slice.len() < self.entries.len()).then(|| slice.last().map(|entry| entry.key))?
    }

    /// How many rest.
    pub(super) fn resting(&self) -> usize {
        self.entries.iter().filter(|entry| entry.due_ns.is_some()).count()
    }
}
