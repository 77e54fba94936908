//! The phase of an amplifying scope, and how long it has been in it.
//!
//! After Huang et al., "Metastable Failures in the Wild" (OSDI 2022): a trigger overloads the scope, retries sustain
//! the overload, and it goes on when the trigger is gone. A short overload goes on for a while too, until the queues
//! are drained; so what is left has to have stopped shrinking before it is called self-sustaining.

use super::super::{evidence::SECOND_NS, verdict::Phase};

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
    /// Share of work out that fails: what shrinks when it recovers.
    pub(super) failed: f64,
    /// One standard deviation of the requests seen at once, as a share of them: now, and at the usual load.
    pub(super) noise: f64,
    pub(super) usual_noise: f64,
    /// Share of work out that is refused.
    pub(super) refused_share: f64,
    /// Work out per second that the other side takes, whether it answers or not.
    pub(super) taken_per_s: f64,
    /// Work out per second that would do for what is asked.
    pub(super) needed_per_s: f64,
    /// Hardly any of the usual answers come.
    pub(super) is_silent: bool,
    /// Nearly all that is needed is answered, at the first or at a later attempt.
    pub(super) is_served: bool,
    /// Work per second that the other side gets done although its answers do not arrive; `None` where that does not show.
    pub(super) worked_per_s: Option<f64>,
    /// What is sent is clearly less than was answered before: queues can only shrink.
    pub(super) drains: bool,
}

/// Inbound load this many times the usual is a trigger.
const TRIGGER: f64 = 1.5;
/// Below this many times the usual it is gone.
const GONE: f64 = 1.25;
/// Another trigger: the other side takes less than this share of what is needed; it is gone when it takes nearly all.
const TAKEN_LITTLE: f64 = 0.5;
const TAKEN_AGAIN: f64 = 0.9;
/// A full queue refuses at least this share; one that does so hardly any more is no longer full, and so it shrinks.
const FULL: f64 = 0.1;
const NOT_FULL: f64 = 0.02;
/// After the trigger's end retries of what came before are still under way, nanoseconds.
const LINGER_NS: u64 = 6 * SECOND_NS / 10;
/// Time over which what fails is compared with itself, and the share of it that has to
/// go; more once it was called metastable.
const COMPARE_NS: u64 = 8 * SECOND_NS / 10;
const SHRINKING: f64 = 0.15;
const CLEARLY_SHRINKING: f64 = 0.3;
/// Standard deviations that are chance: in what shrinks, in a load that begins, and in one that has gone.
const NOISE_OF_SHRINKING: f64 = 4.5;
const NOISE_OF_TRIGGER: f64 = 4.0;
const NOISE_OF_GONE: f64 = 2.5;
/// Calm before it is healthy again.
const HEALTHY_NS: u64 = 3 * SECOND_NS;

/// How what fails moves after the trigger has gone.
#[derive(Clone, Copy, Debug, Default)]
struct Aftermath {
    gone_ns: u64,
    /// What failed when the present comparison began, and how long ago that was.
    before: f64,
    compared_ns: u64,
    phase: Option<Phase>,
}

impl Aftermath {
    fn step(&mut self, elapsed_ns: u64, symptoms: &Symptoms, drains: bool) {
        self.gone_ns = self.gone_ns.saturating_add(elapsed_ns);
        if self.gone_ns <= LINGER_NS {
            self.before = symptoms.failed;
            // Retries that are still under way only add to what is sent: if even so it is less, it stays less.
            if drains && self.phase.is_none() {
                self.phase = Some(Phase::Recovering);
            }
            return;
        }
        self.compared_ns = self.compared_ns.saturating_add(elapsed_ns);
        if self.compared_ns < COMPARE_NS {
            return;
        }
        let metastable = self.phase == Some(Phase::Metastable);
        let share = if metastable { CLEARLY_SHRINKING } else { SHRINKING };
        let shrinks = symptoms.failed < (1.0 - share.max(NOISE_OF_SHRINKING * symptoms.noise)) * self.before;
        self.phase = Some(match (shrinks || drains, symptoms.amplifying) {
            (true, _) => Phase::Recovering,
            (false, true) if symptoms.is_served && !metastable => Phase::Amplifying,
            (false, true) => Phase::Metastable,
            (false, false) => Phase::Overloaded,
        });
        // What is metastable is compared with how that began.
        if !(metastable && self.phase == Some(Phase::Metastable)) {
            self.before = symptoms.failed;
        }
        self.compared_ns = 0;
    }
}

/// Follows the phase.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Phases {
    phase: Phase,
    since_ns: Option<u64>,
    /// Something set it off: more load than usual, another side that took nothing, or one that took it and answered
    /// nothing.
    loaded: bool,
    refused: bool,
    silent: bool,
    /// A queue was full while there was more load than usual.
    full: bool,
    aftermath: Aftermath,
    calm_ns: u64,
}

