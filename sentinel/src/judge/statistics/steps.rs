//! The last steps of a level over one horizon, each with its lowest and highest, in constant memory. Readings shorter
//! than a step are merged; what the steps show is told by `trend`.

use super::trend::Trend;

/// Steps kept.
pub(in crate::judge) const STEPS: usize = 12;
/// Of them, those that room is made for at first.
const FEW: usize = 4;
/// Fewest steps that make a trend.
const LEAST_STEPS: usize = 8;
/// What changed over some time. Amounts in the series' unit.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::judge) struct Change {
    /// Real time, seconds.
    pub(in crate::judge) seconds: f64,
    /// The level itself.
    pub(in crate::judge) level: f64,
    /// Series that would move with it if it is what it seems; `None` where not measured.
    pub(in crate::judge) witnesses: [Option<f64>; WITNESSES],
}

impl Change {
    /// The same as `count` equal parts, of which all but the last `most` are one: that one if there is, a part, and how many.
    pub(in crate::judge) fn split(&self, count: u32, most: u32) -> (Option<Self>, Self, usize) {
        let count = count.max(1);
        let parts = count.min(most);
        let bulk = (count > parts).then(|| self.share(f64::from(count - parts) / f64::from(count)));
        (bulk, self.share(1.0 / f64::from(count)), parts as usize)
    }

    fn share(&self, share: f64) -> Self {
        Self {
            seconds: share * self.seconds,
            level: share * self.level,
            witnesses: self.witnesses.map(|moved| moved.map(|moved| share * moved)),
        }
    }
}

/// Witnesses of a change.
pub(in crate::judge) const WITNESSES: usize = 2;

/// A complete step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    pub(super) seconds: f32,
    /// Witnesses that were measured all the time, one bit each.
    measured: u8,
    pub(super) moved: Moved,
}

/// What moved within a step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    pub(super) level: f32,
    /// Lowest and highest level within, relative to its beginning.
    pub(super) low: f32,
    pub(super) high: f32,
    witnesses: [f32; WITNESSES],
}

impl Moved {
    fn is_nothing(&self) -> bool {
        let [first, second] = self.witnesses;
        [self.level, self.low, self.high, first, second].map(f32::to_bits) == [0; 3 + WITNESSES]
    }
}

impl Step {
    /// What a witness moved by.
    pub(super) fn witness(&self, index: usize) -> Option<f64> {
        (self.measured >> index & 1 == 1).then_some(f64::from(self.moved.witnesses[index]))
    }
}

/// The last steps of a level, each at least `step_s` long.
#[derive(Clone, Debug)]
pub(in crate::judge) struct Steps {
    seconds: [f32; STEPS],
    measured: [u8; STEPS],
    /// Those in which something moved, one bit each from the oldest on, and what did.
    moving: u16,
    moved: Vec<Moved>,
    len: u8,
    open: Open,
    step_s: f32,
}

/// The step that is not complete yet.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    seconds: f64,
    level: f64,
    low: f32,
    high: f32,
    witnesses: [f32; WITNESSES],
    measured: u8,
}

impl Steps {
    /// None yet.
    #[must_use]
    pub(in crate::judge) fn new(step_s: f64) -> Self {
        Self {
            seconds: [0.0; STEPS],
            measured: [0; STEPS],
            moving: 0,
            moved: Vec::new(),
            len: 0,
            open: Open::default(),
            step_s: step_s as f32,
        }
    }

    /// Change of the level since the last complete step.
    #[must_use]
    pub(in crate::judge) const fn open_level(&self) -> f64 {
        self.open.level
    }

