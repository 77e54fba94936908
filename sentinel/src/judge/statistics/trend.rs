//! Does a sum keep growing, or did it jump once? A robust test over the last steps of a cumulative series.

/// Pairs of `STEPS + 1` points.
const PAIRS: usize = STEPS * (STEPS + 1) / 2;
/// Steps a trend is judged over.
pub(in crate::judge) const STEPS: usize = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    seconds: f64,
    net: f64,
    corroborating: Option<f64>,
}

/// The last steps of a series, each at least `step_s` long.
#[derive(Clone, Copy, Debug)]
pub(in crate::judge) struct Growth {
    steps: [Step; STEPS],
    len: usize,
    open: Step,
    step_s: f64,
}

/// What the steps show. Amounts in the series' unit, rates per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::judge) struct Trend {
    /// Growth over all steps.
    pub(in crate::judge) total: f64,
    /// What the corroborating series grew; `None` when any of its steps was not measured.
    pub(in crate::judge) corroborating: Option<f64>,
    /// Time covered, seconds.
    pub(in crate::judge) span_s: f64,
    /// Median rate of the steps.
    pub(in crate::judge) median_per_s: f64,
    /// Median absolute deviation of the steps' rates per median rate; infinite growth of nothing is 1.
    pub(in crate::judge) irregularity: f64,
    /// Share of steps that grew, 0 to 1.
    pub(in crate::judge) rising_share: f64,
    /// Share of all that was taken that is still held, 1 when nothing was given back.
    pub(in crate::judge) held_share: f64,
    /// Theil-Sen slope: the median slope of all pairs of points.
    pub(in crate::judge) slope_per_s: f64,
    /// Lower end of its 95 % interval.
    pub(in crate::judge) slope_low_per_s: f64,
    /// Upper end.
    pub(in crate::judge) slope_high_per_s: f64,
}

impl Trend {
    /// True when it grows steadily: most steps rise, half of them at `floor_per_s` or faster, nothing much was given
    /// back, and the typical step explains the whole (one jump does not).
    #[must_use]
    pub(in crate::judge) fn is_sustained(&self, floor_per_s: f64) -> bool {
        self.median_per_s >= floor_per_s
            && self.rising_share >= 0.75
            && self.held_share >= 0.8
            && self.slope_low_per_s > 0.0
            && self.median_per_s * self.span_s >= 0.4 * self.total
    }
}

impl Growth {
    /// Empty, with steps of `step_s` seconds or more.
    #[must_use]
    pub(in crate::judge) const fn new(step_s: f64) -> Self {
        const EMPTY: Step = Step {
            seconds: 0.0,
            net: 0.0,
            corroborating: None,
        };
        Self {
            steps: [EMPTY; STEPS],
            len: 0,
            open: EMPTY,
            step_s,
        }
    }

    /// Takes in what was added in some seconds, and to the corroborating series. True when that completed a step.
    pub(in crate::judge) fn push(&mut self, seconds: f64, net: f64, corroborating: Option<f64>) -> bool {
        self.open.corroborating = if self.open.seconds > 0.0 {
            self.open
                .corroborating
                .zip(corroborating)
                .map(|(before, now)| before + now)
        } else {
            corroborating
        };
        self.open.seconds += seconds;
        self.open.net += net;
        if self.open.seconds < 0.9 * self.step_s {
            return false;
        }
        if self.len == STEPS {
            self.steps.copy_within(1.., 0);
            self.len -= 1;
        }
        self.steps[self.len] = self.open;
        self.len += 1;
        self.open = Step::default();
        true
    }

    /// Forgets everything.
    pub(in crate::judge) fn clear(&mut self) {
        *self = Self::new(self.step_s);
    }

    /// Growth over the steps there are.
    #[must_use]
    pub(in crate::judge) fn total(&self) -> f64 {
        self.steps[..self.len].iter().map(|step| step.net).sum()
    }

    /// What the corroborating series grew over the steps there are; `None` when a step was not measured.
    #[must_use]
    pub(in crate::judge) fn corroborating(&self) -> Option<f64> {
        self.steps[..self.len].iter().map(|step| step.corroborating).sum()
    }

