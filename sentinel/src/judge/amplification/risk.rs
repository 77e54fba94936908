//! Latent risk: would a failure sustain itself? Load, attempts for each request that fails and capacity are each
//! measured, never assumed; as long as one of them is not known, nothing is said.

use super::super::{evidence::SECOND_NS, verdict};
use super::{capacity::Capacity, retries::Retries, work::Work};

/// Time constant of the load, seconds.
const LOAD_S: f64 = 10.0;
/// Half of the highest rate of answers is forgotten after this long, seconds.
const MOST_HALF_LIFE_S: f64 = 3600.0;
/// Overload that begins to be said and ceases to be, and how long each has to last, nanoseconds.
const BEGINS: f64 = 1.0;
const CEASES: f64 = 0.8;
/// A scope that makes fewer attempts for each failure does not retry to speak of.
const RETRIES: f64 = 1.5;
const BEGINS_NS: u64 = 30 * SECOND_NS;
const CEASES_NS: u64 = 60 * SECOND_NS;

/// What one reading adds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub(super) elapsed_ns: u64,
    pub(super) work: &'a Work,
    /// Work out per work in when nothing fails; `None` until learned.
    pub(super) usual_alpha: Option<f64>,
    /// Work out per work in over the last readings, if nearly all of it failed.
    pub(super) alpha_failing: Option<f64>,
    /// Nothing is wrong.
    pub(super) healthy: bool,
}

/// Measures the risk of one scope.
#[derive(Clone, Debug, Default)]
pub(super) struct LatentRisk {
    load_per_s: Option<f64>,
    retries: Retries,
    capacity: Capacity,
    most_answered_per_s: f64,
    is_said: bool,
    against_ns: u64,
}

impl LatentRisk {
    /// The limit of the other side, as it is kept.
    pub(super) const fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// The same, to take back what was known.
    pub(super) const fn capacity_mut(&mut self) -> &mut Capacity {
        &mut self.capacity
    }

    /// Takes in a reading.
    pub(super) fn step(&mut self, step: &Step<'_>) {
        let seconds = step.elapsed_ns as f64 / 1e9;
        self.retries.step(step, seconds);
        if let Some(usual) = step.usual_alpha {
            let needed = usual * step.work.work_in as f64;
            let answered = step.work.answered() as f64;
            self.capacity.step(needed, answered, seconds, step.healthy);
            let weight = seconds / (LOAD_S + seconds);
            let load = self.load_per_s.unwrap_or(needed / seconds);
            self.load_per_s = Some(load + weight * (needed / seconds - load));
        }
        self.settle(step.elapsed_ns, step.healthy);
    }

    fn settle(&mut self, elapsed_ns: u64, healthy: bool) {
        let risk = self.published().filter(|risk| risk.attempts_per_failure >= RETRIES);
        let overload = risk.map(|risk| risk.overload);
        let (against, limit_ns) = if self.is_said {
            (overload.is_none_or(|overload| overload < CEASES), CEASES_NS)
        } else {
            (
                healthy && overload.is_some_and(|overload| overload >= BEGINS),
                BEGINS_NS,
            )
        };
        self.against_ns = if against {
            self.against_ns.saturating_add(elapsed_ns)
        } else {
            0
        };
        if self.against_ns >= limit_ns {
            self.is_said = !self.is_said;
            self.against_ns = 0;
        }
    }

    /// True while it is worth saying: it was at 1 and above for half a minute, and has not been below 0.8 for a minute.
    #[must_use]
    pub(super) const fn is_said(&self) -> bool {
        self.is_said
    }

    /// Takes in a rate of answers over some tenths of a second.
    pub(super) fn answered(&mut self, per_s: f64, seconds: f64) {
        let kept = self.most_answered_per_s * (-seconds / MOST_HALF_LIFE_S).exp2();
        self.most_answered_per_s = kept.max(per_s);
    }

    /// The highest rate of answers so far, fading: the other side can do that much at least.
    #[must_use]
    pub(super) fn answered_per_s(&self) -> f64 {
        self.most_answered_per_s.max(self.capacity.per_s().unwrap_or(0.0))
    }

    /// As it stands in a verdict; `None` until load, attempts and capacity were measured.
    #[must_use]
    pub(super) fn published(&self) -> Option<verdict::Risk> {
        let load_per_s = self.load_per_s?;
        let capacity_per_s = self.capacity.per_s()?;
        let attempts_per_failure = self.retries.attempts_per_failure()?;
        let overload = load_per_s * attempts_per_failure / capacity_per_s;
        overload.is_finite().then_some(verdict::Risk {
            load_per_s,
            attempts_per_failure,
            capacity_per_s,
            overload,
        })
    }
}
