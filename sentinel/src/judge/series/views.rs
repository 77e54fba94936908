//! One series seen in several ways: how far a point lies from the last one, from the recent level, from the long one,
//! from what this time of the day is used to; how restless, how flat it is. In: points. Out: signed distances, each in
//! units of what is typical for that view. Nothing here knows how rare a distance is.

use super::profile::Profile;

/// Views with a sign: up and down are rare in their own right.
pub(super) const SIGNED: usize = 8;

/// Time constants, points.
const FAST: f64 = 6.0;
const RUN: f64 = 12.0;
const SLOW: f64 = 700.0;
const SCALE: f64 = 800.0;
const RESTLESS: f64 = 16.0;
const RESTLESS_LONG: f64 = 80.0;
/// A distance counts no more than this many typical ones when the typical one is learned.
const CLIP: f64 = 4.0;
/// Of what exceeds that, this share counts: series that seldom move have a scale too.
const OUTLIER: f64 = 0.25;
/// So many points on the same side, far off, and the long level follows: a new plateau.
const PLATEAU: f64 = 96.0;
/// Points that the profile foretold before it is asked.
const EXPECTED: f64 = 32.0;
/// What is outside of what this time of the day was by no more than this share of its distance from the long level is
/// still that.
const USUAL: f64 = 0.15;
/// The series is measured no finer than this share of its level.
const RESOLUTION: f64 = 1e-6;
/// No series is flatter than so many equal points in a row; and one that changed less often than this never is.
const FLATTEST: f32 = 64.0;
const CHANGES: f32 = 8.0;
/// A gap of this many usual gaps interrupts it.
pub(super) const INTERRUPTED: f64 = 12.0;

/// A mean with exponential forgetting; early points count less than later ones, so that the first does not matter.
#[derive(Clone, Copy, Debug, Default)]
struct Ew(f64);

impl Ew {
    #[inline]
    fn learn(&mut self, value: f64, share: f64) {
        self.0 += share * (value - self.0);
    }
}

/// What is typical of a distance.
#[derive(Clone, Copy, Debug, Default)]
struct Scale(f64);

impl Scale {
    /// A signed distance in units of the typical one, which then learns it.
    #[inline]
    fn take(&mut self, distance: f64, floor: f64, share: f64) -> f32 {
        let size = distance.abs();
        let relative = if size <= floor {
            0.0
        } else {
            distance / self.0.max(floor)
        };
        let bound = CLIP * self.0 + size * OUTLIER;
        self.0 += share * (size.min(bound) - self.0);
        relative as f32
    }
}

/// What is seen at a point; `None` where a view has not enough past.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Signed distances; the larger, the odder.
    pub(super) signed: [Option<f32>; SIGNED],
    /// Points in a row with exactly this value, this one included, up to 64; 0 for a series that hardly ever changed.
    pub(super) flat: f32,
    /// True when it is within what this time of the day was on each of the last days.
    pub(super) usual: bool,
}

/// The views of one series.
#[derive(Clone, Debug)]
pub(super) struct Views {
    points: f64,
    last: f64,
    fast: Ew,
    run: Ew,
    slow: Ew,
    difference: Scale,
    from_fast: Scale,
    from_slow: Scale,
    from_profile: Scale,
    restless: Ew,
    restless_long: Ew,
    usual_restless: Ew,
    profile_run: Ew,
    flat: f32,
    /// Points that were not as the one before.
    changes: f32,
    /// Points in a row far off on one side; its sign is the side.
    side: f64,
    profile: Option<Box<Profile>>,
    /// Points for which the profile knew what to expect.
    expected: f64,
}

impl Views {
    /// Of a series whose past is not known.
    pub(super) const fn new() -> Self {
        Self {
            points: 0.0,
            last: 0.0,
            fast: Ew(0.0),
            run: Ew(0.0),
            slow: Ew(0.0),
            difference: Scale(0.0),
            from_fast: Scale(0.0),
            from_slow: Scale(0.0),
            from_profile: Scale(0.0),
            restless: Ew(0.0),
            restless_long: Ew(0.0),
            usual_restless: Ew(0.0),
            profile_run: Ew(0.0),
            flat: 0.0,
            changes: 0.0,
            side: 0.0,
            profile: None,
            expected: 0.0,
        }
    }

