//! Does a level keep rising, or did it jump once? The slope of some steps with its error, and how it bends.
//!
//! The steps of a level are not independent: the error follows from the residuals and from how much each resembles the
//! one before. Knows no unit and no limit.

use super::steps::{STEPS, Step, WITNESSES};

/// Pairs of steps.
const PAIRS: usize = STEPS * (STEPS - 1) / 2;
/// A bend is one when it is this many times its error.
const BENT: f64 = 3.5;
/// The same of the error it has if the level wanders, for a normal distribution: that is looked at every few seconds, and one bend
/// in a thousand may be chance.
const BENT_SIGMAS: f64 = 3.0;
/// Residuals are never taken as more alike than this.
const MOST_ALIKE: f64 = 0.95;

/// Middle of each step in seconds before now, negative, and its lowest level, relative to the level now.
struct Points {
    lows: [(f64, f64); STEPS],
    highs: [f64; STEPS],
    len: usize,
}

impl Points {
    fn of(steps: &[Step]) -> Self {
        let (mut lows, mut highs) = ([(0.0, 0.0); STEPS], [0.0; STEPS]);
        let (mut time, mut level) = (0.0, 0.0);
        for (index, step) in steps.iter().enumerate().rev() {
            let (seconds, moved) = (f64::from(step.seconds), f64::from(step.moved.level));
            level -= moved;
            lows[index] = (time - seconds / 2.0, level + f64::from(step.moved.low));
            highs[index] = level + f64::from(step.moved.high);
            time -= seconds;
        }
        Self {
            lows,
            highs,
            len: steps.len(),
        }
    }

    fn lows(&self) -> &[(f64, f64)] {
        &self.lows[..self.len]
    }
}

/// What the steps show, by their lowest levels: what comes and goes within a step is no trend. Amounts in the series'
/// unit, rates per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::judge) struct Trend {
    /// Rise of the lowest level over all steps.
    pub(in crate::judge) total: f64,
    /// Time covered, seconds.
    pub(in crate::judge) span_s: f64,
    /// Length of a step, seconds.
    pub(in crate::judge) step_s: f64,
    /// Theil-Sen slope: the median slope of all pairs of steps.
    pub(in crate::judge) slope_per_s: f64,
    /// Its standard error, with what neighbouring residuals have in common.
    pub(in crate::judge) error_per_s: f64,
    /// Second derivative.
    pub(in crate::judge) acceleration_per_s2: f64,
    /// Its standard error, with what neighbouring residuals have in common.
    pub(in crate::judge) acceleration_error_per_s2: f64,
    /// Its standard error if the level is a random walk.
    pub(in crate::judge) acceleration_walk_error_per_s2: f64,
    /// Kendall's tau: share of pairs that rise less share that fall, -1 to 1.
    pub(in crate::judge) concordance: f64,
    /// The same of the highest levels.
    pub(in crate::judge) concordance_of_highs: f64,
    /// Steps it rests on.
    pub(in crate::judge) steps: u8,
    /// Median absolute deviation of the steps' rates per median rate.
    pub(in crate::judge) irregularity: f64,
    /// Share of the rise that the two greatest steps alone explain.
    pub(in crate::judge) jump_share: f64,
    /// How far the level goes above its trend within a step, on average: the height of what comes and goes.
    pub(in crate::judge) height: f64,
    /// Highest level the trend has now, above the level there is.
    pub(in crate::judge) above: f64,
    /// What the witnesses moved by.
    pub(in crate::judge) witnesses: [Option<f64>; WITNESSES],
}

