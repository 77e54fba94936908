//! How many attempts a scope makes for a request that fails, measured from what it does.
//!
//! When nearly everything fails it is plain: work out per work in, against the usual. In ordinary running the single
//! failures tell: least squares of work out over work in and failures give the attempts that follow on each failed one.

use super::risk::Step;

/// Length of one look, seconds: a retry may come some time after what failed.
const LOOK_S: f64 = 1.95;
/// Half of what was seen in ordinary running is forgotten after this long, seconds; of failures in bulk, much later.
const HALF_LIFE_S: f64 = 3600.0;
const BULK_HALF_LIFE_S: f64 = 12.0 * 3600.0;
/// Failures, and requests that gave up, before they tell anything; requests asked while nearly all fails.
const FAILURES: f64 = 50.0;
const GIVEN_UP: f64 = 20.0;
const BULK_REQUESTS: f64 = 50.0;
/// Standard error of the share of failed attempts that is followed by another, at the most.
const ERROR: f64 = 0.1;
/// With a larger share than this followed by another attempt, too few gave up to tell how many attempts they make.
const FOLLOWED: f64 = 0.9;

/// Sums of products, fading.
#[derive(Clone, Copy, Debug, Default)]
struct Squares {
    looks: f64,
    in_in: f64,
    in_failed: f64,
    failed_failed: f64,
    out_in: f64,
    out_failed: f64,
    out_out: f64,
    failed: f64,
}

impl Squares {
    fn add(&mut self, work_out: f64, work_in: f64, failed: f64, keep: f64) {
        let blend = |sum: &mut f64, product: f64| *sum = *sum * keep + product;
        blend(&mut self.looks, 1.0);
        blend(&mut self.in_in, work_in * work_in);
        blend(&mut self.in_failed, work_in * failed);
        blend(&mut self.failed_failed, failed * failed);
        blend(&mut self.out_in, work_out * work_in);
        blend(&mut self.out_failed, work_out * failed);
        blend(&mut self.out_out, work_out * work_out);
        blend(&mut self.failed, failed);
    }

    /// Attempts that follow on a failed one, 0 to 1, and the standard error.
    fn followed(&self) -> Option<(f64, f64)> {
        let determinant = self.in_in * self.failed_failed - self.in_failed * self.in_failed;
        if self.looks < 8.0 || determinant <= 1e-9 * self.in_in * self.failed_failed {
            return None;
        }
        let per_in = (self.out_in * self.failed_failed - self.out_failed * self.in_failed) / determinant;
        let per_failed = (self.out_failed * self.in_in - self.out_in * self.in_failed) / determinant;
        let residue = (self.out_out - per_in * self.out_in - per_failed * self.out_failed).max(0.0);
        let error = (residue / (self.looks - 2.0) * self.in_in / determinant).sqrt();
        (per_failed.is_finite() && error.is_finite()).then_some((per_failed.clamp(0.0, 1.0), error))
    }
}

/// Follows the attempts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retries {
    work_out: f64,
    work_in: f64,
    failed: f64,
    seconds: f64,
    squares: Squares,
    bulk_requests: f64,
    bulk_attempts: f64,
}

impl Retries {
    /// Takes in a reading.
    pub(super) fn step(&mut self, step: &Step<'_>, seconds: f64) {
        self.step_bulk(step, seconds);
        if !step.healthy {
            (self.work_out, self.work_in, self.failed, self.seconds) = (0.0, 0.0, 0.0, 0.0);
            return;
        }
        self.work_out += step.work.work_out as f64;
        self.work_in += step.work.work_in as f64;
        self.failed += step.work.failed();
        self.seconds += seconds;
        if self.seconds >= LOOK_S {
            let keep = (-self.seconds / HALF_LIFE_S).exp2();
            self.squares.add(self.work_out, self.work_in, self.failed, keep);
            (self.work_out, self.work_in, self.failed, self.seconds) = (0.0, 0.0, 0.0, 0.0);
        }
    }

    fn step_bulk(&mut self, step: &Step<'_>, seconds: f64) {
        let keep = (-seconds / BULK_HALF_LIFE_S).exp2();
        self.bulk_requests *= keep;
        self.bulk_attempts *= keep;
        if let Some((alpha, usual)) = step.alpha_failing.zip(step.usual_alpha)
            && usual > 0.0
        {
            let requests = step.work.work_in as f64;
            self.bulk_requests += requests;
            self.bulk_attempts += requests * alpha / usual;
        }
    }

    /// Attempts for each request that fails, the first one included, from 1 on; `None` until enough failed.
    ///
    /// Where one in `n` failed attempts is not followed by another, a failing request makes `n`. Where nearly all are
    /// followed, the retries themselves hardly fail and say nothing about how often they would be made: two at least.
    #[must_use]
    pub(super) fn attempts_per_failure(&self) -> Option<f64> {
        if self.bulk_requests >= BULK_REQUESTS {
            return Some((self.bulk_attempts / self.bulk_requests).max(1.0));
        }
        if self.squares.failed < FAILURES {
            return None;
        }
        let (followed, _) = self.squares.followed().filter(|(_, error)| *error <= ERROR)?;
        let given_up = (1.0 - followed) * self.squares.failed;
        if followed <= FOLLOWED && given_up >= GIVEN_UP {
            Some(1.0 / (1.0 - followed))
        } else {
            Some(1.0 + followed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Squares of looks with 200 requests each; `failing(look)` gives failed attempts and those that followed on them.
    fn measured(failing: impl Fn(u32) -> (f64, f64)) -> Option<f64> {
        let mut retries = Retries::default();
        for look in 0..200 {
            let (failed, followed) = failing(look);
            let work_in = 200.0 + f64::from(look * 7 % 31);
            // The ratio moves a little by itself.
            let noise = f64::from(look * 13 % 5) - 2.0;
            retries.squares.add(work_in + followed + noise, work_in, failed, 1.0);
        }
        retries.attempts_per_failure()
    }

    #[test]
    fn requests_that_give_up_after_four_attempts_make_four() {
        let found = measured(|look| {
            let bad = f64::from(look * 5 % 4);
            (4.0 * bad, 3.0 * bad)
        });
        assert!((3.6..4.5).contains(&found.unwrap()), "{found:?}");
    }

    #[test]
    fn failures_whose_retries_succeed_show_two_attempts_and_no_more() {
        let found = measured(|look| (f64::from(look * 5 % 7), f64::from(look * 5 % 7)));
        assert!((1.85..=2.0).contains(&found.unwrap()), "{found:?}");
    }

    #[test]
    fn failures_that_nobody_retries_show_one() {
        let found = measured(|look| (f64::from(look * 5 % 7), 0.0));
        assert!((1.0..1.2).contains(&found.unwrap()), "{found:?}");
    }

    #[test]
    fn without_failures_nothing_is_known() {
        assert_eq!(measured(|_| (0.0, 0.0)), None);
    }
}
