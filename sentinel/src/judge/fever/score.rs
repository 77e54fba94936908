//! What became of the forecasts of a scope, and how wide the next ones have to be. Makes no forecast itself.
//!
//! A forecast is scored once: when memory is gone, by the time that took; or at half of its time, by how far along its
//! course memory is. What stopped growing by then was forecast wrongly.

use crate::judge::verdict::ForecastScore;

use super::{forecast::Course, limits::Room};

/// Forecasts remembered at a time, and errors of past ones.
const SPOKEN: usize = 6;
const ERRORS: usize = 15;
/// One is kept for scoring at least so many seconds after the last, and this share of its time.
const APART_S: f64 = 5.0;
const APART_SHARE: f64 = 1.0 / 12.0;
/// Scored at this share of its time.
const HALF: f64 = 0.5;
/// Share of the limit below which nothing is left.
const GONE: f64 = 0.01;
/// Intervals widen by this for each miss and narrow by that for each hit, so that they settle where one in twenty is a
/// miss: I. Gibbs and E. Candès, "Adaptive conformal inference under distribution shift" (2021), in the logarithm.
const MISS: f64 = 0.475;
const HIT: f64 = 0.025;
const WIDEST: f64 = 8.0;

#[derive(Clone, Copy, Debug)]
struct Spoken {
    at_s: f64,
    course: Course,
    room: Room,
}

/// The past forecasts of one scope.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    spoken: [Option<Spoken>; SPOKEN],
    last_s: Option<f64>,
    made: u64,
    scored: u64,
    inside: u64,
    errors: [f32; ERRORS],
    /// Logarithm of the factor.
    widened: f64,
}

impl Record {
    /// How much wider than a forecast's own error its interval has to be.
    #[must_use]
    pub(super) fn widened(&self) -> f64 {
        self.widened.exp()
    }

    /// Whether every forecast has been scored.
    #[must_use]
    pub(super) fn is_settled(&self) -> bool {
        self.spoken.iter().all(Option::is_none)
    }

    /// Remembers a forecast made at `now_s`, unless there was one just before.
    pub(super) fn speak(&mut self, now_s: f64, course: Course, room: Room) {
        let apart_s = APART_S.max(APART_SHARE * course.exhaustion_s);
        if self.last_s.is_some_and(|last_s| now_s - last_s < apart_s) {
            return;
        }
        if let Some(free) = self.spoken.iter_mut().find(|spoken| spoken.is_none()) {
            *free = Some(Spoken {
                at_s: now_s,
                course,
                room,
            });
            self.last_s = Some(now_s);
            self.made += 1;
        }
    }

    /// Scores what is due. `above_mb` is what comes and goes, as in the forecasts; `killed`: there was no memory left.
    pub(super) fn observe(&mut self, now_s: f64, room: Option<&Room>, above_mb: f64, killed: bool) {
        for index in 0..SPOKEN {
            let Some(spoken) = self.spoken[index] else { continue };
            // Of another limit nothing was said.
            let room = room.filter(|room| {
                room.is_host == spoken.room.is_host && (room.limit_mb - spoken.room.limit_mb).abs() < 1.0
            });
            let Some(room) = room else {
                self.spoken[index] = None;
                continue;
            };
            let passed_s = now_s - spoken.at_s;
            let course = &spoken.course;
            let gone = room.share() <= GONE && room.is_exact;
            if killed {
                self.score(course, Some(passed_s));
            } else if gone || passed_s >= HALF * course.exhaustion_s {
                let taken_mb = course.left_mb - (room.left_mb - above_mb).max(0.0);
                let due_s = course.reaches(taken_mb).filter(|_| taken_mb > 0.0);
                self.score(course, due_s.map(|due_s| course.exhaustion_s * passed_s / due_s));
            } else {
                continue;
            }
            self.spoken[index] = None;
        }
    }