    /// Takes in a change; true when that completed a step. Readings longer than a step are steps of their own.
    pub(in crate::judge) fn push(&mut self, change: &Change) -> bool {
        let open = &mut self.open;
        if open.seconds <= 0.0 {
            open.measured = u8::MAX;
        }
        open.seconds += change.seconds;
        open.level += change.level;
        open.low = open.low.min(open.level as f32);
        open.high = open.high.max(open.level as f32);
        for (index, moved) in change.witnesses.iter().enumerate() {
            match moved {
                Some(moved) => open.witnesses[index] += *moved as f32,
                None => open.measured &= !(1 << index),
            }
        }
        // A tenth of a percent of slack: the sum of many short readings.
        if open.seconds < 0.999 * f64::from(self.step_s) {
            return false;
        }
        let open = std::mem::take(open);
        self.keep(&Step {
            seconds: open.seconds as f32,
            measured: open.measured,
            moved: Moved {
                level: open.level as f32,
                low: open.low,
                high: open.high,
                witnesses: open.witnesses,
            },
        });
        true
    }

    fn keep(&mut self, step: &Step) {
        if usize::from(self.len) == STEPS {
            self.seconds.copy_within(1.., 0);
            self.measured.copy_within(1.., 0);
            if self.moving & 1 == 1 {
                self.moved.remove(0);
            }
            self.moving >>= 1;
            self.len -= 1;
        }
        let last = usize::from(self.len);
        (self.seconds[last], self.measured[last]) = (step.seconds, step.measured);
        if !step.moved.is_nothing() {
            self.make_room();
            self.moved.push(step.moved);
            self.moving |= 1 << last;
        }
        self.len += 1;
    }

    /// For a few at first, then for all there can be: what moves now and then takes little, and what always moves asks twice.
    fn make_room(&mut self) {
        if self.moved.len() == self.moved.capacity() {
            let most = if self.moved.is_empty() { FEW } else { STEPS };
            self.moved.reserve_exact(most - self.moved.len());
        }
    }

    /// Gives memory back that it needs only while something moves.
    pub(in crate::judge) fn release(&mut self) {
        self.moved.shrink_to_fit();
    }

    /// Forgets everything.
    pub(in crate::judge) fn clear(&mut self) {
        *self = Self::new(f64::from(self.step_s));
    }

    /// Change of the level over the steps there are, and the time they cover, seconds.
    #[must_use]
    pub(in crate::judge) fn total(&self) -> (f64, f64) {
        let sum = |of: fn(Step) -> f32| self.iter().map(|step| f64::from(of(step))).sum();
        (sum(|step| step.moved.level), sum(|step| step.seconds))
    }

    /// What a witness moved by over the steps there are; `None` when it was not measured in all of them.
    #[must_use]
    pub(in crate::judge) fn witness(&self, index: usize) -> Option<f64> {
        self.iter().map(|step| step.witness(index)).sum()
    }

    /// Change of the level over the last complete step, and its length, seconds; zeros before there is one.
    #[must_use]
    pub(in crate::judge) fn last(&self) -> (f64, f64) {
        self.iter()
            .last()
            .map_or((0.0, 0.0), |step| (step.moved.level.into(), step.seconds.into()))
    }

    /// The trend over all steps, or over the latest [`LEAST_STEPS`] when only they rise: what began a while ago should
    /// not wait until it fills the window. `None` with fewer steps, and when the level did not rise by `least_per_s`.
    #[must_use]
    pub(in crate::judge) fn trend(&self, least_per_s: f64, accepts: impl Fn(&Trend) -> bool) -> Option<Trend> {
        let all = self.latest(usize::from(self.len), least_per_s).filter(&accepts);
        if usize::from(self.len) == LEAST_STEPS || all.is_some_and(|trend| !trend.is_bent()) {
            return all;
        }
        let latest = self.latest(LEAST_STEPS, least_per_s).filter(&accepts);
        // What bends as a whole and is straight of late is a line that began within.
        latest.filter(|trend| all.is_none() || !trend.is_bent()).or(all)
    }

    /// From the oldest on.
    fn iter(&self) -> impl ExactSizeIterator<Item = Step> {
        let mut moved = self.moved.iter();
        (0..usize::from(self.len)).map(move |index| {
            let moving = self.moving >> index & 1 == 1;
            Step {
                seconds: self.seconds[index],
                measured: self.measured[index],
                moved: moving.then(|| moved.next().copied()).flatten().unwrap_or_default(),
            }
        })
    }

