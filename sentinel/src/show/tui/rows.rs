//! Which scopes are listed, and in which order.

use crate::{
    judge::verdict::{Level, Signal},
    show::state::{Document, ScopeState, SignalState},
};

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// The most severe.
    #[default]
    Severity,
    /// The first in the alphabet.
    Name,
    /// The highest value of a signal.
    By(Signal),
    /// What is exhausted soonest.
    Exhaustion,
}

impl Sort {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Severity => "severity",
            Self::Name => "name",
            Self::By(signal) => signal.name(),
            Self::Exhaustion => "time left",
        }
    }

    pub(super) const fn next(self) -> Self {
        match self {
            Self::Severity => Self::Name,
            Self::Name => Self::By(Signal::Jitter),
            Self::By(Signal::Jitter) => Self::By(Signal::Fever),
            Self::By(Signal::Fever) => Self::By(Signal::Amplification),
            Self::By(Signal::Amplification | Signal::Cost) => Self::Exhaustion,
            Self::Exhaustion => Self::Severity,
        }
    }
}

/// Which scopes are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// What name or path must contain, whatever the case.
    pub(super) text: String,
    /// Only what is at `watch` or above.
    pub(super) alarmed: bool,
}

impl Filter {
    fn wants(&self, scope: &ScopeState) -> bool {
        let wanted = self.text.to_lowercase();
        (!self.alarmed || scope.level >= Level::Watch)
            && [&scope.name, &scope.path]
                .iter()
                .any(|name| name.to_lowercase().contains(&wanted))
    }
}

/// The signal of a scope.
pub(super) fn signal(scope: &ScopeState, signal: Signal) -> Option<&SignalState> {
    scope.signals.iter().find(|state| state.signal == signal)
}

/// The signal that is worst: the one a line about the scope tells of.
pub(super) fn worst(scope: &ScopeState) -> Option<&SignalState> {
    let rank = |state: &SignalState| (state.level, state.rarity.unwrap_or(0.0));
    scope.signals.iter().max_by(|a, b| {
        let ((a, rare_a), (b, rare_b)) = (rank(a), rank(b));
        a.cmp(&b).then(rare_a.total_cmp(&rare_b))
    })
}

/// Seconds until the scope's limit is reached, the soonest of its forecasts.
pub(super) fn exhaustion_s(scope: &ScopeState) -> Option<f64> {
    let forecasts = scope.signals.iter().filter_map(|state| state.forecast);
    forecasts.map(|forecast| forecast.exhaustion_s).min_by(f64::total_cmp)
}

/// The scopes that are wanted, in order.
pub(super) fn rows<'a>(document: &'a Document, filter: &Filter, sort: Sort) -> Vec<&'a ScopeState> {
    let mut rows: Vec<_> = document.scopes.iter().filter(|scope| filter.wants(scope)).collect();
    let value = |scope: &ScopeState, which| {
        signal(scope, which)
            .and_then(|state| state.value)
            .unwrap_or(f64::NEG_INFINITY)
    };
    match sort {
        // As the document has them.
        Sort::Severity => {}
        Sort::Name => rows.sort_by(|a, b| a.name.cmp(&b.name)),
        Sort::By(which) => rows.sort_by(|a, b| value(b, which).total_cmp(&value(a, which))),
        Sort::Exhaustion => {
            let left = |scope: &ScopeState| exhaustion_s(scope).unwrap_or(f64::INFINITY);
            rows.sort_by(|a, b| left(a).total_cmp(&left(b)));
        }
    }
    rows
}
