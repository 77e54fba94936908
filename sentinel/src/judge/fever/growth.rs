//! Growth over several horizons at once, from ten seconds to six hours: which is the shortest that shows a trend?

use crate::judge::statistics::{
    steps::{Change, STEPS, Steps},
    trend::Trend,
};

use super::teeth::{Falls, Teeth};

/// Lengths of a step, seconds: twelve of them are a horizon of 12 s, 1 min, 5 min, 30 min and 6 h.
const STEP_S: [f64; HORIZONS] = [1.0, 5.0, 25.0, 150.0, 1800.0];
const HORIZONS: usize = 5;
/// Those that every scope has. The others are only for what lives longer than five minutes: most cgroups do not.
const SHORT: usize = 3;
const LONG_AFTER_S: f64 = 300.0;
/// Share of pairs of steps that has to rise, less those that fall.
const CONCORDANCE: f64 = 0.6;
/// Share of a rise that its two greatest steps may explain: a jump is no trend, nor are two.
const JUMP_SHARE: f64 = 0.6;
/// The shortest horizon only speaks of growth this even: a compiler at work is less so.
const EVEN: f64 = 0.35;
const EVEN_CONCORDANCE: f64 = 0.9;
/// Teeth have to fit into a step this many times for the lowest level of a step to be free of them.
pub(super) const TEETH_PER_STEP: f64 = 1.25;
/// Where it comes and goes: the same of highest levels, and the rise as a share of the height of that.
const HIGHS: f64 = 0.4;
const OF_HEIGHT: f64 = 0.5;
/// Share of the slope at which it still has to grow of late.
const GOING_ON: f64 = 0.5;
/// A horizon is long enough for so many times its span, and when it is this long, seconds.
const AHEAD: f64 = 2.0;
const LEAST_BEST_S: f64 = 40.0;
/// A horizon is within a trend up to this share of the time it was seen for.
const SEEN: f64 = 0.9;

/// Which witness of a change tells what is left.
pub(super) const USED: usize = 1;

/// What a trend has to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// Least slope, MB/s.
    pub(super) floor_mb_per_s: f64,
    /// Errors that the slope has to be above zero, for a normal distribution.
    pub(super) sigmas: f64,
}

/// A trend that holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sustained {
    /// The shortest horizon that shows it.
    shown: u8,
    free_of_teeth: bool,
    /// Falls that could give it back.
    pub(super) falls: Option<Falls>,
}

impl Sustained {
    /// True when it does not rest on a level that comes and goes.
    #[must_use]
    pub(super) const fn is_free_of_teeth(&self) -> bool {
        self.free_of_teeth
    }

    /// True when the shortest horizon shows it.
    #[must_use]
    pub(super) const fn is_of_shortest(&self) -> bool {
        self.shown == 0
    }
}

/// MB over each horizon.
pub(in crate::judge) type OverHorizons = [f64; HORIZONS];

type Trends = [Option<Trend>; HORIZONS];

/// The level of a scope over all horizons.
#[derive(Clone, Debug)]
pub(super) struct Growth {
    short: [Steps; SHORT],
    long: Option<Box<[Steps; HORIZONS - SHORT]>>,
    /// What the last complete step of each horizon showed; made when one first shows something.
    trends: Option<Box<Trends>>,
    lived_s: f64,
}

impl Growth {
    /// Nothing yet.
    #[must_use]
    pub(super) fn new() -> Self {
        Self {
            short: [Steps::new(STEP_S[0]), Steps::new(STEP_S[1]), Steps::new(STEP_S[2])],
            long: None,
            trends: None,
            lived_s: 0.0,
        }
    }

    /// Takes in a change. Trends are looked for when a step is complete.
    pub(super) fn push(&mut self, change: &Change, demand: Demand) {
        self.lived_s += change.seconds;
        if self.long.is_none() && self.lived_s >= LONG_AFTER_S {
            self.long = Some(Box::new([Steps::new(STEP_S[3]), Steps::new(STEP_S[4])]));
        }
        let long = self.long.iter_mut().flat_map(|long| long.iter_mut());
        for (index, scale) in self.short.iter_mut().chain(long).enumerate() {
            if !scale.push(change) {
                continue;
            }
            let trend = scale.trend(demand.floor_mb_per_s, |trend| is_trend(trend, index, demand));
            if trend.is_some() || self.trends.is_some() {
                self.trends.get_or_insert_default()[index] = trend;
            }
        }
    }

    /// Forgets what led up to a hole in the data. Long horizons bridge it: what was measured there stays true.
    pub(super) fn interrupt(&mut self) {
        for scale in &mut self.short {
            scale.clear();
        }
        if let Some(trends) = &mut self.trends {
            trends[..SHORT].fill(None);
        }
    }

    /// Gives memory back that it needs only while something moves.
    pub(super) fn release(&mut self) {
        let long = self.long.iter_mut().flat_map(|long| long.iter_mut());
        self.short.iter_mut().chain(long).for_each(Steps::release);
        if self
            .trends
            .as_ref()
            .is_some_and(|trends| trends.iter().all(Option::is_none))
        {
            self.trends = None;
        }
    }

    /// Rise over the shortest horizon, MB.
    #[must_use]
    pub(super) fn of_late(&self) -> f64 {
        self.short[0].total().0
    }

    /// Rise over the next longer one, a minute, and what is open of it, MB.
    #[must_use]
    pub(super) fn over_a_minute(&self) -> f64 {
        self.over(1)
    }