    /// Against the time it took in truth, as far as that can be told; `None` when it never comes.
    fn score(&mut self, course: &Course, truth_s: Option<f64>) {
        let truth_s = truth_s.filter(|truth_s| truth_s.is_finite());
        let inside = match (truth_s, course.latest_s) {
            (Some(truth_s), latest_s) => {
                truth_s >= course.earliest_s && latest_s.is_none_or(|latest_s| truth_s <= latest_s)
            }
            (None, latest_s) => latest_s.is_none(),
        };
        let error = truth_s.filter(|truth_s| *truth_s > 0.0).map_or(1.0, |truth_s| {
            ((course.exhaustion_s - truth_s).abs() / truth_s).min(1.0)
        });
        self.errors[(self.scored % ERRORS as u64) as usize] = error as f32;
        self.scored += 1;
        self.inside += u64::from(inside);
        let change = if inside { -HIT } else { MISS };
        self.widened = (self.widened + change).clamp(0.0, WIDEST.ln());
    }

    /// As it stands in a verdict; `None` until one was scored.
    #[must_use]
    pub(super) fn published(&self) -> Option<ForecastScore> {
        if self.scored == 0 {
            return None;
        }
        let count = (self.scored as usize).min(ERRORS);
        let mut errors = self.errors;
        let (_, middle, _) = errors[..count].select_nth_unstable_by(count / 2, f32::total_cmp);
        Some(ForecastScore {
            made: self.made,
            scored: self.scored,
            inside_share: self.inside as f64 / self.scored as f64,
            median_error_share: f64::from(*middle),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::fever::forecast::Curve;

    const SLOPE: f64 = 10.0;

    fn room(left_mb: f64) -> Room {
        Room {
            left_mb,
            limit_mb: 2000.0,
            is_host: false,
            is_exact: true,
            free_share: 0.5,
        }
    }

    fn course(left_mb: f64) -> Course {
        let exhaustion_s = left_mb / SLOPE;
        Course {
            left_mb,
            exhaustion_s,
            earliest_s: 0.9 * exhaustion_s,
            latest_s: Some(1.1 * exhaustion_s),
            curve: Curve::straight(SLOPE),
        }
    }

    /// Memory goes at `slope` until it is gone; a forecast each second.
    fn play(slope: f64) -> Record {
        let mut record = Record::default();
        for second in 0..400 {
            let left_mb = 1000.0 - slope * f64::from(second);
            record.observe(f64::from(second), Some(&room(left_mb.max(0.0))), 0.0, left_mb < -50.0);
            if left_mb > 0.0 {
                record.speak(f64::from(second), course(left_mb), room(left_mb));
            }
        }
        record
    }

    #[test]
    fn forecasts_that_came_true_are_inside() {
        let record = play(SLOPE);
        let score = record.published().unwrap();
        assert!(score.made >= 8 && score.scored == score.made, "{score:?}");
        assert!(
            (score.inside_share - 1.0).abs() < 1e-9 && score.median_error_share < 0.05,
            "{score:?}"
        );
        assert!((record.widened() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn forecasts_that_did_not_widen_the_next() {
        let half = play(SLOPE / 2.0);
        let score = half.published().unwrap();
        assert!(score.inside_share < 0.2 && score.median_error_share > 0.3, "{score:?}");
        assert!(half.widened() > 2.0);
        let stopped = play(0.0).published().unwrap();
        assert!(
            stopped.inside_share == 0.0 && stopped.median_error_share == 1.0,
            "{stopped:?}"
        );
    }

    #[test]
    fn nothing_is_scored_against_another_limit() {
        let mut record = Record::default();
        record.speak(0.0, course(1000.0), room(1000.0));
        record.observe(
            60.0,
            Some(&Room {
                limit_mb: 9000.0,
                ..room(400.0)
            }),
            0.0,
            false,
        );
        record.observe(60.0, Some(&room(400.0)), 0.0, true);
        assert_eq!(record.published(), None);
    }
}
