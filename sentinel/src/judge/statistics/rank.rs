//! The rank of a value in its own history: how rarely was it as high? The common scale of every series.
//!
//! A histogram over logarithmic buckets whose weights decay with real time, so that the memory is constant and the
//! distant past fades. It assumes no distribution. Beyond what was ever seen the tail goes on as a power law.

use crate::judge::learned::{self, Keeps, Series};

/// Buckets, two for each doubling, from one resolution up to 2^18 of them: what is higher counts as that.
const BUCKETS: usize = 38;
const PER_OCTAVE: f64 = 2.0;
/// Half of a value's weight is gone after this long, seconds: a day.
const HALF_LIFE_S: f64 = 86_400.0;
/// Readings before a rank means anything.
const READY: f64 = 30.0;
/// Readings that have to lie above a value for their count alone to tell its rank.
const COUNTED: f64 = 12.0;
/// What is believed of the tail before it was seen: the exponent of a rather heavy one, and for how many readings that
/// counts.
const PRIOR_EXPONENT: f64 = 4.0;
const PRIOR_READINGS: f64 = 6.0;
/// Weights are scaled back when a new reading weighs this much.
const RESCALE: f64 = 1e6;
/// No value is rarer than this, in decades: nothing is known that well.
const MOST_DECADES: f64 = 12.0;

/// More readings than this nobody has seen in one bucket.
const MOST_READINGS: f32 = 1e9;

/// Weight by bucket. Most series of most scopes never leave the lowest bucket: room for the others is taken when one does.
#[derive(Clone, Debug)]
struct Weights {
    lowest: f32,
    /// All of them, with a zero for the lowest.
    others: Option<Box<[f32; BUCKETS]>>,
}

impl Weights {
    const NONE: Self = Self {
        lowest: 0.0,
        others: None,
    };

    fn get(&self, bucket: usize) -> f32 {
        match &self.others {
            _ if bucket == 0 => self.lowest,
            Some(others) => others[bucket],
            None => 0.0,
        }
    }

    /// To be written; `bucket` is below [`BUCKETS`].
    fn at(&mut self, bucket: usize) -> &mut f32 {
        if bucket == 0 {
            return &mut self.lowest;
        }
        &mut self.others.get_or_insert_with(|| Box::new([0.0; BUCKETS]))[bucket]
    }

    fn scale(&mut self, scale: f32) {
        self.lowest *= scale;
        let others = self.others.iter_mut().flat_map(|others| others.iter_mut());
        others.for_each(|weight| *weight *= scale);
    }

    /// From the lowest bucket up.
    fn iter(&self) -> impl Iterator<Item = f32> {
        (0..BUCKETS).map(|bucket| self.get(bucket))
    }
}

/// A decaying log histogram of magnitudes.
#[derive(Clone, Debug)]
pub(in crate::judge) struct Rank {
    weights: Weights,
    /// Weight of the next reading; grows instead of all others shrinking.
    unit_weight: f64,
    total: f64,
    resolution: f64,
}

impl Rank {
    /// Of a series that is measured no finer than `resolution`, above zero: what is smaller counts as equal.
    #[must_use]
    pub(in crate::judge) const fn new(resolution: f64) -> Self {
        Self {
            weights: Weights::NONE,
            unit_weight: 1.0,
            total: 0.0,
            resolution,
        }
    }

    /// Takes in the magnitude of so many readings in a row, which together stand for `seconds`. What is not finite is
    /// refused.
    pub(in crate::judge) fn learn(&mut self, value: f64, seconds: f64, readings: u32) {
        if !value.is_finite() || !seconds.is_finite() || seconds <= 0.0 {
            return;
        }
        self.unit_weight *= (seconds / HALF_LIFE_S).min(64.0).exp2();
        let weight = self.unit_weight * f64::from(readings);
        let bucket = self.position(value) as usize;
        *self.weights.at(bucket) += weight as f32;
        self.total += weight;
        if self.unit_weight > RESCALE {
            let scale = 1.0 / self.unit_weight;
            self.weights.scale(scale as f32);
            self.total *= scale;
            self.unit_weight = 1.0;
        }
    }