impl Phases {
    /// Takes in the symptoms at the end of a reading; true when it became, or ceased to be, metastable.
    pub(super) fn step(&mut self, end_ns: u64, elapsed_ns: u64, symptoms: &Symptoms) -> bool {
        let (before, next) = (self.phase, self.next(elapsed_ns, symptoms));
        if next != before || self.since_ns.is_none() {
            self.phase = next;
            self.since_ns = Some(end_ns.saturating_sub(elapsed_ns));
        }
        next != before && (next == Phase::Metastable || before == Phase::Metastable)
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
        let load = |times: f64, sigmas: f64| {
            symptoms
                .usual_inbound_per_s
                .is_some_and(|usual| symptoms.inbound_per_s > times.max(1.0 + sigmas * symptoms.usual_noise) * usual)
        };
        let triggered = load(TRIGGER, NOISE_OF_TRIGGER);
        if !symptoms.amplifying && !symptoms.failing {
            return self.calm(elapsed_ns);
        }
        self.calm_ns = 0;
        self.loaded |= triggered;
        self.full |= triggered && symptoms.refused_share >= FULL;
        self.refused |= symptoms.failing
            && symptoms.usual_inbound_per_s.is_some()
            && symptoms.taken_per_s < TAKEN_LITTLE * symptoms.needed_per_s;
        self.silent |= symptoms.failing && symptoms.is_silent;
        let taken = |share: f64| symptoms.taken_per_s >= share * symptoms.needed_per_s;
        let worked = symptoms
            .worked_per_s
            .is_some_and(|worked| worked >= TAKEN_AGAIN * symptoms.needed_per_s);
        let ended = symptoms.needed_per_s > 0.0
            && match (self.loaded, self.refused, self.silent) {
                (true, ..) => taken(TAKEN_LITTLE),
                (false, true, _) => taken(TAKEN_AGAIN),
                (false, false, true) => worked,
                (false, false, false) => false,
            };
        // What is gone is not back because a little more is asked for by chance.
        let begun = self.aftermath.gone_ns > 0;
        let gone = ended && !triggered && (begun || !load(GONE, NOISE_OF_GONE));
        if gone && symptoms.failing {
            let emptied = self.full && symptoms.refused_share < NOT_FULL;
            self.aftermath.step(elapsed_ns, symptoms, symptoms.drains || emptied);
        } else if gone && begun {
            self.aftermath.phase = Some(Phase::Recovering);
        } else if self.aftermath.phase != Some(Phase::Metastable) {
            // What sustains itself does so whatever else is asked for meanwhile.
            self.aftermath = Aftermath::default();
        }
        match (self.aftermath.phase, symptoms.amplifying) {
            (Some(phase), _) => phase,
            (None, true) => Phase::Amplifying,
            (None, false) => Phase::Overloaded,
        }
    }

