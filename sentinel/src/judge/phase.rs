//! The phase of an amplifying scope, and how long it has been in it.
//!
//! After Huang et al., "Metastable Failures in the Wild" (OSDI 2022): a trigger overloads the scope, retries sustain
//! the overload, and it goes on when the trigger is gone.

use super::{evidence::SECOND_NS, verdict::Phase};

/// What the phase depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symptoms {
    /// Work out grows beyond work in.
    pub(super) amplifying: bool,
    /// Requests fail or stay without an answer.
    pub(super) failing: bool,
    /// Work in per second, and its baseline.
    pub(super) inbound_per_s: f64,
    /// `None` without a past.
    pub(super) usual_inbound_per_s: Option<f64>,
}

/// Inbound load this many times the usual is a trigger.
const TRIGGER: f64 = 1.5;
/// Below this many times the usual it is gone.
const GONE: f64 = 1.2;
/// How long it must be gone, nanoseconds.
const GONE_NS: u64 = 2 * SECOND_NS;
/// Calm before it is healthy again.
const HEALTHY_NS: u64 = 3 * SECOND_NS;

/// Follows the phase.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Phases {
    phase: Phase,
    since_ns: Option<u64>,
    triggered: bool,
    gone_ns: u64,
    calm_ns: u64,
}

impl Phases {
    /// Takes in the symptoms at the end of a reading.
    pub(super) fn step(&mut self, end_ns: u64, elapsed_ns: u64, symptoms: &Symptoms) -> Phase {
        let next = self.next(elapsed_ns, symptoms);
        if next != self.phase || self.since_ns.is_none() {
            self.phase = next;
            self.since_ns = Some(end_ns.saturating_sub(elapsed_ns));
        }
        next
    }

    /// The phase now.
    #[must_use]
    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Seconds in this phase.
    #[must_use]
    pub(super) fn seconds(&self, now_ns: u64) -> f64 {
        self.since_ns
            .map_or(0.0, |since| now_ns.saturating_sub(since) as f64 / 1e9)
    }

    fn next(&mut self, elapsed_ns: u64, symptoms: &Symptoms) -> Phase {
        if !symptoms.amplifying && !symptoms.failing {
            return self.calm(elapsed_ns);
        }
        self.calm_ns = 0;
        let load = |times: f64| {
            symptoms
                .usual_inbound_per_s
                .is_some_and(|usual| symptoms.inbound_per_s > times * usual)
        };
        self.triggered |= load(TRIGGER);
        self.gone_ns = if self.triggered && !load(GONE) {
            self.gone_ns + elapsed_ns
        } else {
            0
        };
        match (symptoms.amplifying, self.gone_ns >= GONE_NS) {
            (true, true) => Phase::Metastable,
            (true, false) => Phase::Amplifying,
            (false, _) => Phase::Overloaded,
        }
    }

    fn calm(&mut self, elapsed_ns: u64) -> Phase {
        self.gone_ns = 0;
        if self.phase == Phase::Healthy {
            return Phase::Healthy;
        }
        self.calm_ns += elapsed_ns;
        if self.calm_ns >= HEALTHY_NS {
            self.triggered = false;
            Phase::Healthy
        } else {
            Phase::Recovering
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(steps: &[(bool, bool, f64)]) -> Vec<Phase> {
        let mut phases = Phases::default();
        (1..)
            .zip(steps)
            .map(|(second, (amplifying, failing, inbound_per_s))| {
                let symptoms = Symptoms {
                    amplifying: *amplifying,
                    failing: *failing,
                    inbound_per_s: *inbound_per_s,
                    usual_inbound_per_s: Some(100.0),
                };
                phases.step(second * SECOND_NS, SECOND_NS, &symptoms)
            })
            .collect()
    }

    #[test]
    fn overload_that_outlives_its_trigger_is_metastable_and_then_recovers() {
        use Phase::{Amplifying, Healthy, Metastable, Overloaded, Recovering};
        let calm = (false, false, 100.0);
        let phases = walk(&[
            calm,
            (false, true, 300.0),
            (true, true, 300.0),
            (true, true, 100.0),
            (true, true, 100.0),
            calm,
            calm,
            calm,
        ]);
        let expected = [
            Healthy, Overloaded, Amplifying, Amplifying, Metastable, Recovering, Recovering, Healthy,
        ];
        assert_eq!(phases, expected);
    }

    #[test]
    fn without_a_trigger_in_the_load_it_is_never_called_metastable() {
        let phases = walk(&[(true, true, 100.0); 30]);
        assert!(phases.iter().all(|phase| *phase == Phase::Amplifying));
    }
}