    /// Readings it rests on; old ones count less.
    #[must_use]
    pub(in crate::judge) fn readings(&self) -> f64 {
        self.total / self.unit_weight
    }

    /// How rarely the series was at `value` or above, in decades: `-log10` of the share of readings, so 3 is one in a
    /// thousand. From 0 to 12; `None` below thirty readings, and for what is not finite.
    ///
    /// Where fewer than a dozen readings were higher, the share is that of a power law fitted to the highest 2 % of them:
    /// B. M. Hill, "A simple general approach to inference about the tail of a distribution" (1975).
    #[must_use]
    pub(in crate::judge) fn decades(&self, value: f64) -> Option<f64> {
        let readings = self.readings();
        if readings < READY || !value.is_finite() {
            return None;
        }
        let above = self.above(self.position(value)) / self.unit_weight;
        let share = if above >= COUNTED {
            above / readings
        } else {
            self.tail_share(value, readings).min((above + 1.0) / readings)
        };
        Some((-share.log10()).clamp(0.0, MOST_DECADES))
    }

    /// Share of readings above `value` by the power law of the tail.
    fn tail_share(&self, value: f64, readings: f64) -> f64 {
        let wanted = COUNTED.max(0.02 * readings) * self.unit_weight;
        let mut weight = 0.0;
        let mut first = BUCKETS;
        while first > 0 && weight < wanted {
            first -= 1;
            weight += f64::from(self.weights.get(first));
        }
        let threshold = first as f64;
        let log_excess: f64 = (first..BUCKETS)
            .map(|bucket| f64::from(self.weights.get(bucket)) * (bucket as f64 + 0.5 - threshold))
            .sum();
        let in_tail = weight / self.unit_weight;
        let per_bucket = std::f64::consts::LN_2 / PER_OCTAVE;
        let mean_excess =
            (log_excess / self.unit_weight * per_bucket + PRIOR_READINGS / PRIOR_EXPONENT) / (in_tail + PRIOR_READINGS);
        let excess = (self.position(value) - threshold).max(0.0) * per_bucket;
        in_tail / readings * (-excess / mean_excess).exp()
    }

    /// Weight above a position; within a bucket it is spread evenly.
    fn above(&self, position: f64) -> f64 {
        let bucket = position as usize;
        let within = (bucket + 1) as f64 - position;
        let higher: f64 = (bucket + 1..BUCKETS)
            .map(|bucket| f64::from(self.weights.get(bucket)))
            .sum();
        higher + within * f64::from(self.weights.get(bucket))
    }

    /// The bucket of a value, with the fraction inside it; at least 0 and below [`BUCKETS`].
    fn position(&self, value: f64) -> f64 {
        let octaves = (value / self.resolution).max(1.0).log2();
        (octaves * PER_OCTAVE).min(BUCKETS as f64 - 1.0)
    }
}

impl Keeps for Rank {
    fn learned(&self) -> Option<Series> {
        // A thousandth of a reading is nothing, and short to write.
        let rounded = |weight: f32| (f64::from(weight) / self.unit_weight * 1e3).round() / 1e3;
        let mut rank: Vec<f32> = self
            .weights
            .iter()
            .map(|weight| learned::short(rounded(weight)))
            .collect();
        let used = rank.iter().rposition(|weight| *weight > 0.0)? + 1;
        rank.truncate(used);
        Some(Series {
            rank,
            ..Series::default()
        })
    }