    /// The trend; `None` until there are [`STEPS`] steps.
    #[must_use]
    pub(in crate::judge) fn trend(&self) -> Option<Trend> {
        if self.len < STEPS {
            return None;
        }
        let mut rates = self.steps.map(|step| step.net / step.seconds);
        let median_per_s = median(&mut rates);
        let mut deviations = rates.map(|rate| (rate - median_per_s).abs());
        let irregularity = if median_per_s > 0.0 {
            median(&mut deviations) / median_per_s
        } else {
            1.0
        };
        let (low, slope_per_s, high) = self.theil_sen();
        Some(Trend {
            total: self.total(),
            corroborating: self.corroborating(),
            span_s: self.steps.iter().map(|step| step.seconds).sum(),
            median_per_s,
            irregularity,
            rising_share: rates.iter().filter(|rate| **rate > 0.0).count() as f64 / STEPS as f64,
            held_share: self.held_share(),
            slope_per_s,
            slope_low_per_s: low,
            slope_high_per_s: high,
        })
    }

    fn held_share(&self) -> f64 {
        let taken: f64 = self.steps.iter().map(|step| step.net.max(0.0)).sum();
        if taken > 0.0 { self.total() / taken } else { 1.0 }
    }

    /// P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau" (1968): the median of the slopes of
    /// all pairs, and the slopes at the ranks `(P ± 1.96 sqrt(n (n - 1) (2 n + 5) / 18)) / 2` as its 95 % interval.
    fn theil_sen(&self) -> (f64, f64, f64) {
        let points = self.points();
        let mut slopes = [0.0; PAIRS];
        let mut pairs = 0;
        for (index, newer) in points.iter().enumerate() {
            for older in &points[..index] {
                slopes[pairs] = (newer.1 - older.1) / (newer.0 - older.0);
                pairs += 1;
            }
        }
        slopes.sort_unstable_by(f64::total_cmp);
        let n = points.len() as f64;
        let half_width = 1.96 * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt() / 2.0;
        let middle = PAIRS as f64 / 2.0;
        let at = |rank: f64| slopes[(rank.max(0.0) as usize).min(PAIRS - 1)];
        (at(middle - half_width), at(middle), at(middle + half_width))
    }

    fn points(&self) -> [(f64, f64); STEPS + 1] {
        let mut points = [(0.0, 0.0); STEPS + 1];
        for (index, step) in self.steps.iter().enumerate() {
            points[index + 1] = (points[index].0 + step.seconds, points[index].1 + step.net);
        }
        points
    }
}

fn median(values: &mut [f64; STEPS]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    f64::midpoint(values[STEPS / 2 - 1], values[STEPS / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trend(nets: [f64; STEPS]) -> Trend {
        let mut growth = Growth::new(1.0);
        for net in nets {
            growth.push(1.0, net, None);
        }
        growth.trend().unwrap()
    }

    #[test]
    fn steady_growth_is_a_trend_with_its_slope() {
        let trend = trend([20.0, 19.3, 21.1, 20.2, 18.4, 22.3, 20.7, 19.9, 18.8, 21.6]);
        assert!(trend.is_sustained(0.25), "{trend:?}");
        assert!((trend.slope_per_s - 20.0).abs() < 0.5, "{trend:?}");
        assert!(trend.slope_low_per_s < trend.slope_per_s && trend.slope_per_s < trend.slope_high_per_s);
    }

    #[test]
    fn one_jump_a_give_back_and_coming_and_going_are_not() {
        let jump = trend([0.0, 0.0, 0.0, 3000.0, 3000.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let jump_on_drift = trend([0.3, 0.3, 0.3, 3000.0, 3000.0, 0.3, 0.3, 0.3, 0.3, 0.3]);
        let give_back = trend([20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, -90.0]);
        let both = trend([20.0, -20.0, 20.0, -20.0, 20.0, -20.0, 20.0, -20.0, 20.0, -20.0]);
        let resumed = trend([30.0, 30.0, 30.0, 30.0, -150.0, 30.0, 30.0, 30.0, 30.0, 30.0]);
        for trend in [jump, jump_on_drift, give_back, both, resumed] {
            assert!(!trend.is_sustained(0.25), "{trend:?}");
        }
    }

    #[test]
    fn short_readings_are_merged_to_steps() {
        let mut growth = Growth::new(1.0);
        let completed = (0..100).filter(|_| growth.push(0.1, 2.0, Some(1.0))).count();
        assert!((10..=11).contains(&completed));
        let trend = growth.trend().unwrap();
        assert!((trend.slope_per_s - 20.0).abs() < 1e-6);
        assert!((trend.corroborating.unwrap() / trend.total - 0.5).abs() < 1e-9);
    }
}
