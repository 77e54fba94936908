//! A mean that forgets over half an hour or more, and what of it is kept over a restart. Knows nothing of what is averaged.

use super::super::learned::{Keeps, Series, Slow};

/// Seconds over which the slow mean forgets.
pub(super) const ANCHOR_S: f64 = 1800.0;

/// A mean over real time: plain while young, forgetting later.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SlowMean {
    pub(super) mean: f64,
    /// Real time it rests on.
    pub(super) seconds: f64,
}

impl SlowMean {
    pub(super) fn learn(&mut self, value: f64, seconds: f64, memory_s: f64) {
        self.seconds += seconds;
        let weight = seconds / self.seconds.min(memory_s).max(seconds);
        self.mean += weight * (value - self.mean);
    }
}

impl Keeps for SlowMean {
    fn learned(&self) -> Option<Series> {
        let slow = Slow {
            mean: self.mean as f32,
            seconds: self.seconds as f32,
        };
        (slow.seconds > 0.0 && slow.mean.is_finite() && slow.seconds.is_finite()).then(|| Series {
            slow: Some(slow),
            ..Series::default()
        })
    }

    /// It rests on less the older it is, at the most on what it remembers; the shorter memory of the two there are.
    fn take_back(&mut self, series: &Series, age_s: f64) {
        let Some(slow) = series.slow else { return };
        let seconds = f64::from(slow.seconds).min(ANCHOR_S) * (-age_s / ANCHOR_S).exp();
        if slow.mean.is_finite() && seconds.is_finite() && seconds > 0.0 {
            (self.mean, self.seconds) = (f64::from(slow.mean), seconds);
        }
    }
}
