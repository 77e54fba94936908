//! A scope's own past: mean and standard deviation with exponential forgetting. It looks only back; the caller decides
//! how much it may learn from a reading, and nothing at all while something is wrong.

use super::At;
use crate::judge::{
    learned::{Keeps, Series, Usual},
    verdict,
};

/// Time constant of forgetting, seconds.
const MEMORY_S: f64 = 300.0;
/// Readings and seconds before it may be compared with.
const READY_READINGS: u64 = 5;
const READY_S: f64 = 2.9;
/// While learning with doubt, a reading counts a tenth and no more than this many sigmas above the mean.
const DOUBT_WEIGHT: f64 = 0.1;
pub(super) const DOUBT_SIGMAS: f64 = 2.0;
/// Sigma is never taken as smaller than this share of the mean.
const RELATIVE_RESOLUTION: f64 = 0.05;

/// How much may be learned from a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::judge) enum Learn {
    /// It is as always.
    Fully,
    /// It is unusual: slowly, and bounded, so that a new normal is reached but a fault is not.
    Slowly,
    /// It is wrong.
    Nothing,
}

/// Mean and spread of one series.
///
/// Weighted update of mean and variance after T. Finch, "Incremental calculation of weighted mean and variance" (2009),
/// with the weight following real time: `dt / (memory + dt)`, and `1/n` while there are few readings.
#[derive(Clone, Copy, Debug)]
pub(in crate::judge) struct Baseline {
    mean: f64,
    variance: f64,
    readings: u64,
    seconds: f64,
    resolution: f64,
}

impl Baseline {
    /// An empty one for a series that is measured no finer than `resolution`, in its unit, above zero: a series that
    /// never moved must not make every change infinitely unlikely.
    #[must_use]
    pub(in crate::judge) const fn new(resolution: f64) -> Self {
        Self {
            mean: 0.0,
            variance: 0.0,
            readings: 0,
            seconds: 0.0,
            resolution,
        }
    }

    /// Takes in the value of a reading, or of several in a row. What is not finite is refused.
    pub(in crate::judge) fn learn(&mut self, at: At, value: f64, how: Learn) {
        let seconds = at.seconds / f64::from(at.readings.max(1));
        let valid = value.is_finite() && seconds > 0.0 && seconds.is_finite();
        if !valid {
            return;
        }
        for _ in 0..at.readings {
            self.learn_once(value, seconds, how);
        }
    }

    fn learn_once(&mut self, value: f64, seconds: f64, how: Learn) {
        match how {
            Learn::Fully => self.update(value, seconds, 1.0),
            Learn::Slowly if self.is_ready() => {
                let bound = self.mean + DOUBT_SIGMAS * self.sigma();
                self.update(value.min(bound), seconds, DOUBT_WEIGHT);
            }
            Learn::Slowly | Learn::Nothing => {}
        }
    }

    /// A value so far away that its square is no number any more is refused too: it would make every later one NaN.
    fn update(&mut self, value: f64, seconds: f64, share: f64) {
        let readings = self.readings + 1;
        let recent = seconds / (MEMORY_S + seconds);
        let weight = share * recent.max(1.0 / readings as f64);
        let difference = value - self.mean;
        let variance = (1.0 - weight) * (self.variance + weight * difference * difference);
        if !variance.is_finite() {
            return;
        }
        self.readings = readings;
        self.seconds += seconds;
        self.mean += weight * difference;
        self.variance = variance;
    }

    /// True when there is enough past to compare with.
    #[must_use]
    pub(in crate::judge) fn is_ready(&self) -> bool {
        self.readings >= READY_READINGS && self.seconds >= READY_S
    }

    /// Mean; `None` until ready.
    #[must_use]
    pub(in crate::judge) fn mean(&self) -> Option<f64> {
        self.is_ready().then_some(self.mean)
    }

    fn sigma(&self) -> f64 {
        let guard = self.resolution.max(RELATIVE_RESOLUTION * self.mean.abs());
        self.variance.sqrt().max(guard)
    }

    /// How many sigmas a value lies above the mean; `None` until ready.
    #[must_use]
    pub(in crate::judge) fn sigmas(&self, value: f64) -> Option<f64> {
        self.is_ready().then(|| (value - self.mean) / self.sigma())
    }

    /// True when the value lies more than `sigmas` above the mean. False until ready.
    #[must_use]
    pub(in crate::judge) fn exceeded(&self, value: f64, sigmas: f64) -> bool {
        self.sigmas(value).is_some_and(|distance| distance > sigmas)
    }

    /// As it stands in a verdict; `None` until ready.
    #[must_use]
    pub(in crate::judge) fn published(&self) -> Option<verdict::Baseline> {
        self.is_ready().then(|| verdict::Baseline {
            mean: self.mean,
            sigma: self.sigma(),
            samples: self.readings,
        })
    }
}

impl Keeps for Baseline {
    fn learned(&self) -> Option<Series> {
        let usual = Usual {
            mean: self.mean as f32,
            variance: self.variance as f32,
            readings: self.readings,
            seconds: self.seconds as f32,
        };
        let finite = usual.mean.is_finite() && usual.variance.is_finite() && usual.seconds.is_finite();
        (self.is_ready() && finite).then(|| Series {
            usual: Some(usual),
            ..Series::default()
        })
    }

