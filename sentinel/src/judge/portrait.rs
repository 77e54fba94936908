//! One scope seen closely: what a verdict about each of its signals would show now, also while there is none to give.
//!
//! For viewers. Says nothing new, decides nothing, and is made only for the few scopes that somebody looks at.

use std::sync::Arc;

use crate::sense::sample::{Destination, Scope};

use super::{
    evidence::Evidence,
    verdict::{Baseline, Cause, Forecast, Level, Phase, Risk, Signal},
};

/// One scope with the signals that are judged for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Portrait {
    /// Which scope.
    pub scope: Arc<Scope>,
    /// Its signals, in the order of [`Signal::ALL`]; one that is off or not judged for this scope is missing.
    pub signals: Vec<SignalView>,
}

/// One signal of one scope. Fields mean what they mean in a [`Verdict`](super::Verdict); while the level is `unknown`
/// no number is known.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalView {
    /// Which signal.
    pub signal: Signal,
    /// Its level.
    pub level: Level,
    /// Why; `None` below `watch`.
    pub cause: Cause,
    /// The signal's value.
    pub value: Option<f64>,
    /// The scope's own past.
    pub baseline: Option<Baseline>,
    /// Sigmas above it.
    pub sigma: Option<f64>,
    /// How rarely it was as high, decades.
    pub rarity: Option<f64>,
    /// First derivative.
    pub velocity_per_s: Option<f64>,
    /// Second derivative.
    pub acceleration_per_s2: Option<f64>,
    /// Phase of an amplifying scope.
    pub phase: Option<Phase>,
    /// When the limit will be reached.
    pub forecast: Option<Forecast>,
    /// What retries would do.
    pub risk: Option<Risk>,
    /// Where connection attempts fail most.
    pub destination: Option<Destination>,
}

impl SignalView {
    pub(super) fn of(signal: Signal, level: Level, cause: Cause, evidence: Evidence) -> Self {
        let evidence = if level > Level::Unknown {
            evidence
        } else {
            Evidence::default()
        };
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        Self {
            signal,
            level,
            cause,
            value: finite(evidence.value),
            baseline: evidence.baseline,
            sigma: finite(evidence.sigma),
            rarity: finite(evidence.rarity),
            velocity_per_s: finite(evidence.velocity_per_s),
            acceleration_per_s2: finite(evidence.acceleration_per_s2),
            phase: evidence.phase,
            forecast: evidence.forecast,
            risk: evidence.risk,
            destination: evidence.destination,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_shows_no_number_of_before() {
        let evidence = Evidence {
            value: Some(3.0),
            velocity_per_s: Some(f64::NAN),
            phase: Some(Phase::Amplifying),
            ..Evidence::default()
        };
        let known = SignalView::of(Signal::Amplification, Level::Watch, Cause::FanOut, evidence.clone());
        assert_eq!((known.value, known.velocity_per_s), (Some(3.0), None));
        let unknown = SignalView::of(Signal::Amplification, Level::Unknown, Cause::None, evidence);
        assert_eq!((unknown.value, unknown.phase), (None, None));
    }
}