impl Trend {
    /// Of these steps; `None` when the level did not rise by `least_per_s`: most do not, and that costs little.
    pub(super) fn of(steps: &[Step], least_per_s: f64) -> Option<Self> {
        let points = Points::of(steps);
        let lows = points.lows();
        let (first, last) = (lows.first()?, lows.last()?);
        let total = last.1 - first.1;
        if total < least_per_s * (last.0 - first.0) {
            return None;
        }
        let n = lows.len() as f64;
        let (slope_per_s, concordance) = theil_sen(lows)?;
        let span_s: f64 = steps.iter().map(|step| f64::from(step.seconds)).sum();
        let step_s = span_s / n;
        let line = line_of(lows, slope_per_s);
        let bend = Bend::of(lows)?;
        let bent = bend.second_per_s2.abs() > BENT * bend.error_per_s2;
        let residuals = lows.iter().map(|(time, low)| low - line - slope_per_s * time);
        let spread = if bent { bend.spread } else { Spread::of(residuals, 2.0) };
        let error_per_s = spread.error_of_mean() / bend.spread_of_times;
        let walk = walk_of(lows);
        let (slope_per_s, error_per_s) = if walk.1 < error_per_s {
            walk
        } else {
            (slope_per_s, error_per_s)
        };
        let (steepest, regular) = rises(lows, concordance);
        // A level that only rises is lowest where a step begins, half a step before its middle.
        let own_rise = slope_per_s.max(0.0) * step_s;
        let heights = steps
            .iter()
            .map(|step| f64::from(step.moved.high - step.moved.low) - own_rise);
        let height = heights.map(|height| height.max(0.0)).sum::<f64>() / n;
        let mut witnesses = [None; WITNESSES];
        for (index, sum) in witnesses.iter_mut().enumerate() {
            *sum = steps.iter().map(|step| step.witness(index)).sum();
        }
        let trend = Self {
            total,
            span_s,
            step_s,
            slope_per_s,
            error_per_s,
            acceleration_per_s2: bend.second_per_s2,
            acceleration_error_per_s2: bend.error_per_s2,
            acceleration_walk_error_per_s2: walk_bend_error(lows, bend.second_per_s2),
            concordance,
            concordance_of_highs: kendall(&points.highs[..lows.len()]),
            steps: lows.len() as u8,
            irregularity: regular,
            jump_share: if total > 0.0 { steepest / total } else { 1.0 },
            height,
            above: (line + own_rise / 2.0 + height).max(0.0),
            witnesses,
        };
        trend.is_finite().then_some(trend)
    }

    /// True when it clearly bends.
    #[must_use]
    pub(in crate::judge) fn is_bent(&self) -> bool {
        self.acceleration_per_s2.abs() > BENT * self.acceleration_error_per_s2
    }

    /// True when it bends up, and by more than a level does that only wanders: its steps grow, one after the other.
    #[must_use]
    pub(in crate::judge) fn speeds_up(&self) -> bool {
        let by_chance = self.significant_from(BENT_SIGMAS) * self.acceleration_walk_error_per_s2;
        self.is_bent() && self.acceleration_per_s2 > by_chance
    }

    fn is_finite(&self) -> bool {
        [
            self.total,
            self.slope_per_s,
            self.error_per_s,
            self.acceleration_per_s2,
            self.acceleration_error_per_s2,
            self.acceleration_walk_error_per_s2,
            self.irregularity,
            self.jump_share,
            self.height,
            self.above,
        ]
        .iter()
        .all(|number| number.is_finite())
    }

    /// How many of its errors the slope would have to be above zero to be as rare as `sigmas` of a normal distribution: the
    /// error is an estimate too. First term of Student's t in the normal quantile: E. A. Cornish and R. A. Fisher (1938).
    #[must_use]
    pub(in crate::judge) fn significant_from(&self, sigmas: f64) -> f64 {
        let freedom = f64::from(self.steps) - 3.0;
        sigmas * (1.0 + (sigmas * sigmas + 1.0) / (4.0 * freedom.max(1.0)))
    }

    /// How many of its errors the slope is above zero; at most a thousand.
    #[must_use]
    pub(in crate::judge) fn significance(&self) -> f64 {
        self.slope_per_s / self.error_per_s.max(self.slope_per_s.abs() / 1e3).max(1e-12)
    }
}

