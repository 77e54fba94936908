//! The last values of every signal that is listed, one per reading. Bounded: series of scopes that are gone go too.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    judge::verdict::Signal,
    sense::sample::ScopeKind,
    show::state::{Document, ScopeState},
};

/// Readings that are kept: the widest line that is drawn.
pub(super) const MOST: usize = 120;

/// Names a scope.
pub(super) type ScopeKey = (ScopeKind, u64);

/// Names it.
pub(super) fn key(scope: &ScopeState) -> ScopeKey {
    (scope.kind, scope.cgroup_id)
}

/// All series.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    run: String,
    ticks: u64,
    series: BTreeMap<(ScopeKind, u64, Signal), VecDeque<Option<f64>>>,
}

impl History {
    /// Takes in a document. What came between two ticks replaces the last reading; ticks that nobody asked for in time
    /// are gaps.
    pub(super) fn record(&mut self, document: &Document) {
        let ticks = document.agent.ticks;
        if self.run != document.run || ticks < self.ticks {
            self.series.clear();
            self.run.clone_from(&document.run);
            self.ticks = ticks.saturating_sub(1);
        }
        let passed = usize::try_from(ticks - self.ticks).unwrap_or(MOST).min(MOST);
        self.ticks = ticks;
        for values in self.series.values_mut() {
            values.extend(std::iter::repeat_n(None, passed));
            values.drain(..values.len().saturating_sub(MOST));
        }
        for scope in &document.scopes {
            for state in &scope.signals {
                let values = self
                    .series
                    .entry((scope.kind, scope.cgroup_id, state.signal))
                    .or_default();
                match values.back_mut() {
                    Some(last) => *last = state.value,
                    None => values.push_back(state.value),
                }
            }
        }
        self.series.retain(|_, values| values.iter().any(Option::is_some));
    }

    /// The last values of one signal, oldest first, at most `most`.
    pub(super) fn last(&self, (kind, id): ScopeKey, signal: Signal, most: usize) -> Vec<Option<f64>> {
        let values = self.series.get(&(kind, id, signal));
        values.map_or_else(Vec::new, |values| {
            values.iter().skip(values.len().saturating_sub(most)).copied().collect()
        })
    }
}
