//! How all scopes stand at one reading: how many are at which level, and who is worst off. Costs next to nothing for scopes
//! at rest.

use super::{
    State,
    verdict::{Level, Signal},
};

/// Levels.
const LEVELS: usize = 4;

/// How many scopes are at which level, for each signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels([[u32; LEVELS]; 3]);

impl Levels {
    /// Counts a scope.
    pub fn add(&mut self, signal: Signal, level: Level) {
        self.0[signal as usize][level as usize] += 1;
    }

    /// Takes a scope out again; one that is not in it is left out.
    pub fn take(&mut self, signal: Signal, level: Level) {
        let count = &mut self.0[signal as usize][level as usize];
        *count = count.saturating_sub(1);
    }

    /// Signals at a level, of all scopes.
    #[must_use]
    pub fn signals_at(&self, level: Level) -> u64 {
        self.0.iter().map(|counts| u64::from(counts[level as usize])).sum()
    }

    /// Scopes at a level.
    #[must_use]
    pub const fn at(&self, signal: Signal, level: Level) -> u32 {
        self.0[signal as usize][level as usize]
    }
}

/// How all scopes stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Scopes by level.
    pub levels: Levels,
    /// Scopes, the host included.
    pub scopes: u32,
    /// The most severe signal; `None` before the first sample.
    pub worst: Option<State>,
}

impl FromIterator<State> for Standing {
    /// Of the signals of all scopes, those of one scope in a row.
    fn from_iter<T: IntoIterator<Item = State>>(states: T) -> Self {
        let mut standing = Self::default();
        let mut states: Vec<State> = states.into_iter().collect();
        let key = |state: &State| (state.scope.kind, state.scope.cgroup_id);
        standing.scopes = states.chunk_by(|a, b| key(a) == key(b)).count() as u32;
        states
            .iter()
            .for_each(|state| standing.levels.add(state.signal, state.level));
        sort(&mut states);
        standing.worst = states.into_iter().next();
        standing
    }
}

/// Most severe first: by level, then signal, then value, then as they are listed.
pub(super) fn sort(states: &mut [State]) {
    let value = |state: &State| state.value.unwrap_or(f64::NEG_INFINITY);
    states.sort_by(|a, b| {
        b.level
            .cmp(&a.level)
            .then(a.signal.cmp(&b.signal))
            .then(value(b).total_cmp(&value(a)))
    });
}
