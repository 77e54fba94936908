//! Remembers how far a scope comes down of itself, from where and how often, so that its next rise is not taken for a
//! leak. Says nothing about how it rises.
//!
//! One zigzag for each size of fall, so that the small teeth of a collector and the large ones below which they hide
//! are both known.

/// Sizes of falls: `LEAST_MB` and its doublings.
const SIZES: usize = 13;
const LEAST_MB: f64 = 4.0;
/// A fall is remembered this many times the time between two, within these bounds, seconds.
const PERIODS: f64 = 6.0;
const SHORTEST_MEMORY_S: f64 = 900.0;
const LONGEST_MEMORY_S: f64 = 4.0 * 3600.0;
/// A rise may go this share of a fall above where it came down from before.
const SLACK: f64 = 0.3;
/// Share of a rise that has to be given back for the fall to count.
const GIVEN_BACK: f64 = 0.5;
/// Share of the distance to a lower peak by which the ceiling comes down.
const FADING: f32 = 0.15;
/// Share of a fall by which the level may stand above its lowest and not have begun to rise.
const AT_BASE: f32 = 0.2;

/// Falls of at least one size. MB, relative to when the scope was first seen; seconds since then.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Zigzag {
    /// Highest level while it rises, lowest while it falls.
    extreme: f32,
    falling: bool,
    falls: u16,
    /// Where they began: the highest, which fades with each lower one.
    ceiling: f32,
    /// Longest of the last two times between falls, or the time the first rise took.
    gaps_s: [f32; 2],
    last: Moment,
    /// Where the rise began, and when the level was last about there.
    base: f32,
    rising_since: Moment,
}

/// Tenths of a second since the scope was first seen: thirteen years of them.
type Moment = u32;

fn moment(seconds: f64) -> Moment {
    (10.0 * seconds) as Moment
}

/// Seconds from one moment to another.
fn between(earlier: Moment, later: Moment) -> f64 {
    f64::from(later.saturating_sub(earlier)) / 10.0
}

/// What is known of falls of some size and above.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Falls {
    /// How many, 1 or more.
    pub(super) count: u16,
    /// Seconds from one to the next, the longer of the last two.
    pub(super) period_s: f64,
    /// The level they began at, above the level there is; negative when it is higher now.
    pub(super) ceiling_mb: f64,
    /// Their size, MB.
    pub(super) size_mb: f64,
}

impl Falls {
    /// True when they would give back a rise of `rise_mb`, as far as its height tells: it stays below where the scope came
    /// down from before, or goes hardly above.
    #[must_use]
    pub(super) fn cover(&self, rise_mb: f64) -> bool {
        self.ceiling_mb >= -SLACK * self.size_mb && self.ceiling_mb >= -GIVEN_BACK * rise_mb
    }
}

/// Falls of one scope.
#[derive(Clone, Debug, Default)]
pub(super) struct Teeth {
    level: f64,
    now_s: f64,
    /// Of every size, as long as they are alike: nothing has moved that was large for one and small for another.
    alike: Zigzag,
    /// Of each size, from then on.
    each: Option<Box<[Zigzag; SIZES]>>,
}

impl Teeth {
    /// Takes in a step. `killed`: memory was refused, or a process killed for lack of it: nothing was given back freely.
    pub(super) fn push(&mut self, seconds: f64, level_mb: f64, killed: bool) {
        self.level += level_mb;
        self.now_s += seconds;
        let (level, now) = (self.level as f32, moment(self.now_s));
        let step = |zigzag: &mut Zigzag, size: f64| {
            zigzag.push(level, now, size as f32);
            if killed {
                zigzag.falls = 0;
            }
        };
        if let Some(each) = &mut self.each {
            each.iter_mut()
                .zip(sizes())
                .for_each(|(zigzag, size)| step(zigzag, size));
            return;
        }
        let mut each = [self.alike; SIZES];
        each.iter_mut()
            .zip(sizes())
            .for_each(|(zigzag, size)| step(zigzag, size));
        self.alike = each[0];
        if each.iter().any(|zigzag| *zigzag != self.alike) {
            self.each = Some(Box::new(each));
        }
    }

    fn of_size(&self, index: usize) -> &Zigzag {
        self.each.as_ref().map_or(&self.alike, |each| &each[index])
    }

    /// The level, MB, relative to when the scope was first seen.
    #[must_use]
    pub(super) const fn level_mb(&self) -> f64 {
        self.level
    }

    /// Falls that would give back a rise of `rise_mb`, of late.
    #[must_use]
    pub(super) fn of(&self, rise_mb: f64) -> Option<Falls> {
        self.falls(rise_mb).next()
    }

    /// The longest time between falls that would give back a rise of `rise_mb` and cover it; `None` when none do.
    #[must_use]
    pub(super) fn covering_period_s(&self, rise_mb: f64) -> Option<f64> {
        let covering = self.falls(rise_mb).filter(|falls| falls.cover(rise_mb));
        covering.map(|falls| falls.period_s).reduce(f64::max)
    }