/// P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau" (1968): the median of the slopes of all
/// pairs; and Kendall's tau itself.
fn theil_sen(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let mut slopes = [0.0; PAIRS];
    let mut pairs = 0;
    let mut rising = 0.0;
    for (index, newer) in points.iter().enumerate() {
        for older in &points[..index] {
            let slope = (newer.1 - older.1) / (newer.0 - older.0);
            rising += if slope > 0.0 {
                1.0
            } else {
                -f64::from(u8::from(slope < 0.0))
            };
            slopes[pairs] = slope;
            pairs += 1;
        }
    }
    let slopes = &mut slopes[..pairs];
    let (_, middle, _) = slopes.select_nth_unstable_by(pairs / 2, f64::total_cmp);
    middle.is_finite().then_some((*middle, rising / pairs as f64))
}

/// Kendall's tau against time.
fn kendall(values: &[f64]) -> f64 {
    let mut rising = 0.0;
    for (index, newer) in values.iter().enumerate() {
        for older in &values[..index] {
            rising += f64::from(i8::from(newer > older) - i8::from(newer < older));
        }
    }
    rising / (values.len() * (values.len() - 1) / 2) as f64
}

/// Where the line of this slope stands now: the median of what each point says.
fn line_of(points: &[(f64, f64)], slope: f64) -> f64 {
    let mut said = [0.0; STEPS];
    for (said, (time, low)) in said.iter_mut().zip(points) {
        *said = low - slope * time;
    }
    median(&mut said[..points.len()])
}

/// Slope and standard error of a level that is a random walk with drift, the worst it can be: its neighbours are alike
/// whatever line is drawn, so that only its steps count. Their mean without the greatest and the least; the error is theirs.
fn walk_of(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64 - 1.0;
    let rates = || {
        points
            .windows(2)
            .map(|pair| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0))
    };
    let sum: f64 = rates().sum();
    let variance = rates().map(|rate| (rate - sum / n).powi(2)).sum::<f64>() / (n - 1.0);
    // Steps that resemble the one before tell less than as many that do not.
    let products = rates().zip(rates().skip(1)).map(|(a, b)| (a - sum / n) * (b - sum / n));
    let alike = products.sum::<f64>() / (variance * (n - 1.0)).max(f64::MIN_POSITIVE);
    let alike = ((alike + 1.0 / n) / (1.0 - 3.0 / n)).clamp(0.0, 0.7);
    let greatest = rates().fold(f64::NEG_INFINITY, f64::max);
    let least = rates().fold(f64::INFINITY, f64::min);
    (
        (sum - greatest - least) / (n - 2.0),
        (variance / n * (1.0 + alike) / (1.0 - alike)).sqrt(),
    )
}

/// Standard error of a bend if the level is a random walk, whose residuals say little: by how much its rates, which are then
/// independent, miss the line of that slope.
fn walk_bend_error(points: &[(f64, f64)], bend: f64) -> f64 {
    let n = points.len() as f64 - 1.0;
    let rates = || {
        points.windows(2).map(|pair| {
            let rate = (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0);
            (f64::midpoint(pair[0].0, pair[1].0), rate)
        })
    };
    let (times, sum) = rates().fold((0.0, 0.0), |sums, (time, rate)| (sums.0 + time, sums.1 + rate));
    let (mut squares, mut of_times) = (0.0, 0.0);
    for (time, rate) in rates() {
        let from_middle = time - times / n;
        squares += (rate - sum / n - bend * from_middle).powi(2);
        of_times += from_middle * from_middle;
    }
    (squares / (n - 2.0) / of_times).sqrt()
}

