//! When will there be no memory left? A time with an interval, from a trend and what is left.
//!
//! A slope never holds for ever: the interval is the error of the slope, which the time ahead has too, and beside it what
//! growth may do in that time, which is the more the longer that is compared with what was seen. How wide that has to be
//! in truth is learned from the forecasts of this scope (`score`).

use crate::judge::statistics::trend::Trend;

use super::limits::Room;

/// Errors on both sides of a slope for 95 % of twelve points.
const ERRORS: f64 = 2.2;
/// Relative drift of a slope over as much time as it was seen for.
const DRIFT: f64 = 0.10;
/// No interval is narrower than this share on either side, and none tells from where on it is wider.
const NARROWEST: f64 = 0.08;
const WIDEST: f64 = 0.9;
/// A bend is one in a trend that was seen for this many times its span.
const BEND_SEEN: f64 = 1.1;
/// And is only followed where what is left would last, at the pace of now, for at most this many times its span: a bend of a minute
/// makes no end within minutes of one that is farther away. What ends within six minutes is judged by little (`signs`).
const BEND_AHEAD: f64 = 6.0;
/// A bend that is not clear yet is feared for this many times what was seen.
const BEND_FEARED: f64 = 3.0;
/// So many of its errors.
const FEARED_ERRORS: f64 = 2.5;
/// The slope of the middle of a span grew by no more than this until its end, in the natural logarithm.
const MOST_GROWN: f64 = 1.5;

/// What a forecast rests on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grounds {
    /// The trend of the longest horizon that agrees with the shortest.
    pub(super) trend: Trend,
    /// The trend of the shortest horizon.
    pub(super) latest: Trend,
    /// How long there has been a trend, seconds.
    pub(super) seen_s: f64,
    /// How much wider intervals have to be.
    pub(super) widened: f64,
}

/// Time to exhaustion, and the curve that leads there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Course {
    /// What was left, less what comes and goes, MB.
    pub(super) left_mb: f64,
    /// Seconds until it is gone.
    pub(super) exhaustion_s: f64,
    /// At the earliest.
    pub(super) earliest_s: f64,
    /// At the latest; `None` when it may never be.
    pub(super) latest_s: Option<f64>,
    /// How it gets there.
    pub(super) curve: Curve,
}

impl Course {
    /// Where a trend leads. `None` when it levels off before.
    #[must_use]
    pub(super) fn of(grounds: &Grounds, room: &Room) -> Option<Self> {
        let trend = &grounds.trend;
        let left_mb = (room.left_mb - trend.above).max(0.0);
        let seen_s = grounds.seen_s;
        if trend.is_bent() && trend.acceleration_per_s2 < 0.0 && is_seen(trend, seen_s) && flattens(trend, left_mb) {
            return None;
        }
        let straight_s = left_mb / trend.slope_per_s;
        // The beginning of a line looks like a bend: that has to be out of the window.
        let bends = trend.speeds_up() && is_seen(trend, seen_s) && straight_s <= BEND_AHEAD * trend.span_s;
        let curve = if bends {
            Curve::bent(trend, grounds.latest.slope_per_s)
        } else {
            Curve::straight(trend.slope_per_s)
        };
        let exhaustion_s = curve.reaches(left_mb)?;
        // What moved the slope of the span moves that of the time ahead as much, and the more the shorter it is: by a second at least.
        let ahead = (1.0 + trend.span_s / exhaustion_s.max(1.0)).sqrt();
        let of_slope = ERRORS * ahead * trend.error_per_s / curve.slope;
        let of_drift = DRIFT * (1.0 + exhaustion_s / trend.span_s).sqrt();
        let wide = grounds.widened * of_slope.hypot(of_drift).max(NARROWEST);
        // A bend may be none after all: the latest is where the line of the whole span leads.
        let latest_s = (wide < WIDEST).then(|| straight_s / (1.0 - wide));
        let course = Self {
            left_mb,
            exhaustion_s,
            earliest_s: exhaustion_s.min(feared_s(grounds, curve.slope, left_mb)) / (1.0 + wide),
            latest_s,
            curve,
        };
        (exhaustion_s.is_finite() && course.earliest_s.is_finite()).then_some(course)
    }

