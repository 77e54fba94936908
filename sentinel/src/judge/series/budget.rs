//! How rare is rare enough: from the false alarms that are accepted in a week and from how often points come.

use crate::judge::verdict::Level;

const WEEK_S: f64 = 604_800.0;
/// Below this many decades nothing is a `veto`, however seldom points come: nothing is known that well so early.
const LEAST: f64 = 2.5;
/// A `watch` may come ten times as often as a `veto`.
const WATCH: f32 = 1.0;

/// How often a series has points.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cadence {
    /// Of the last point, and the last time of all, with a value or without.
    last_s: Option<f64>,
    newest_s: Option<f64>,
    gap_s: f64,
    gaps: f64,
}

impl Cadence {
    /// True when a point at this time may follow.
    #[must_use]
    pub fn accepts(&self, unix_s: f64) -> bool {
        unix_s.is_finite() && self.newest_s.is_none_or(|newest| unix_s > newest)
    }

    /// Takes in a time; the gap before it, in usual gaps.
    pub fn observe(&mut self, unix_s: f64) -> f64 {
        let gap = self.last_s.map(|last| unix_s - last);
        (self.last_s, self.newest_s) = (Some(unix_s), Some(unix_s));
        let Some(gap) = gap else { return 1.0 };
        self.gaps += 1.0;
        if self.gaps == 1.0 {
            self.gap_s = gap;
            return 1.0;
        }
        let relative = gap / self.gap_s;
        let share = (1.0 / 64.0_f64).max(1.0 / self.gaps);
        self.gap_s += share * (gap.min(4.0 * self.gap_s) - self.gap_s);
        relative
    }

    /// A time at which there should have been a point.
    pub fn miss(&mut self, unix_s: f64) {
        self.newest_s = Some(unix_s);
    }

    /// Points in a week; `None` before the second point.
    #[must_use]
    pub fn per_week(&self) -> Option<f64> {
        (self.gaps > 0.0).then(|| (WEEK_S / self.gap_s).max(1.0))
    }
}

/// The decades that levels need.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    veto: f32,
}

impl Budget {
    /// For an operator who accepts `per_week` false alarms a week, all series together, above zero; `points_per_week` of
    /// each of `series`.
    #[must_use]
    pub fn new(per_week: f64, points_per_week: f64, series: usize) -> Self {
        let chances = points_per_week * series.max(1) as f64;
        Self {
            veto: (chances / per_week).log10().max(LEAST) as f32,
        }
    }

    /// The level of a rarity.
    #[must_use]
    pub fn level(&self, decades: f32) -> Level {
        if decades >= self.veto {
            Level::Veto
        } else if decades >= self.veto - WATCH {
            Level::Watch
        } else {
            Level::Nominal
        }
    }
}