/// The two greatest rises together, and the irregularity of all.
fn rises(points: &[(f64, f64)], concordance: f64) -> (f64, f64) {
    let mut rates = [0.0; STEPS];
    let (mut first, mut second) = (0.0_f64, 0.0_f64);
    for (rate, pair) in rates.iter_mut().zip(points.windows(2)) {
        let rise = pair[1].1 - pair[0].1;
        *rate = rise / (pair[1].0 - pair[0].0);
        if rise > first {
            (first, second) = (rise, first);
        } else {
            second = second.max(rise);
        }
    }
    let rates = &mut rates[..points.len() - 1];
    let middle = median(rates);
    if middle <= 0.0 || concordance <= 0.0 {
        return (first + second, 1.0);
    }
    for rate in rates.iter_mut() {
        *rate = (*rate - middle).abs();
    }
    (first + second, median(rates) / middle)
}

fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    let odd = values.len() % 2 == 1;
    let (below, middle, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if odd {
        return *middle;
    }
    let below = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    f64::midpoint(below, *middle)
}

/// Spread of residuals, and how many of them are worth one.
#[derive(Clone, Copy, Debug)]
struct Spread {
    sigma: f64,
    count: f64,
    /// Lag-1 autocorrelation, without the bias that fitting a line leaves.
    alike: f64,
}

impl Spread {
    /// Of residuals of a fit with so many parameters.
    ///
    /// The estimate of lag-1 autocorrelation is low by about `(parameters + 4 rho) / n` (F. H. C. Marriott and J. A. Pope,
    /// "Bias in the estimation of autocorrelations", 1954) and uncertain by `1 / sqrt(n)`: that much is added, because an error
    /// that is too small makes trends of nothing.
    fn of(residuals: impl Iterator<Item = f64>, parameters: f64) -> Self {
        let (mut squares, mut products, mut count) = (0.0, 0.0, 0.0);
        let mut before = None;
        for residual in residuals {
            squares += residual * residual;
            products += before.map_or(0.0, |before| before * residual);
            before = Some(residual);
            count += 1.0;
        }
        let alike = if squares > 0.0 { products / squares } else { 0.0 };
        let unbiased = (alike + parameters / count) / (1.0 - 4.0 / count) + 1.0 / count.sqrt();
        Self {
            sigma: (squares / (count - parameters)).sqrt(),
            count,
            alike: unbiased.clamp(0.0, MOST_ALIKE),
        }
    }

    /// Standard error of their mean: `sigma sqrt((1 + rho) / (1 - rho) / n)`.
    fn error_of_mean(&self) -> f64 {
        self.sigma * ((1.0 + self.alike) / (1.0 - self.alike) / self.count).sqrt()
    }
}

/// Least-squares parabola, by polynomials that are orthogonal over the times.
#[derive(Clone, Copy, Debug)]
struct Bend {
    second_per_s2: f64,
    error_per_s2: f64,
    spread: Spread,
    /// Standard deviation of the times, seconds.
    spread_of_times: f64,
}

impl Bend {
    fn of(points: &[(f64, f64)]) -> Option<Self> {
        let n = points.len() as f64;
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
        let (time, level) = (mean(&|point| point.0), mean(&|point| point.1));
        let second = mean(&|point| (point.0 - time).powi(2));
        if second <= 0.0 {
            return None;
        }
        let third = mean(&|point| (point.0 - time).powi(3)) / second;
        let parabola = |at: f64| {
            let from_mean = at - time;
            from_mean * from_mean - third * from_mean - second
        };
        let norm = mean(&|point| parabola(point.0).powi(2));
        if norm <= 0.0 {
            return None;
        }
        let slope = mean(&|point| (point.0 - time) * (point.1 - level)) / second;
        let bend = mean(&|point| parabola(point.0) * (point.1 - level)) / norm;
        let residuals = points
            .iter()
            .map(|(at, low)| low - level - slope * (at - time) - bend * parabola(*at));
        let spread = Spread::of(residuals, 3.0);
        Some(Self {
            second_per_s2: 2.0 * bend,
            error_per_s2: 2.0 * spread.error_of_mean() / norm.sqrt(),
            spread,
            spread_of_times: second.sqrt(),
        })
    }
}

#[cfg(test)]
mod tests;