    fn calm(&mut self, elapsed_ns: u64) -> Phase {
        self.aftermath = Aftermath::default();
        if self.phase == Phase::Healthy {
            return Phase::Healthy;
        }
        self.calm_ns += elapsed_ns;
        if self.calm_ns >= HEALTHY_NS {
            (self.loaded, self.refused, self.silent, self.full) = (false, false, false, false);
            Phase::Healthy
        } else {
            Phase::Recovering
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP_NS: u64 = SECOND_NS / 5;

    /// Seconds of: amplifying, failing, work in, what fails. A usual load of 100, all of it taken.
    fn walk(stages: &[(f64, bool, bool, f64, [f64; 2])]) -> Vec<Phase> {
        let mut phases = Phases::default();
        let mut seen = vec![];
        let mut now_ns = 0;
        for (seconds, amplifying, failing, inbound_per_s, [from, to]) in stages {
            let steps = (seconds * 5.0) as u32;
            for step in 1..=steps {
                now_ns += STEP_NS;
                let symptoms = Symptoms {
                    amplifying: *amplifying,
                    failing: *failing,
                    inbound_per_s: *inbound_per_s,
                    usual_inbound_per_s: Some(100.0),
                    failed: (from + (to - from) * f64::from(step) / f64::from(steps)) / inbound_per_s,
                    noise: 0.02,
                    usual_noise: 0.0,
                    refused_share: 0.0,
                    taken_per_s: 4.0 * inbound_per_s,
                    needed_per_s: *inbound_per_s,
                    is_silent: false,
                    is_served: false,
                    worked_per_s: None,
                    drains: false,
                };
                phases.step(now_ns, STEP_NS, &symptoms);
                if seen.last() != Some(&phases.phase()) {
                    seen.push(phases.phase());
                }
            }
        }
        seen
    }

    #[test]
    fn overload_that_outlives_its_trigger_is_metastable_and_then_recovers() {
        use Phase::{Amplifying, Healthy, Metastable, Overloaded, Recovering};
        let phases = walk(&[
            (1.0, false, false, 100.0, [0.0, 0.0]),
            (1.0, false, true, 300.0, [100.0, 100.0]),
            (2.0, true, true, 300.0, [900.0, 900.0]),
            (3.0, true, true, 100.0, [300.0, 300.0]),
            (4.0, false, false, 100.0, [0.0, 0.0]),
        ]);
        assert_eq!(
            phases,
            [Healthy, Overloaded, Amplifying, Metastable, Recovering, Healthy]
        );
    }

    #[test]
    fn overload_that_shrinks_after_its_trigger_is_never_called_metastable() {
        use Phase::{Amplifying, Healthy, Recovering};
        let phases = walk(&[
            (2.0, true, true, 300.0, [900.0, 900.0]),
            (4.0, true, true, 100.0, [350.0, 20.0]),
            (4.0, false, false, 100.0, [0.0, 0.0]),
        ]);
        assert_eq!(phases, [Amplifying, Recovering, Healthy]);
    }

    #[test]
    fn without_a_trigger_that_is_gone_it_is_never_called_metastable() {
        let phases = walk(&[(30.0, true, true, 100.0, [300.0, 300.0])]);
        assert_eq!(phases, [Phase::Amplifying]);
    }

    /// What a scope shows whose usual load is 100 and whose requests all fail.
    fn all_fails() -> Symptoms {
        Symptoms {
            amplifying: true,
            failing: true,
            inbound_per_s: 100.0,
            usual_inbound_per_s: Some(100.0),
            failed: 1.0,
            noise: 0.02,
            usual_noise: 0.0,
            refused_share: 0.0,
            taken_per_s: 400.0,
            needed_per_s: 100.0,
            is_silent: false,
            is_served: false,
            worked_per_s: None,
            drains: false,
        }
    }

    /// Lets the same be seen for some seconds; the phases it names.
    fn see(phases: &mut Phases, now_ns: &mut u64, seconds: u64, symptoms: &Symptoms) -> Vec<Phase> {
        let mut seen = vec![];
        for _ in 0..seconds * SECOND_NS / STEP_NS {
            *now_ns += STEP_NS;
            phases.step(*now_ns, STEP_NS, symptoms);
            seen.push(phases.phase());
        }
        seen.dedup();
        seen
    }

    #[test]
    fn a_back_end_that_takes_again_and_answers_nothing_is_a_trigger_that_is_gone() {
        let (mut phases, mut now_ns) = (Phases::default(), 0);
        let taken = |taken_per_s| Symptoms {
            taken_per_s,
            ..all_fails()
        };
        assert_eq!(see(&mut phases, &mut now_ns, 5, &taken(0.0)), [Phase::Amplifying]);
        let after = see(&mut phases, &mut now_ns, 3, &taken(400.0));
        assert_eq!(after, [Phase::Amplifying, Phase::Metastable]);
    }

    #[test]
    fn a_back_end_that_works_again_but_answers_too_late_is_a_trigger_that_is_gone() {
        let (mut phases, mut now_ns) = (Phases::default(), 0);
        let works = |worked_per_s| Symptoms {
            is_silent: true,
            worked_per_s,
            ..all_fails()
        };
        for slow in [None, Some(50.0)] {
            assert_eq!(
                see(&mut phases, &mut now_ns, 5, &works(slow)),
                [Phase::Amplifying],
                "{slow:?}"
            );
        }
        let after = see(&mut phases, &mut now_ns, 2, &works(Some(200.0)));
        assert_eq!(after, [Phase::Amplifying, Phase::Metastable]);
    }

    #[test]
    fn a_queue_that_can_only_shrink_is_a_recovery_at_once() {
        let (mut phases, mut now_ns) = (Phases::default(), 0);
        let trigger = Symptoms {
            inbound_per_s: 300.0,
            needed_per_s: 300.0,
            ..all_fails()
        };
        see(&mut phases, &mut now_ns, 2, &trigger);
        let drains = Symptoms {
            drains: true,
            ..all_fails()
        };
        assert_eq!(see(&mut phases, &mut now_ns, 4, &drains), [Phase::Recovering]);
    }

    #[test]
    fn more_load_for_a_moment_does_not_end_what_sustains_itself() {
        let (mut phases, mut now_ns) = (Phases::default(), 0);
        let load = |inbound_per_s| Symptoms {
            inbound_per_s,
            needed_per_s: inbound_per_s,
            ..all_fails()
        };
        see(&mut phases, &mut now_ns, 2, &load(300.0));
        see(&mut phases, &mut now_ns, 2, &load(100.0));
        for inbound_per_s in [160.0, 300.0, 100.0] {
            let seen = see(&mut phases, &mut now_ns, 2, &load(inbound_per_s));
            assert_eq!(seen, [Phase::Metastable], "{inbound_per_s}");
        }
    }
}