    /// What is left fell by this over the same time, MB; `None` where that was not measured.
    #[must_use]
    pub(super) fn used_of_late(&self) -> Option<f64> {
        self.short[0].witness(USED)
    }

    /// The last complete step of the shortest horizon rose by half of what all of them did in the mean.
    #[must_use]
    pub(super) fn goes_on_now(&self) -> bool {
        let (risen, seconds) = self.short[0].total();
        let (last, last_s) = self.short[0].last();
        last * seconds >= GOING_ON * risen * last_s
    }

    /// Rise over each horizon, MB; 0 over those that are not kept yet.
    #[must_use]
    pub(super) fn over_horizons(&self) -> OverHorizons {
        std::array::from_fn(|index| self.over(index))
    }

    fn over(&self, index: usize) -> f64 {
        self.scale(index)
            .map_or(0.0, |scale| scale.total().0 + scale.open_level())
    }

    /// The same over the horizon that shows a trend.
    #[must_use]
    pub(super) fn over_shown(&self, sustained: &Sustained, rises: &OverHorizons) -> f64 {
        rises[usize::from(sustained.shown)]
    }

    /// A sustained trend over the shortest horizon that shows it.
    #[must_use]
    pub(super) fn shown(&self, sustained: &Sustained) -> Trend {
        self.trend(sustained.shown.into()).copied().unwrap_or_default()
    }

    /// What a forecast rests on: the shortest horizon that is long enough for what lies ahead, or a longer one that bends up to
    /// it, or the longest within the time the trend was seen for. What a few seconds show says nothing of the next hour.
    #[must_use]
    pub(super) fn best(&self, sustained: &Sustained, seen_s: f64, left_mb: f64) -> Trend {
        let mut best = self.shown(sustained);
        for index in usize::from(sustained.shown) + 1..HORIZONS {
            let Some(longer) = self.trend(index).filter(|longer| longer.span_s <= SEEN * seen_s) else {
                continue;
            };
            let long_enough = left_mb <= AHEAD * best.span_s * best.slope_per_s && best.span_s >= LEAST_BEST_S;
            let bends_up = longer.is_bent() && longer.acceleration_per_s2 > 0.0;
            if long_enough && !bends_up {
                break;
            }
            best = *longer;
        }
        best
    }

    /// How long a trend can have been seen for, seconds: a longer horizon that is within that time has to show one too.
    #[must_use]
    pub(super) fn borne_out_s(&self, sustained: &Sustained) -> f64 {
        let mut longer = usize::from(sustained.shown) + 1..HORIZONS;
        let missing = longer.find(|index| self.trend(*index).is_none());
        missing.map_or(f64::INFINITY, |index| STEPS as f64 * STEP_S[index])
    }

    fn trend(&self, index: usize) -> Option<&Trend> {
        self.trends.as_ref()?[index].as_ref()
    }

    fn scale(&self, index: usize) -> Option<&Steps> {
        self.short.get(index).or_else(|| self.long.as_ref()?.get(index - SHORT))
    }

    /// The trend of the shortest horizon that shows one which goes on and is not what comes and goes.
    #[must_use]
    pub(super) fn sustained(&self, teeth: &Teeth) -> Option<Sustained> {
        self.trends.as_ref()?;
        (0..HORIZONS).find_map(|index| self.sustained_over(index, teeth))
    }

    fn sustained_over(&self, index: usize, teeth: &Teeth) -> Option<Sustained> {
        let trend = self.trend(index)?;
        let falls = teeth.of(trend.total);
        let free_of = |period_s: f64| trend.step_s >= TEETH_PER_STEP * period_s;
        let covered = teeth
            .covering_period_s(trend.total)
            .is_some_and(|period_s| !free_of(period_s));
        if covered || falls.is_some() && !rises_as_a_whole(trend) || !self.goes_on(index, trend, falls.is_some()) {
            return None;
        }
        Some(Sustained {
            shown: index as u8,
            free_of_teeth: falls.is_none_or(|falls| free_of(falls.period_s)),
            falls,
        })
    }

    /// True when it grew of late. Where it comes and goes that cannot be told.
    fn goes_on(&self, index: usize, trend: &Trend, comes_and_goes: bool) -> bool {
        let shorter = index.checked_sub(1).and_then(|index| self.scale(index));
        let Some(shorter) = shorter.filter(|_| !comes_and_goes) else {
            return true;
        };
        let (risen, seconds) = shorter.total();
        risen + shorter.open_level() >= GOING_ON * trend.slope_per_s * seconds
    }
}

/// What comes and goes does so at rising heights: its floors and its ceilings, and by more than chance moves a floor.
fn rises_as_a_whole(trend: &Trend) -> bool {
    trend.concordance_of_highs >= HIGHS && trend.total >= OF_HEIGHT * trend.height
}

fn is_trend(trend: &Trend, index: usize, demand: Demand) -> bool {
    // The shortest horizon has evenness for it.
    let even = trend.irregularity <= EVEN && trend.concordance >= EVEN_CONCORDANCE;
    let sigmas = if index == 0 {
        demand.sigmas
    } else {
        trend.significant_from(demand.sigmas)
    };
    (even || index > 0)
        && trend.slope_per_s >= demand.floor_mb_per_s
        && trend.concordance >= CONCORDANCE
        && trend.jump_share <= JUMP_SHARE
        && trend.significance() >= sigmas
}