    fn latest(&self, count: usize, least_per_s: f64) -> Option<Trend> {
        let len = usize::from(self.len);
        if count < LEAST_STEPS || len < count {
            return None;
        }
        let mut steps = [Step::default(); STEPS];
        for (kept, step) in steps.iter_mut().zip(self.iter().skip(len - count)) {
            *kept = step;
        }
        Trend::of(&steps[..count], least_per_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::statistics::chance::uniform;

    fn steps(levels: impl IntoIterator<Item = f64>) -> Steps {
        let mut steps = Steps::new(1.0);
        for level in levels {
            steps.push(&Change {
                seconds: 1.0,
                level,
                witnesses: [Some(level / 2.0), None],
            });
        }
        steps
    }

    fn trend(levels: impl IntoIterator<Item = f64>) -> Option<Trend> {
        steps(levels).trend(0.1, |_| true)
    }

    /// Noise of a unit spread, heavier in the middle than at the ends.
    fn noise(index: u32) -> f64 {
        let three = (0..3).map(|salt| uniform(u64::from(index) * 3 + salt) - 0.5);
        2.0 * three.sum::<f64>()
    }

    #[test]
    fn short_readings_are_merged_to_steps_and_the_slope_is_per_second() {
        for reading_s in [0.1, 0.25, 1.0, 5.0] {
            let mut steps = Steps::new(1.0);
            for _ in 0..(12.0_f64.max(12.0 * reading_s) / reading_s) as u32 {
                steps.push(&Change {
                    seconds: reading_s,
                    level: 20.0 * reading_s,
                    witnesses: [Some(10.0 * reading_s), None],
                });
            }
            let trend = steps.trend(0.1, |_| true).unwrap();
            assert!((trend.slope_per_s - 20.0).abs() < 1e-3, "{reading_s} s: {trend:?}");
            assert!((trend.witnesses[0].unwrap() / trend.span_s - 10.0).abs() < 1e-3);
            assert_eq!(trend.witnesses[1], None);
            assert!(trend.height < 1e-3 && trend.above < 0.1, "{trend:?}");
        }
    }

    #[test]
    fn where_nothing_moves_no_room_is_taken_and_it_is_as_if_there_were() {
        let still = Change {
            seconds: 1.0,
            level: 0.0,
            witnesses: [Some(0.0), None],
        };
        let mut roomy = steps([5.0]);
        let mut small = Steps::new(1.0);
        for _ in 0..STEPS {
            roomy.push(&still);
            small.push(&still);
        }
        assert_eq!((roomy.moved.capacity(), small.moved.capacity()), (FEW, 0));
        assert!(roomy.moved.is_empty(), "what moved is past");
        let seen = |steps: &Steps| {
            let trend = steps.trend(0.0, |_| true);
            (steps.total(), steps.last(), steps.witness(0), steps.witness(1), trend)
        };
        assert_eq!(format!("{:?}", seen(&roomy)), format!("{:?}", seen(&small)));
        assert_eq!((small.witness(0), small.witness(1)), (Some(0.0), None));
        roomy.release();
        assert_eq!(roomy.moved.capacity(), 0);
    }

    #[test]
    fn each_step_keeps_what_moved_in_it_wherever_others_stood_still() {
        let level = |step: u32| if step % 3 == 1 { f64::from(step) } else { 0.0 };
        let mut steps = Steps::new(1.0);
        for step in 0..100 {
            steps.push(&Change {
                seconds: 1.0,
                level: level(step),
                witnesses: [Some(2.0 * level(step)), None],
            });
            steps.release();
            let first = (step + 1).saturating_sub(STEPS as u32);
            let kept: Vec<f64> = steps.iter().map(|step| step.moved.level.into()).collect();
            assert_eq!(kept, (first..=step).map(level).collect::<Vec<_>>());
            let sum: f64 = kept.iter().sum();
            assert_eq!((steps.total().0, steps.witness(0)), (sum, Some(2.0 * sum)));
            assert_eq!(steps.last().0, level(step));
        }
    }

    #[test]
    fn noise_around_a_level_hides_no_trend_and_makes_none() {
        let rising = trend((0..12).map(|index| 2.0 + noise(index + 1) - noise(index))).unwrap();
        assert!(
            (rising.slope_per_s - 2.0).abs() < 3.0 * rising.error_per_s,
            "{rising:?}"
        );
        assert!(rising.significance() > 8.0, "{rising:?}");
        let level = steps((0..12).map(|index| noise(index + 1) - noise(index)));
        let significance = level.trend(-10.0, |_| true).map_or(0.0, |trend| trend.significance());
        assert!(significance < 3.0, "{significance}");
    }

    #[test]
    fn the_error_is_what_it_says_for_noise_around_a_line_and_for_a_walk() {
        const WINDOWS: u32 = 1000;
        for (name, is_walk) in [("line", false), ("walk", true)] {
            let wrong = (0..WINDOWS).filter(|window| {
                let from = 20 * window;
                let level =
                    |index: u32| 2.0 + noise(from + index) - if is_walk { 0.0 } else { noise(from + index + 1) };
                trend((0..12).map(level)).is_none_or(|trend| (trend.slope_per_s - 2.0).abs() > 3.5 * trend.error_per_s)
            });
            let share = wrong.count() as f64 / f64::from(WINDOWS);
            // Twelve points of a walk hardly tell that it is one.
            assert!(share < if is_walk { 0.1 } else { 0.01 }, "{name}: {share}");
        }
    }

    #[test]
    fn one_jump_or_two_explain_the_whole_and_a_slope_does_not() {
        let jump = trend((0..12).map(|index| if index == 5 { 100.0 } else { 0.2 })).unwrap();
        let two = trend((0..12).map(|index| if index % 5 == 3 { 100.0 } else { 0.2 })).unwrap();
        let slope = trend((0..12).map(|_| 10.0)).unwrap();
        assert!(jump.jump_share > 0.9 && two.jump_share > 0.9 && slope.jump_share < 0.25);
    }

    #[test]
    fn what_comes_and_goes_within_a_step_is_a_height_and_no_trend() {
        let mut steps = Steps::new(10.0);
        for second in 0..120 {
            let level = if second % 5 == 4 { -79.0 } else { 20.0 };
            steps.push(&Change {
                seconds: 1.0,
                level,
                witnesses: [None; WITNESSES],
            });
        }
        let trend = steps.trend(0.05, |_| true).unwrap();
        assert!((trend.slope_per_s - 0.2).abs() < 0.01, "{trend:?}");
        assert!((70.0..90.0).contains(&trend.height), "{trend:?}");
        assert!((trend.above - trend.height).abs() < 10.0, "{trend:?}");
    }

    #[test]
    fn a_bend_is_told_from_a_line_and_its_second_derivative_is_right() {
        // level = 0.5 t^2, so that it bends by 1 per second squared.
        let bent = trend((0..12).map(|index| f64::from(index) + 0.5 + 0.02 * noise(index))).unwrap();
        assert!((bent.acceleration_per_s2 - 1.0).abs() < 0.05, "{bent:?}");
        assert!(bent.is_bent());
        assert!(!trend((0..12).map(|index| 5.0 + noise(index))).unwrap().is_bent());
    }

    #[test]
    fn what_began_a_while_ago_does_not_wait_until_it_fills_the_horizon() {
        let steps = steps((0..12).map(|index| if index < 4 { 0.0 } else { 10.0 }));
        let even = |trend: &Trend| trend.concordance > 0.9;
        let trend = steps.trend(0.1, even).unwrap();
        assert!((trend.slope_per_s - 10.0).abs() < 0.01 && trend.steps == 8, "{trend:?}");
    }
}