    /// Seconds after which this much would be taken; `None` when that is never.
    #[must_use]
    pub(super) fn reaches(&self, taken_mb: f64) -> Option<f64> {
        self.curve.reaches(taken_mb)
    }
}

fn is_seen(trend: &Trend, seen_s: f64) -> bool {
    seen_s >= BEND_SEEN * trend.span_s
}

/// Its slope is gone before as much as is left was taken.
fn flattens(trend: &Trend, left_mb: f64) -> bool {
    let slope = trend.slope_per_s + trend.acceleration_per_s2 * trend.span_s / 2.0;
    slope <= 0.0 || slope * slope / (-2.0 * trend.acceleration_per_s2) < left_mb
}

/// When it would be if it bent as much as it may, or went on as the last seconds did.
fn feared_s(grounds: &Grounds, slope: f64, left_mb: f64) -> f64 {
    let (trend, latest) = (&grounds.trend, &grounds.latest);
    let bend = trend.acceleration_per_s2.max(0.0) + FEARED_ERRORS * trend.acceleration_error_per_s2;
    let bends_s = BEND_FEARED * trend.span_s;
    let bent = slope * bends_s + bend * bends_s * bends_s / 2.0;
    let bent_s = if left_mb <= bent {
        quadratic(slope, bend, left_mb)
    } else {
        bends_s + (left_mb - bent) / (slope + bend * bends_s)
    };
    if latest.slope_per_s > slope {
        bent_s.min(left_mb / latest.slope_per_s)
    } else {
        bent_s
    }
}

/// `slope t + bend t^2 / 2 = taken`.
fn quadratic(slope: f64, bend: f64, taken: f64) -> f64 {
    2.0 * taken / (slope + (slope * slope + 2.0 * bend * taken).max(0.0).sqrt())
}

/// How memory goes from now on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curve {
    /// MB/s now.
    pub(super) slope: f64,
    /// MB/s per second now.
    pub(super) bend: f64,
    /// Growth of the slope per second, as a share of it.
    growth: f64,
}

impl Curve {
    /// Straight on.
    #[must_use]
    pub(super) const fn straight(slope: f64) -> Self {
        Self {
            slope,
            bend: 0.0,
            growth: 0.0,
        }
    }

    /// As the trend bends, which tells of the middle of its span; `latest` is the slope of the last seconds.
    fn bent(trend: &Trend, latest: f64) -> Self {
        let bend = trend.acceleration_per_s2;
        let growth = bend / trend.slope_per_s;
        let grown = trend.slope_per_s * (growth * trend.span_s / 2.0).min(MOST_GROWN).exp();
        let slope = (grown * latest.max(trend.slope_per_s)).sqrt();
        Self { slope, bend, growth }
    }

    /// Seconds until this much is taken; `None` when that is never. What bends may keep its second derivative or its doubling
    /// time, which is what loads do that grow: the geometric mean of both times, the latter counted twice.
    fn reaches(&self, taken: f64) -> Option<f64> {
        if self.slope <= 0.0 {
            return None;
        }
        if self.bend <= 0.0 {
            return Some(taken / self.slope);
        }
        let exponential = (1.0 + taken * self.growth / self.slope).ln() / self.growth;
        Some((quadratic(self.slope, self.bend, taken) * exponential * exponential).cbrt())
    }
}

