//! What a signal hands to the ladder (`Finding`) and to the verdict (`Evidence`).

use std::collections::BTreeMap;

use super::{
    statistics::At,
    threshold::Hold,
    verdict::{Baseline, Cause, Forecast, Level, Phase, Risk},
};
use crate::{sense::sample::Destination, time::Now};

/// One second in nanoseconds.
pub(super) const SECOND_NS: u64 = 1_000_000_000;

/// Readings in a row that windows and derivatives of a few seconds look back on.
pub(super) const PARTS: u32 = 20;

/// The time a reading covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Its end, `CLOCK_MONOTONIC` nanoseconds.
    pub(super) end_ns: u64,
    /// Its length, nanoseconds, above zero.
    pub(super) elapsed_ns: u64,
    /// Its end by the wall clock, seconds since the epoch.
    pub(super) unix_s: u64,
    /// How many readings in a row it stands for, each as long: 1, or more where nothing happened.
    pub(super) readings: u32,
}

impl Reading {
    /// Length in seconds.
    #[must_use]
    pub(super) fn seconds(&self) -> f64 {
        self.elapsed_ns as f64 / 1e9
    }

    /// The last readings it stands for, `most` of them, oldest first: each with its end and its length, nanoseconds. What
    /// looks back a few seconds must not take a long pause for one reading.
    pub(super) fn parts(&self, most: u32) -> impl Iterator<Item = (u64, u64)> + use<> {
        let (end_ns, readings) = (self.end_ns, self.readings.max(1));
        let each_ns = self.elapsed_ns / u64::from(readings);
        let parts = (0..readings.min(most)).rev();
        parts.map(move |later| (end_ns - u64::from(later) * each_ns, each_ns))
    }

    /// The same for a series' past.
    #[must_use]
    pub(super) fn at(&self) -> At {
        At {
            unix_s: self.unix_s,
            seconds: self.seconds(),
            readings: self.readings,
        }
    }
}

/// What a reading asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finding {
    /// The level it would be at if this lasts.
    pub(super) wanted: Level,
    /// Why; `None` below `watch`.
    pub(super) cause: Cause,
    /// How long it must last.
    pub(super) hold: Hold,
}

impl Finding {
    /// The same, at most at `level`.
    #[must_use]
    pub(super) fn at_most(mut self, level: Level) -> Self {
        self.wanted = self.wanted.min(level);
        self
    }
}

/// What a verdict shows of a signal. Made only when a verdict is.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// The signal's value; `None` when not measured or not defined.
    pub(super) value: Option<f64>,
    /// The scope's own past.
    pub(super) baseline: Option<Baseline>,
    /// Sigmas above it.
    pub(super) sigma: Option<f64>,
    /// How rarely it was as high, decades.
    pub(super) rarity: Option<f64>,
    /// First derivative.
    pub(super) velocity_per_s: Option<f64>,
    /// Second derivative.
    pub(super) acceleration_per_s2: Option<f64>,
    /// Time to exhaustion.
    pub(super) forecast: Option<Forecast>,
    /// What retries would do.
    pub(super) risk: Option<Risk>,
    /// Phase.
    pub(super) phase: Option<Phase>,
    /// Where connection attempts fail most.
    pub(super) destination: Option<Destination>,
    /// Named numbers.
    pub(super) features: BTreeMap<String, f64>,
    /// Window, milliseconds.
    pub(super) window_ms: u64,
    /// Share of it that was measured.
    pub(super) coverage: f64,
}

impl Evidence {
    /// Adds a feature; what was not measured or is not finite is left out.
    pub(super) fn feature(&mut self, name: &str, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into().filter(|value| value.is_finite()) {
            self.features.insert(name.to_owned(), value);
        }
    }
}

/// Wall clock in seconds since the epoch; 0 for a clock set before it.
#[must_use]
pub(super) fn unix_s(now: Now) -> u64 {
    u64::try_from(now.unix_ms / 1000).unwrap_or(0)
}

/// `part / whole`, or `None` when the whole is not above zero: no ratio, not an infinite one.
#[must_use]
pub(super) fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole).filter(|ratio| ratio.is_finite())
}