    /// By size, from the least that counts.
    fn falls(&self, rise_mb: f64) -> impl Iterator<Item = Falls> {
        let wanted = (GIVEN_BACK * rise_mb).max(LEAST_MB);
        let first = ((wanted / LEAST_MB).log2().ceil().max(0.0) as usize).min(SIZES - 1);
        let now = moment(self.now_s);
        let of_size = sizes().zip(0..SIZES).skip(first);
        of_size.filter_map(move |(size_mb, index)| {
            let zigzag = self.of_size(index);
            let period_s = f64::from(zigzag.gaps_s[0].max(zigzag.gaps_s[1]));
            let memory_s = (PERIODS * period_s).clamp(SHORTEST_MEMORY_S, LONGEST_MEMORY_S);
            (zigzag.falls > 0 && between(zigzag.last, now) <= memory_s).then(|| Falls {
                count: zigzag.falls,
                period_s,
                ceiling_mb: f64::from(zigzag.ceiling) - self.level,
                size_mb,
            })
        })
    }

    /// Forgets how it is rising or falling, not how it fell: after a hole in the data.
    pub(super) fn interrupt(&mut self) {
        let each = self.each.iter_mut().flat_map(|each| each.iter_mut());
        for zigzag in each.chain([&mut self.alike]) {
            zigzag.extreme = self.level as f32;
            zigzag.base = self.level as f32;
            zigzag.rising_since = moment(self.now_s);
        }
    }
}

fn sizes() -> impl Iterator<Item = f64> {
    std::iter::successors(Some(LEAST_MB), |size| Some(2.0 * size))
}

impl Zigzag {
    fn push(&mut self, level: f32, now: Moment, size: f32) {
        if self.falling {
            self.extreme = self.extreme.min(level);
            if level >= self.extreme + size {
                self.falling = false;
                self.base = self.extreme;
                self.extreme = level;
            }
        } else {
            self.extreme = self.extreme.max(level);
            self.base = self.base.min(level);
            if level <= self.extreme - size {
                self.fall(level, now);
            } else if level <= self.base + AT_BASE * size {
                self.rising_since = now;
            }
        }
    }

    fn fall(&mut self, level: f32, now: Moment) {
        let since = if self.falls > 0 { self.last } else { self.rising_since };
        let gap_s = between(since, now) as f32;
        let peak = self.extreme;
        let first = self.falls == 0;
        let faded = self.ceiling + FADING * (peak - self.ceiling);
        self.ceiling = if first { peak } else { faded.max(peak) };
        self.gaps_s = [if first { gap_s } else { self.gaps_s[1] }, gap_s];
        self.falls = self.falls.saturating_add(1);
        self.falling = true;
        self.extreme = level;
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rise_and_fall(teeth: &mut Teeth, height_mb: f64, killed: bool) {
        for _ in 0..20 {
            teeth.push(1.0, height_mb / 20.0, false);
        }
        teeth.push(1.0, -height_mb, killed);
    }

    #[test]
    fn a_fall_is_known_with_its_ceiling_and_its_period() {
        let mut teeth = Teeth::default();
        assert_eq!(teeth.of(400.0), None);
        for count in 1..4 {
            rise_and_fall(&mut teeth, 400.0, false);
            let falls = teeth.of(400.0).unwrap();
            assert_eq!(falls.count, count);
            let rise_s = if count == 1 { 19.0 } else { 21.0 };
            assert!((falls.period_s - rise_s).abs() < 1.1, "{falls:?}");
            assert!((falls.ceiling_mb - 400.0).abs() < 1.0, "{falls:?}");
            assert!(falls.cover(400.0));
        }
        teeth.push(1.0, 900.0, false);
        assert!(!teeth.of(400.0).unwrap().cover(400.0), "higher than ever is news");
        assert_eq!(teeth.of(2000.0), None, "it never gave that much back");
    }

    #[test]
    fn small_teeth_do_not_hide_the_large_ones() {
        let mut teeth = Teeth::default();
        for _ in 0..3 {
            for _ in 0..20 {
                teeth.push(5.0, 100.0, false);
                teeth.push(1.0, -60.0, false);
            }
            teeth.push(1.0, -800.0, false);
        }
        let (small, large) = (teeth.of(60.0).unwrap(), teeth.of(800.0).unwrap());
        assert!(small.period_s < 10.0, "{small:?}");
        assert!((large.period_s - 121.0).abs() < 10.0, "{large:?}");
        assert!(large.ceiling_mb > 700.0, "{large:?}");
    }

    #[test]
    fn room_for_each_size_is_taken_with_the_first_difference() {
        let mut teeth = Teeth::default();
        (0..100).for_each(|_| teeth.push(1.0, 0.0, false));
        teeth.push(1.0, 0.5, false);
        teeth.push(1.0, -0.2, false);
        assert!(teeth.each.is_none(), "{teeth:?}");
        assert_eq!(teeth.of(1.0), None);
        teeth.push(1.0, 7.0, false);
        teeth.push(1.0, -6.0, false);
        assert!(teeth.each.is_some());
        assert_eq!(teeth.of(5.0).map(|falls| falls.count), Some(1));
        assert_eq!(teeth.of(9.0), None, "larger ones have not fallen");
    }

    #[test]
    fn what_the_oom_killer_took_was_not_given_back_and_the_past_fades() {
        let mut teeth = Teeth::default();
        rise_and_fall(&mut teeth, 400.0, true);
        assert_eq!(teeth.of(400.0), None);
        rise_and_fall(&mut teeth, 400.0, false);
        teeth.push(3600.0, 0.0, false);
        assert_eq!(teeth.of(400.0), None);
    }
}
