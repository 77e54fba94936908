//! A series' own past, in one place: how high it usually is, how rarely it was higher, what it is used to at this hour.

use crate::judge::{
    learned::{Keeps, Series},
    verdict,
};

use super::{
    baseline::{self, Baseline, Learn},
    rank::Rank,
    rhythm::Rhythm,
};

/// A rhythm is only looked for in what has lived this long, seconds: it costs more memory than the rest.
const RHYTHM_AFTER_S: f64 = 6.0 * 3600.0;

/// When a reading ended and how long it is.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::judge) struct At {
    /// Wall clock, seconds since the epoch: for the hour of the day only.
    pub(in crate::judge) unix_s: u64,
    /// Real time the reading covers, seconds.
    pub(in crate::judge) seconds: f64,
    /// How many readings in a row had this value, each a part of these seconds.
    pub(in crate::judge) readings: u32,
}

/// Sigmas above the mean that are still called equal.
const RANK_RESOLUTION: f64 = 0.05;

/// The past of one series.
#[derive(Clone, Debug)]
pub(in crate::judge) struct Past {
    resolution: f64,
    /// Room that is taken with the first value: most scopes never have work whose fate could be learned.
    known: Option<Box<Known>>,
}

/// What was learned.
#[derive(Clone, Debug)]
struct Known {
    baseline: Baseline,
    rank: Rank,
    rhythm: Option<Box<Rhythm>>,
    lived_s: f64,
}

impl Known {
    const fn new(resolution: f64) -> Self {
        Self {
            baseline: Baseline::new(resolution),
            rank: Rank::new(RANK_RESOLUTION),
            rhythm: None,
            lived_s: 0.0,
        }
    }

    fn learn(&mut self, at: At, value: f64, how: Learn) {
        // The distance is taken before the value moves the mean: no reading is compared with itself.
        if let Some(sigmas) = self.baseline.sigmas(value) {
            match how {
                Learn::Fully => self.rank.learn(sigmas, at.seconds, at.readings),
                Learn::Slowly => self
                    .rank
                    .learn(sigmas.min(baseline::DOUBT_SIGMAS), at.seconds, at.readings),
                Learn::Nothing => {}
            }
        }
        self.baseline.learn(at, value, how);
        self.lived_s += at.seconds;
        if self.lived_s >= RHYTHM_AFTER_S {
            let rhythm = self.rhythm.get_or_insert_with(|| Box::new(Rhythm::new()));
            rhythm.learn(at.unix_s, value, at.seconds, how != Learn::Fully);
        }
    }
}

impl Past {
    /// An empty one for a series that is measured no finer than `resolution`, in its unit, above zero.
    #[must_use]
    pub(in crate::judge) const fn new(resolution: f64) -> Self {
        Self {
            resolution,
            known: None,
        }
    }

    /// Takes in a value; `how` says how much may be learned from it. What is not finite is refused.
    pub(in crate::judge) fn learn(&mut self, at: At, value: f64, how: Learn) {
        if !value.is_finite() || !at.seconds.is_finite() || at.seconds <= 0.0 {
            return;
        }
        self.room().learn(at, value, how);
    }

    fn room(&mut self) -> &mut Known {
        let resolution = self.resolution;
        self.known.get_or_insert_with(|| Box::new(Known::new(resolution)))
    }

    /// Mean; `None` until there is enough past.
    #[must_use]
    pub(in crate::judge) fn mean(&self) -> Option<f64> {
        self.known.as_ref()?.baseline.mean()
    }

    /// True when there is enough past to compare with.
    #[must_use]
    pub(in crate::judge) fn is_ready(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.baseline.is_ready())
    }

    /// How many sigmas a value lies above the mean; `None` until there is enough past.
    #[must_use]
    pub(in crate::judge) fn sigmas(&self, value: f64) -> Option<f64> {
        self.known.as_ref()?.baseline.sigmas(value)
    }

    /// How rarely it was as far above its mean, in decades: 3 is one reading in a thousand; `None` until there is enough
    /// past.
    #[must_use]
    pub(in crate::judge) fn decades(&self, value: f64) -> Option<f64> {
        self.known.as_ref()?.rank.decades(self.sigmas(value)?)
    }

    /// True when the value is more than `sigmas` above the mean, rarer than `decades` where that is known, and not what
    /// it is used to at this hour.
    #[must_use]
    pub(in crate::judge) fn exceeded(&self, at: At, value: f64, sigmas: f64, decades: f64) -> bool {
        self.known
            .as_ref()
            .is_some_and(|known| known.baseline.exceeded(value, sigmas))
            && self.decades(value).is_none_or(|found| found >= decades)
            && !self.is_usual_now(at, value)
    }

    /// True when it was about this high at this hour before.
    #[must_use]
    pub(in crate::judge) fn is_usual_now(&self, at: At, value: f64) -> bool {
        let rhythm = self.known.as_ref().and_then(|known| known.rhythm.as_ref());
        rhythm.is_some_and(|rhythm| rhythm.excuses(at.unix_s, value))
    }

    /// As it stands in a verdict; `None` until there is enough past.
    #[must_use]
    pub(in crate::judge) fn published(&self) -> Option<verdict::Baseline> {
        self.known.as_ref()?.baseline.published()
    }
}

impl Keeps for Past {
    fn learned(&self) -> Option<Series> {
        let known = self.known.as_ref()?;
        let mut series = known.baseline.learned()?;
        series.rank = known.rank.learned().map(|learned| learned.rank).unwrap_or_default();
        series.hours = known.rhythm.as_ref().map(|rhythm| rhythm.learned());
        series.lived_s = known.lived_s as f32;
        Some(series)
    }

    fn take_back(&mut self, series: &Series, age_s: f64) {
        let known = self.room();
        known.baseline.take_back(series, age_s);
        known.rank.take_back(series, age_s);
        known.rhythm = series.hours.as_ref().and_then(Rhythm::taken_back).map(Box::new);
        if series.lived_s.is_finite() && series.lived_s >= 0.0 {
            known.lived_s = f64::from(series.lived_s);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusual_is_far_above_the_mean_and_rarer_than_asked() {
        let mut past = Past::new(0.1);
        let at = |second: u64| At {
            unix_s: second,
            seconds: 1.0,
            readings: 1,
        };
        // One reading in twenty is at 20: four sigmas up, but not rare.
        for second in 0..1000 {
            let value = if second % 20 == 0 { 20.0 } else { 1.0 };
            past.learn(at(second), value, Learn::Fully);
        }
        assert!(past.exceeded(at(1000), 20.0, 2.0, 0.5));
        assert!(!past.exceeded(at(1000), 20.0, 2.0, 3.0));
        assert!(past.exceeded(at(1000), 2000.0, 2.0, 3.0));
    }
}
