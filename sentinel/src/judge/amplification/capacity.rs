//! How many requests per second the other side of a scope answers at the most. Known only once it was seen at its
//! limit; what was answered before is no limit.

use crate::judge::learned::{Keeps, Limit, Series};

/// Length of one look, seconds.
const LOOK_S: f64 = 0.95;
/// It is at its limit when this many times what it answers is needed, in two looks in a row, and the answers stay level.
const NEEDED: f64 = 1.15;
const LEVEL: f64 = 0.15;
/// At its limit it answers no less than it ever did lately: less is a stall, and no limit.
const NO_LESS: f64 = 0.95;
/// Answering this many times the limit without being at it shows that it was none.
const REFUTED: f64 = 1.1;
/// Half of what is remembered of ordinary peaks is gone after this long; a limit that was not seen again is forgotten.
const PEAK_HALF_LIFE_S: f64 = 3600.0;
const FORGOTTEN_S: f64 = 12.0 * 3600.0;
/// Answers in a look below which nothing is learned.
const FEWEST: f64 = 10.0;

/// Follows the limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Capacity {
    needed: f64,
    answered: f64,
    seconds: f64,
    /// Nothing was wrong in some of it.
    well: bool,
    /// Answers per second in the last look, when that was at the limit.
    limited_per_s: Option<f64>,
    peak_per_s: f64,
    limit_per_s: Option<f64>,
    age_s: f64,
}

impl Capacity {
    /// Takes in how much was needed and answered in a reading. `well`: nothing was wrong, so it was not at its limit.
    pub(super) fn step(&mut self, needed: f64, answered: f64, seconds: f64, well: bool) {
        self.needed += needed;
        self.well |= well;
        self.answered += answered;
        self.seconds += seconds;
        if self.seconds < LOOK_S {
            return;
        }
        self.look(self.needed / self.seconds, self.answered / self.seconds);
        (self.needed, self.answered, self.seconds, self.well) = (0.0, 0.0, 0.0, false);
    }

    fn look(&mut self, needed_per_s: f64, answered_per_s: f64) {
        self.age_s += self.seconds;
        self.peak_per_s *= (-self.seconds / PEAK_HALF_LIFE_S).exp2();
        if self.age_s > FORGOTTEN_S {
            self.limit_per_s = None;
        }
        let enough = self.answered >= FEWEST && answered_per_s >= NO_LESS * self.peak_per_s;
        if self.well || !enough || needed_per_s < NEEDED * answered_per_s {
            self.limited_per_s = None;
            self.peak_per_s = self.peak_per_s.max(answered_per_s);
            if self.limit_per_s.is_some_and(|limit| answered_per_s > REFUTED * limit) {
                self.limit_per_s = None;
            }
            return;
        }
        let level = |last: f64| (answered_per_s - last).abs() <= LEVEL * last;
        if let Some(last) = self.limited_per_s.filter(|last| level(*last)) {
            let found = f64::midpoint(last, answered_per_s);
            self.limit_per_s = Some(self.limit_per_s.unwrap_or(0.0).max(found));
            self.age_s = 0.0;
        }
        self.limited_per_s = Some(answered_per_s);
    }

    /// Answers per second at the limit; `None` when it was never seen there, or not for half a day.
    #[must_use]
    pub(super) const fn per_s(&self) -> Option<f64> {
        self.limit_per_s
    }
}

impl Keeps for Capacity {
    fn learned(&self) -> Option<Series> {
        let limit = Limit {
            per_s: self.limit_per_s? as f32,
            peak_per_s: self.peak_per_s as f32,
            age_s: self.age_s as f32,
        };
        limit.per_s.is_finite().then(|| Series {
            limit: Some(limit),
            ..Series::default()
        })
    }

    fn take_back(&mut self, series: &Series, age_s: f64) {
        let Some(limit) = series.limit else { return };
        let seen_s = f64::from(limit.age_s) + age_s;
        let (per_s, peak_per_s) = (f64::from(limit.per_s), f64::from(limit.peak_per_s));
        if !(per_s.is_finite() && per_s > 0.0 && peak_per_s.is_finite() && (0.0..=FORGOTTEN_S).contains(&seen_s)) {
            return;
        }
        self.limit_per_s = Some(per_s);
        self.peak_per_s = peak_per_s.max(0.0) * (-age_s / PEAK_HALF_LIFE_S).exp2();
        self.age_s = seen_s;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of: needed and answered per second.
    fn seen(step_s: f64, stages: &[(f64, f64, f64)]) -> Option<f64> {
        let mut capacity = Capacity::default();
        for (seconds, needed, answered) in stages {
            for _ in 0..(seconds / step_s).round() as u32 {
                capacity.step(needed * step_s, answered * step_s, step_s, needed <= answered);
            }
        }
        capacity.per_s()
    }

    #[test]
    fn it_is_what_is_answered_while_more_is_needed_whatever_the_step() {
        for step_s in [0.1, 0.2, 0.5, 1.0, 5.0] {
            let found = seen(step_s, &[(20.0, 900.0, 900.0), (10.0, 2000.0, 1200.0)]).unwrap();
            assert!((found - 1200.0).abs() < 1.0, "{step_s} s: {found}");
        }
    }

    #[test]
    fn what_was_never_at_its_limit_has_none() {
        assert_eq!(seen(0.2, &[(60.0, 900.0, 900.0)]), None);
        assert_eq!(seen(0.2, &[(20.0, 900.0, 900.0), (20.0, 900.0, 0.0)]), None, "dead");
        assert_eq!(
            seen(0.2, &[(20.0, 900.0, 900.0), (20.0, 900.0, 300.0)]),
            None,
            "stalled"
        );
        assert_eq!(seen(0.2, &[(20.0, 900.0, 900.0), (1.0, 2000.0, 1200.0)]), None, "short");
    }

    #[test]
    fn first_answers_that_take_three_seconds_are_no_limit_for_long() {
        let slow = [(20.0, 200.0, 200.0), (3.0, 900.0, 200.0), (5.0, 900.0, 900.0)];
        assert_eq!(seen(0.2, &slow), None);
    }

    #[test]
    fn a_limit_is_taken_back_until_it_would_have_been_forgotten() {
        let mut capacity = Capacity::default();
        (0..20).for_each(|_| capacity.step(900.0, 900.0, 1.0, true));
        (0..10).for_each(|_| capacity.step(2000.0, 1200.0, 1.0, false));
        let back = |age_s: f64| {
            let mut fresh = Capacity::default();
            fresh.take_back(&capacity.learned().unwrap(), age_s);
            fresh.per_s()
        };
        assert_eq!(back(11.0 * 3600.0), capacity.per_s());
        assert_eq!(back(13.0 * 3600.0), None);
        assert_eq!(Capacity::default().learned(), None);
    }

    #[test]
    fn it_is_forgotten_when_it_was_not_seen_for_half_a_day() {
        let limited = [(20.0, 900.0, 900.0), (10.0, 2000.0, 1200.0)];
        let hours = |hours: f64| seen(1.0, &[limited[0], limited[1], (hours * 3600.0, 900.0, 900.0)]);
        assert!(hours(11.0).is_some());
        assert_eq!(hours(13.0), None);
    }
}