    /// Points so far.
    pub(super) const fn points(&self) -> f64 {
        self.points
    }

    /// Looks at a point, then takes it in.
    pub(super) fn observe(&mut self, unix_s: f64, value: f64, interrupted: bool) -> Seen {
        self.points += 1.0;
        if self.points == 1.0 {
            (self.last, self.fast, self.run, self.slow) = (value, Ew(value), Ew(value), Ew(value));
        }
        let share = |constant: f64| (1.0 / constant).max(2.0 / (self.points + 1.0));
        let (scale, restless, long, slow) = (share(SCALE), share(RESTLESS), share(RESTLESS_LONG), share(SLOW));
        let (fast, run) = (share(FAST), share(RUN));
        let floor = RESOLUTION * self.slow.0.abs() + f64::MIN_POSITIVE;
        let mut seen = Seen::default();

        let difference = value - self.last;
        if difference == 0.0 {
            self.flat = (self.flat + 1.0).min(FLATTEST);
        } else {
            self.flat = 1.0;
            self.changes += 1.0;
        }
        seen.flat = if self.changes >= CHANGES { self.flat } else { 0.0 };
        if !interrupted {
            seen.signed[0] = Some(self.difference.take(difference, floor, scale));
            let size = difference
                .abs()
                .min(8.0 * self.usual_restless.0 + difference.abs() / 64.0);
            self.restless.learn(size, restless);
            self.restless_long.learn(size, long);
            let usual = self.usual_restless.0.max(floor);
            seen.signed[6] = Some(ratio(self.restless.0, usual, floor));
            seen.signed[7] = Some(ratio(self.restless_long.0, usual, floor));
            self.usual_restless.learn(size, share(2.0 * SLOW));
        }
        seen.signed[1] = Some(self.from_fast.take(value - self.fast.0, floor, scale));
        let off = value - self.slow.0;
        let typical = self.from_slow.0;
        let from_slow = self.from_slow.take(off, floor, scale);
        self.run.learn(value, run);
        seen.signed[2] = Some(from_slow);
        seen.signed[3] = Some(((self.run.0 - self.slow.0) / typical.max(floor)) as f32);
        self.follow(off, typical, slow);
        self.fast.learn(value, fast);
        self.last = value;
        self.look_at_the_hour(unix_s, value, floor, off, &mut seen);
        seen
    }

    /// The long level follows: slowly and bounded, and fast when the series stays far off on one side.
    fn follow(&mut self, off: f64, typical: f64, share: f64) {
        let bound = CLIP * typical + off.abs() / 64.0;
        self.side = if off.abs() < 2.0 * typical {
            0.0
        } else if off * self.side >= 0.0 {
            self.side + off.signum()
        } else {
            off.signum()
        };
        if self.side.abs() > PLATEAU {
            self.slow.0 += off / 16.0;
        } else {
            self.slow.0 += share * off.clamp(-bound, bound);
        }
    }

    fn look_at_the_hour(&mut self, unix_s: f64, value: f64, floor: f64, off_level: f64, seen: &mut Seen) {
        let profile = self.profile.get_or_insert_with(|| Box::new(Profile::new()));
        let Some(expected) = profile.observe(unix_s, value as f32) else {
            return;
        };
        let within = value.clamp(f64::from(expected.lowest), f64::from(expected.highest));
        let outside = value - within;
        let off = value - f64::from(expected.middle);
        let typical = self.from_profile.0.max(floor);
        self.expected += 1.0;
        let share = (1.0 / SCALE).max(2.0 / (self.expected + 1.0));
        let _ = self.from_profile.take(off, floor, share);
        self.profile_run.learn(off, 1.0 / FAST);
        if self.expected < EXPECTED {
            return;
        }
        seen.signed[4] = Some((outside / typical) as f32);
        seen.signed[5] = Some((self.profile_run.0 / typical) as f32);
        seen.usual = outside.abs() <= typical.max(USUAL * off_level.abs());
    }
}

/// How many times the usual, with a minus where it is less.
#[inline]
fn ratio(now: f64, usual: f64, floor: f64) -> f32 {
    if now >= usual {
        (now / usual) as f32
    } else {
        -(usual / now.max(floor)) as f32
    }
}