    fn take_back(&mut self, series: &Series, age_s: f64) {
        let known = |weight: &f32| weight.is_finite() && (0.0..=MOST_READINGS).contains(weight);
        if series.rank.len() > BUCKETS || !series.rank.iter().all(known) {
            return;
        }
        let faded = (-age_s / HALF_LIFE_S).exp2();
        for (bucket, was) in series.rank.iter().enumerate() {
            // What is nothing takes no room.
            let weight = (f64::from(*was) * faded) as f32;
            if weight > 0.0 || self.weights.get(bucket) > 0.0 {
                *self.weights.at(bucket) = weight;
            }
        }
        self.total = self.weights.iter().map(f64::from).sum();
        self.unit_weight = 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uniform in (0, 1), low discrepancy.
    fn uniform(index: u32) -> f64 {
        (f64::from(index) * 0.618_033_988_749_895).fract().max(1e-9)
    }

    fn filled(count: u32, value: impl Fn(f64) -> f64) -> Rank {
        let mut rank = Rank::new(0.01);
        (1..=count).for_each(|index| rank.learn(value(uniform(index)), 1.0, 1));
        rank
    }

    #[test]
    fn it_is_the_share_of_readings_above() {
        let rank = filled(10_000, |u| u);
        assert!((rank.decades(0.9).unwrap() - 1.0).abs() < 0.1);
        assert!((rank.decades(0.5).unwrap() - 0.3).abs() < 0.1);
        assert!(rank.decades(0.0).unwrap() < 1e-6);
    }

    #[test]
    fn the_tail_goes_on_as_it_was_heavy_or_light() {
        // P(x > 100) is 1e-4 for the first series and far less for the second.
        let heavy = filled(2000, |u| u.powf(-0.5));
        let light = filled(2000, |u| 1.0 + u);
        assert!(
            (heavy.decades(100.0).unwrap() - 4.0).abs() < 0.7,
            "{:?}",
            heavy.decades(100.0)
        );
        assert!(light.decades(100.0).unwrap() > 5.0);
        assert!(light.decades(100.0).unwrap() <= MOST_DECADES);
    }

    #[test]
    fn it_never_falls_as_the_value_rises() {
        let rank = filled(3000, |u| u.powf(-0.7));
        let decades: Vec<f64> = (0..400)
            .map(|step| rank.decades(1.05_f64.powi(step) * 0.01).unwrap())
            .collect();
        assert!(decades.windows(2).all(|pair| pair[1] >= pair[0] - 1e-9));
    }

    #[test]
    fn a_series_that_never_moved_gives_a_finite_rank() {
        let rank = filled(100, |_| 0.0);
        let decades = rank.decades(1e9).unwrap();
        assert!(decades > 2.0 && decades <= MOST_DECADES, "{decades}");
    }

    #[test]
    fn the_distant_past_fades() {
        let mut rank = Rank::new(0.01);
        (0..200).for_each(|_| rank.learn(100.0, 60.0, 1));
        let before = rank.decades(50.0).unwrap();
        (0..20 * 1440).for_each(|_| rank.learn(1.0, 60.0, 1));
        assert!(before < 0.1 && rank.decades(50.0).unwrap() > 4.0);
        assert!(rank.readings() < 2100.0, "{}", rank.readings());
    }

    #[test]
    fn what_was_known_is_taken_back_and_half_of_it_is_gone_after_a_day() {
        let rank = filled(3000, |u| u.powf(-0.7));
        let back = |age_s: f64| {
            let mut fresh = Rank::new(0.01);
            fresh.take_back(&rank.learned().unwrap(), age_s);
            fresh
        };
        for value in [0.5, 2.0, 40.0] {
            let (was, is) = (rank.decades(value).unwrap(), back(0.0).decades(value).unwrap());
            assert!((was - is).abs() < 0.01, "{value}: {was} {is}");
        }
        assert!((back(HALF_LIFE_S).readings() / rank.readings() - 0.5).abs() < 0.01);
        let mut refused = Rank::new(0.01);
        let nonsense = Series {
            rank: vec![1.0, -5.0],
            ..Series::default()
        };
        refused.take_back(&nonsense, 0.0);
        assert_eq!(refused.readings(), 0.0);
    }

    #[test]
    fn nothing_that_is_not_finite_enters_or_leaves() {
        let mut rank = filled(100, |u| u);
        let before = rank.readings();
        rank.learn(f64::NAN, 1.0, 1);
        rank.learn(f64::INFINITY, 1.0, 1);
        rank.learn(1.0, f64::NAN, 1);
        assert_eq!(rank.readings(), before);
        assert_eq!(rank.decades(f64::NAN), None);
        assert_eq!(Rank::new(1.0).decades(1.0), None);
        assert!(rank.decades(f64::MAX).unwrap().is_finite());
    }
}
