//! When will there be no memory left? A time with an interval, from a trend and what is left.
//!
//! A slope never holds for ever: the interval is the error of the slope and, beside it, what growth may do in the time
//! ahead, which is the more the longer that is compared with what was seen. How wide that has to be in truth is learned
//! from the forecasts of this scope (`score`).

use crate::judge::statistics::trend::Trend;

use super::limits::Room;

/// Errors on both sides of a slope for 95 % of twelve points.
const ERRORS: f64 = 2.2;
/// Relative drift of a slope over as much time as it was seen for.
const DRIFT: f64 = 0.06;
/// No interval is narrower than this share on either side, and none tells from where on it is wider.
const NARROWEST: f64 = 0.08;
const WIDEST: f64 = 0.9;
/// A bend is one in a trend that was seen for this many times its span.
const BEND_SEEN: f64 = 1.5;
/// A bend is followed for so many times what was seen, and goes straight on from there.
const BEND_AHEAD: f64 = 3.0;

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
    /// MB/s now.
    pub(super) slope_per_s: f64,
    /// MB/s per second, for `bends_s`.
    pub(super) bend_per_s2: f64,
    /// How long it bends.
    pub(super) bends_s: f64,
}

impl Course {
    /// Of a trend that was seen for `seen_s`; intervals `widened` times. `None` when it does not lead there: it is
    /// levelling off.
    #[must_use]
    pub(super) fn of(trend: &Trend, room: &Room, seen_s: f64, widened: f64) -> Option<Self> {
        let left_mb = (room.left_mb - trend.above).max(0.0);
        let seen_s = seen_s.max(trend.span_s);
        // The beginning of a line looks like a bend.
        let bends = seen_s >= BEND_SEEN * trend.span_s;
        let curve = Curve {
            slope: if bends {
                trend.end_slope_per_s
            } else {
                trend.slope_per_s
            },
            bend: if bends { trend.acceleration_per_s2 } else { 0.0 },
            bends_s: BEND_AHEAD * trend.span_s,
        };
        let exhaustion_s = curve.reaches(left_mb)?;
        let of_slope = ERRORS * trend.error_per_s / curve.slope;
        let of_bend = ERRORS * trend.acceleration_error_per_s2 * trend.span_s / curve.slope;
        let of_bend = if curve.bend == 0.0 { 0.0 } else { of_bend };
        let of_drift = DRIFT * (1.0 + exhaustion_s / seen_s).sqrt();
        let wide = widened * of_slope.hypot(of_drift).hypot(of_bend).max(NARROWEST);
        let mut latest_s = (wide < WIDEST).then(|| exhaustion_s / (1.0 - wide));
        if curve.bend > 0.0 {
            // It may stop bending.
            let straight = Curve { bend: 0.0, ..curve };
            latest_s = latest_s.and_then(|latest| Some(latest.max(straight.reaches(left_mb)?.min(2.0 * exhaustion_s))));
        }
        let course = Self {
            left_mb,
            exhaustion_s,
            earliest_s: exhaustion_s / (1.0 + wide),
            latest_s,
            slope_per_s: curve.slope,
            bend_per_s2: curve.bend,
            bends_s: curve.bends_s,
        };
        (exhaustion_s.is_finite() && course.earliest_s.is_finite()).then_some(course)
    }

    /// Seconds after which this much would be taken; `None` when that is never.
    #[must_use]
    pub(super) fn reaches(&self, taken_mb: f64) -> Option<f64> {
        let curve = Curve {
            slope: self.slope_per_s,
            bend: self.bend_per_s2,
            bends_s: self.bends_s,
        };
        curve.reaches(taken_mb)
    }
}

/// `slope t + bend t² / 2` for `bends_s`, then straight on.
#[derive(Clone, Copy, Debug)]
struct Curve {
    slope: f64,
    bend: f64,
    bends_s: f64,
}

impl Curve {
    fn reaches(&self, taken: f64) -> Option<f64> {
        if self.slope <= 0.0 {
            return None;
        }
        if self.bend == 0.0 {
            return Some(taken / self.slope);
        }
        // A level that flattens stands still where its slope is gone.
        let bends_s = if self.bend < 0.0 {
            self.bends_s.min(-self.slope / self.bend)
        } else {
            self.bends_s
        };
        let bent = self.slope * bends_s + self.bend * bends_s * bends_s / 2.0;
        let end_slope = self.slope + self.bend * bends_s;
        if taken >= bent {
            return (end_slope > 0.01 * self.slope).then(|| bends_s + (taken - bent) / end_slope);
        }
        let root = (self.slope * self.slope + 2.0 * self.bend * taken).max(0.0).sqrt();
        Some(2.0 * taken / (self.slope + root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room {
        left_mb: 1000.0,
        limit_mb: 2000.0,
        is_host: false,
        is_exact: true,
    };

    fn trend(slope: f64, bend: f64) -> Trend {
        Trend {
            slope_per_s: slope,
            end_slope_per_s: slope,
            error_per_s: 0.02 * slope,
            acceleration_per_s2: bend,
            span_s: 60.0,
            ..Trend::default()
        }
    }

    #[test]
    fn a_line_ends_where_it_meets_the_limit_and_comes_and_goes_sooner() {
        let course = Course::of(&trend(10.0, 0.0), &ROOM, 60.0, 1.0).unwrap();
        assert!((course.exhaustion_s - 100.0).abs() < 1e-9);
        assert!(
            course.earliest_s < 95.0 && course.latest_s.unwrap() > 105.0,
            "{course:?}"
        );
        let above = Trend {
            above: 200.0,
            ..trend(10.0, 0.0)
        };
        assert!((Course::of(&above, &ROOM, 60.0, 1.0).unwrap().exhaustion_s - 80.0).abs() < 1e-9);
    }

    #[test]
    fn a_bend_ends_sooner_and_one_that_flattens_never() {
        let course = Course::of(&trend(10.0, 0.2), &ROOM, 120.0, 1.0).unwrap();
        assert!((course.exhaustion_s - 61.8).abs() < 0.1, "{course:?}");
        assert!((course.reaches(1000.0).unwrap() - course.exhaustion_s).abs() < 1e-9);
        assert_eq!(Course::of(&trend(10.0, -0.2), &ROOM, 120.0, 1.0), None);
    }

    #[test]
    fn the_farther_ahead_the_wider() {
        let near = Course::of(&trend(10.0, 0.0), &ROOM, 600.0, 1.0).unwrap();
        let far = Course::of(&trend(10.0, 0.0), &ROOM, 10.0, 1.0).unwrap();
        let wide = Course::of(&trend(10.0, 0.0), &ROOM, 600.0, 8.0).unwrap();
        assert!(near.earliest_s > far.earliest_s && far.earliest_s > wide.earliest_s);
    }
}
