//! Faults that are put into ordinary series, each with the window in which an alarm is right.

use super::normal::Kind;
use crate::corpus::noise::Noise;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// One to three points far above.
    Spike,
    /// One to three points far below.
    Dip,
    /// Up to a new level for good.
    ShiftUp,
    /// Down to a new level for good.
    ShiftDown,
    /// Nothing but zeros for a while.
    Dropout,
    /// Stuck at the last value.
    FlatLine,
    /// The same level with several times the noise.
    Variance,
    /// Rising slowly until it fails.
    Drift,
    /// Many spikes where there were few.
    SpikeDensity,
    /// The rhythm breaks: a stretch repeats what was a third of a day earlier.
    Rhythm,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Spike,
        Self::Dip,
        Self::ShiftUp,
        Self::ShiftDown,
        Self::Dropout,
        Self::FlatLine,
        Self::Variance,
        Self::Drift,
        Self::SpikeDensity,
        Self::Rhythm,
    ];

    /// Puts it into a series from `onset` on. `false` when the series cannot show it: zeros are nothing new to it, it is
    /// flat anyway, or it has no rhythm. Sizes are in spreads of the series: half the way between its 1 % and 99 % points.
    pub fn inject(self, kind: Kind, series: &mut [f64], onset: usize, lasts: usize, noise: &mut Noise) -> bool {
        let (step_s, rhythmic) = (kind.step_s(), matches!(kind, Kind::Daily | Kind::Weekly));
        let around = Around::of(&series[..onset]);
        let (spread, end) = (around.spread, (onset + lasts).min(series.len()));
        let few = onset..(onset + 1 + (noise.uniform() * 3.0) as usize).min(end);
        match self {
            Self::Spike => {
                let height = spread * noise.between(3.0, 6.0);
                series[few].iter_mut().for_each(|value| *value = around.median + height);
            }
            Self::Dip => {
                let depth = spread * noise.between(3.0, 6.0);
                series[few].iter_mut().for_each(|value| *value = around.median - depth);
            }
            Self::ShiftUp | Self::ShiftDown => {
                let sign = if self == Self::ShiftUp { 1.0 } else { -1.0 };
                let height = sign * spread * noise.between(2.0, 3.5);
                series[onset..].iter_mut().for_each(|value| *value += height);
            }
            Self::Dropout => {
                if around.low <= 0.1 * around.median {
                    return false;
                }
                series[onset..end].iter_mut().for_each(|value| *value = 0.0);
            }
            Self::FlatLine => {
                if around.flat_share > 0.05 {
                    return false;
                }
                let stuck = series[onset];
                series[onset..end].iter_mut().for_each(|value| *value = stuck);
            }
            Self::Variance => {
                for value in &mut series[onset..end] {
                    *value += 1.5 * spread * noise.normal();
                }
            }
            Self::Drift => {
                for (index, value) in series[onset..end].iter_mut().enumerate() {
                    *value += 5.0 * spread * index as f64 / lasts as f64;
                }
            }
            Self::SpikeDensity => {
                for value in &mut series[onset..end] {
                    if noise.chance(0.25) {
                        *value += spread * noise.between(1.5, 2.5);
                    }
                }
            }
            Self::Rhythm => {
                if !rhythmic {
                    return false;
                }
                let third = (28_800.0 / step_s) as usize;
                series.copy_within(onset - third..end - third, onset);
            }
        }
        true
    }
}

/// What a stretch of a series is like.
struct Around {
    median: f64,
    low: f64,
    spread: f64,
    /// Share of points equal to the one before.
    flat_share: f64,
}

impl Around {
    fn of(series: &[f64]) -> Self {
        let mut sorted = series.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
        let equal = series.windows(2).filter(|pair| pair[0] == pair[1]).count();
        Self {
            median: at(0.5),
            low: at(0.01),
            spread: ((at(0.99) - at(0.01)) / 2.0).max(1.0),
            flat_share: equal as f64 / series.len() as f64,
        }
    }
}
