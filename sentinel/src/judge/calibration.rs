//! How rare a reading has to be, so that chance alone raises no more false alarms than the operator accepts.
//!
//! Decides nothing by itself: signals ask it how many decades a sign needs. It assumes that a series goes on as it did;
//! what that is worth is measured (`cargo xtask score`).

use crate::judge::verdict;

/// Seconds in a week.
const WEEK_S: f64 = 604_800.0;
/// Readings this close together rise and fall together: one chance for a false alarm, seconds.
const INDEPENDENT_S: f64 = 2.0;
/// Series of one scope that can raise an alarm by their rank.
const SERIES_PER_SCOPE: f64 = 4.0;

/// The rarity that signs need.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Calibration {
    per_week: f64,
    alone: f64,
}

impl Calibration {
    /// For a host that shows `scopes` scopes and an operator who accepts `per_week` false alarms a week, above zero.
    ///
    /// A week has `604800 / 2 s` independent moments for each of four series of each scope. A sign alone may be chance in
    /// `per_week` of them.
    #[must_use]
    pub(super) fn new(per_week: f64, scopes: usize) -> Self {
        let chances = WEEK_S / INDEPENDENT_S * SERIES_PER_SCOPE * scopes.max(1) as f64;
        Self {
            per_week,
            alone: (chances / per_week).log10().max(1.0),
        }
    }

    /// Decades for a sign that speaks for itself.
    #[must_use]
    pub(super) const fn alone(&self) -> f64 {
        self.alone
    }

    /// Decades for each of two independent signs: their chances multiply.
    #[must_use]
    pub(super) const fn paired(&self) -> f64 {
        self.alone / 2.0
    }

    /// The same in standard deviations of a normal distribution, one-sided, after the leading term of its tail:
    /// `p = exp(-z^2 / 2) / (z sqrt(2 pi))`.
    #[must_use]
    pub(super) fn paired_sigmas(&self) -> f64 {
        let twice = 2.0 * std::f64::consts::LN_10 * self.paired();
        (twice - (std::f64::consts::TAU * twice).ln()).max(1.0).sqrt()
    }

    /// As it stands in a verdict.
    #[must_use]
    pub(super) const fn published(&self) -> verdict::Calibration {
        verdict::Calibration {
            false_alarms_per_week: self.per_week,
            decades: self.alone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_false_alarm_a_week_over_fifty_scopes_is_one_chance_in_sixty_million() {
        let calibration = Calibration::new(1.0, 50);
        assert!((10_f64.powf(calibration.alone()) / 6.048e7 - 1.0).abs() < 1e-9);
        assert_eq!(calibration.paired() * 2.0, calibration.alone());
        assert!(Calibration::new(10.0, 50).alone() < calibration.alone());
        assert!(Calibration::new(1.0, 500).alone() > calibration.alone());
    }
}