    /// It rests on no more readings than it remembers, and on fewer the longer nobody looked: new ones weigh more. Where that leaves too
    /// few to compare with, after some twenty minutes, it begins anew: what is normal may be another thing by then.
    fn take_back(&mut self, series: &Series, age_s: f64) {
        let Some(usual) = series.usual else { return };
        let (mean, variance) = (f64::from(usual.mean), f64::from(usual.variance));
        let (readings, seconds) = (usual.readings as f64, f64::from(usual.seconds));
        let step_s = seconds / readings;
        if !(mean.is_finite() && variance.is_finite() && variance >= 0.0 && step_s.is_finite() && step_s > 0.0) {
            return;
        }
        let left = readings.min(MEMORY_S / step_s) * (-age_s / MEMORY_S).exp();
        let aged = Self {
            mean,
            variance,
            readings: left.round() as u64,
            seconds: left * step_s,
            resolution: self.resolution,
        };
        if aged.is_ready() {
            *self = aged;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> At {
        At {
            unix_s: 0,
            seconds,
            readings: 1,
        }
    }

    fn constant(value: f64) -> Baseline {
        let mut baseline = Baseline::new(0.01);
        for _ in 0..60 {
            baseline.learn(seconds(1.0), value, Learn::Fully);
        }
        baseline
    }

    #[test]
    fn a_series_that_never_moved_does_not_score_infinite() {
        let baseline = constant(0.0);
        let sigmas = baseline.sigmas(0.05).unwrap();
        assert!((sigmas - 5.0).abs() < 1e-9, "{sigmas}");
    }

    #[test]
    fn nan_and_infinity_cannot_enter() {
        let mut baseline = constant(1.0);
        let before = baseline.published();
        baseline.learn(seconds(1.0), f64::NAN, Learn::Fully);
        baseline.learn(seconds(1.0), f64::INFINITY, Learn::Fully);
        baseline.learn(seconds(0.0), 2.0, Learn::Fully);
        assert_eq!(baseline.published(), before);
    }

    #[test]
    fn a_number_whose_square_is_none_is_refused() {
        let mut baseline = constant(100.0);
        for value in [f64::MAX, f64::MIN, 1e200] {
            baseline.learn(seconds(1.0), value, Learn::Fully);
        }
        assert_eq!(baseline.mean(), Some(100.0));
    }

    #[test]
    fn it_learns_nothing_while_something_is_wrong_and_little_while_in_doubt() {
        let mut baseline = constant(1.0);
        for _ in 0..240 {
            baseline.learn(seconds(1.0), 100.0, Learn::Nothing);
        }
        assert_eq!(baseline.mean(), Some(1.0));
        for _ in 0..60 {
            baseline.learn(seconds(1.0), 100.0, Learn::Slowly);
        }
        let mean = baseline.mean().unwrap();
        assert!(mean > 1.0 && mean < 1.2, "{mean}");
    }

    #[test]
    fn it_is_not_compared_with_before_it_has_a_past() {
        let mut baseline = Baseline::new(0.01);
        for _ in 0..4 {
            baseline.learn(seconds(1.0), 1.0, Learn::Fully);
        }
        assert_eq!(baseline.sigmas(50.0), None);
        assert!(!baseline.exceeded(50.0, 2.0));
    }

    #[test]
    fn what_was_known_is_taken_back_and_rests_on_less_the_older_it_is() {
        let mut long = Baseline::new(0.01);
        (0..4000).for_each(|at| long.learn(seconds(1.0), f64::from(at % 3), Learn::Fully));
        let back = |age_s: f64| {
            let mut fresh = Baseline::new(0.01);
            fresh.take_back(&long.learned().unwrap(), age_s);
            fresh.published()
        };
        let (before, now, later) = (long.published().unwrap(), back(0.0).unwrap(), back(300.0).unwrap());
        assert!((now.mean - before.mean).abs() < 1e-6 && (now.sigma - before.sigma).abs() < 1e-6);
        assert_eq!((now.samples, later.samples), (300, 110));
        assert_eq!(back(1800.0), None, "half an hour is six times what it remembers");
        assert_eq!(Baseline::new(0.01).learned(), None);
    }

    #[test]
    fn what_makes_no_sense_is_not_taken_back() {
        let good = constant(1.0).learned().unwrap();
        for (variance, readings, seconds) in [
            (-1.0, 9, 9.0),
            (1.0, 0, 9.0),
            (1.0, 9, f32::INFINITY),
            (f32::NAN, 9, 9.0),
        ] {
            let usual = Usual {
                mean: 1.0,
                variance,
                readings,
                seconds,
            };
            let mut fresh = Baseline::new(0.01);
            fresh.take_back(
                &Series {
                    usual: Some(usual),
                    ..good.clone()
                },
                0.0,
            );
            assert_eq!(fresh.published(), None, "{usual:?}");
        }
    }

    #[test]
    fn readings_in_a_row_are_learned_as_one_by_one() {
        let (mut whole, mut parts) = (constant(3.0), constant(3.0));
        let run = At {
            unix_s: 0,
            seconds: 10.0,
            readings: 50,
        };
        whole.learn(run, 1.0, Learn::Fully);
        (0..50).for_each(|_| parts.learn(seconds(0.2), 1.0, Learn::Fully));
        let (whole, parts) = (whole.published().unwrap(), parts.published().unwrap());
        assert_eq!(whole.samples, parts.samples);
        assert!((whole.mean - parts.mean).abs() < 1e-9 && (whole.sigma - parts.sigma).abs() < 1e-9);
    }
}