#[cfg(test)]
mod leaks;

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room {
        left_mb: 1000.0,
        limit_mb: 2000.0,
        is_host: false,
        is_exact: true,
        free_share: 0.5,
    };

    fn trend(slope: f64, bend: f64) -> Trend {
        Trend {
            slope_per_s: slope,
            error_per_s: 0.02 * slope,
            acceleration_per_s2: bend,
            acceleration_error_per_s2: 0.001,
            span_s: 120.0,
            steps: 12,
            ..Trend::default()
        }
    }

    fn course(trend: Trend, seen_s: f64, widened: f64) -> Option<Course> {
        let grounds = Grounds {
            trend,
            latest: trend,
            seen_s,
            widened,
        };
        Course::of(&grounds, &ROOM)
    }

    #[test]
    fn a_line_ends_where_it_meets_the_limit_and_comes_and_goes_sooner() {
        let line = course(trend(10.0, 0.0), 60.0, 1.0).unwrap();
        assert!((line.exhaustion_s - 100.0).abs() < 1e-9);
        assert!(line.earliest_s < 95.0 && line.latest_s.unwrap() > 105.0, "{line:?}");
        let above = Trend {
            above: 200.0,
            ..trend(10.0, 0.0)
        };
        assert!((course(above, 60.0, 1.0).unwrap().exhaustion_s - 80.0).abs() < 1e-9);
    }

    #[test]
    fn a_bend_ends_sooner_and_one_that_flattens_never() {
        // 10 MB/s in the middle of two minutes that grow by 1 % a second are 18 MB/s at their end.
        let bent = course(trend(10.0, 0.1), 240.0, 1.0).unwrap();
        assert!((40.0..66.0).contains(&bent.exhaustion_s), "{bent:?}");
        assert!((bent.reaches(1000.0).unwrap() - bent.exhaustion_s).abs() < 1e-9);
        assert!(bent.latest_s.unwrap() > 100.0, "it may be straight: {bent:?}");
        let beginning = course(trend(10.0, 0.1), 120.0, 1.0).unwrap();
        assert!((beginning.exhaustion_s - 100.0).abs() < 1e-9, "{beginning:?}");
        assert!(beginning.earliest_s < 75.0, "but it may bend: {beginning:?}");
        assert_eq!(course(trend(10.0, -0.1), 240.0, 1.0), None);
    }

    #[test]
    fn a_bend_is_followed_by_how_clear_it_is_and_not_farther_than_it_tells() {
        let minute = Trend {
            span_s: 60.0,
            ..trend(10.0, 0.1)
        };
        assert!(course(minute, 70.0, 1.0).unwrap().exhaustion_s < 75.0);
        let wanders = Trend {
            acceleration_walk_error_per_s2: 0.04,
            ..minute
        };
        let far = Trend {
            slope_per_s: 2.0,
            ..minute
        };
        for (trend, straight_s) in [(wanders, 100.0), (far, 500.0)] {
            let course = course(trend, 70.0, 1.0).unwrap();
            assert!((course.exhaustion_s - straight_s).abs() < 1e-9, "{course:?}");
        }
    }

    #[test]
    fn what_wavered_wavers_in_the_time_ahead_too() {
        let wavers = Trend {
            error_per_s: 1.0,
            ..trend(10.0, 0.0)
        };
        // The slope alone, 22 % and a drift of 14 %, would be 135 s.
        let line = course(wavers, 120.0, 1.0).unwrap();
        assert!((145.0..165.0).contains(&line.latest_s.unwrap()), "{line:?}");
    }

    #[test]
    fn the_farther_ahead_the_wider() {
        let over = |span_s: f64| Trend {
            span_s,
            ..trend(10.0, 0.0)
        };
        let near = course(over(600.0), 600.0, 1.0).unwrap();
        let far = course(over(10.0), 10.0, 1.0).unwrap();
        let wide = course(over(600.0), 600.0, 12.0).unwrap();
        assert!(
            near.latest_s < far.latest_s && wide.latest_s.is_none(),
            "{near:?} {far:?} {wide:?}"
        );
        assert!(wide.earliest_s < near.earliest_s);
    }
}
