//! How long and how badly tasks of a scope have been in each other's way: evidence that is summed over time.
//!
//! A cumulative sum after E. S. Page, "Continuous inspection schemes" (1954): it rises by how far the share of time
//! spent waiting lies above what is tolerable, and falls while it does not. So a worse fault is found sooner, bursts
//! that come again add up although their mean is nominal, and one that was short is forgotten. It is an integral over
//! real time, so the length of a tick does not matter.

/// Share of the time wanted that may be spent waiting. Two busy tasks on two CPUs wait for none of it, three for a
/// third, four for half.
pub(super) const TOLERABLE_SHARE: f64 = 0.2;
/// Waiting beyond this share above the tolerable counts no more: however bad it is, it has to last.
const MOST: f64 = 0.35;
/// The sum from which on it is worth a look, and from which on it is a fault: half a second and just under a second of
/// half the tasks waiting.
const WATCH: f64 = 0.14;
const VETO: f64 = 0.28;
/// The same for a scope that has no past to say what is usual: as it starts it may crowd for a moment.
const VETO_WITHOUT_PAST: f64 = 0.5;
/// The sum never rises above this.
const LIMIT: f64 = 0.6;
/// A crowd that was last seen this long ago, seconds, is not there now; after the longer time it is forgotten.
const NOW_S: f64 = 1.0;
const FORGOTTEN_S: f64 = 3.0;
/// What it loses per second in which there is no crowd, though nothing be asked of the CPUs.
const CALM_PER_S: f64 = 0.04;
/// Tasks that give up the CPU by themselves are done with something: their crowd is a queue that moves, as that of a
/// build with many jobs does. It may wait four times as long as it runs, and beyond that counts a tenth. So it is where
/// tasks run up to the first time between two sleeps, milliseconds; from the second one on they are stuck.
pub(super) const MOVING_MS: f64 = 4.0;
const STUCK_MS: f64 = 16.0;
const TOLERABLE_SHARE_MOVING: f64 = 0.8;
const WEIGHT_MOVING: f64 = 0.1;

/// The crowd of one reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    /// Share of the time wanted that was spent waiting.
    pub(super) waiting_share: f64,
    /// Share of the reading in which the CPUs were busy.
    pub(super) busy_share: f64,
    /// Time on a CPU between two sleeps, milliseconds; infinite when nobody sleeps.
    pub(super) run_ms: f64,
}

/// The sum.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Crowding {
    sum: f64,
    /// Seconds since it rose.
    calm_s: f64,
}

/// What the sum says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasting {
    /// Nothing, or not for long.
    Short,
    /// Worth a look.
    Noticed,
    /// A fault.
    Proven,
}

impl Crowding {
    /// A reading of that many seconds in which there was a crowd.
    pub(super) fn rise(&mut self, seconds: f64, crowd: Crowd) {
        let stuck = ((crowd.run_ms / MOVING_MS).log2() / (STUCK_MS / MOVING_MS).log2()).clamp(0.0, 1.0);
        let between = |moving: f64, still: f64| moving + (still - moving) * stuck;
        let tolerable = between(TOLERABLE_SHARE_MOVING, TOLERABLE_SHARE);
        let weight = between(WEIGHT_MOVING, 1.0);
        let beyond = (crowd.waiting_share - tolerable).clamp(0.0, MOST);
        if beyond > 0.0 {
            self.calm_s = 0.0;
        }
        self.add(beyond * weight * crowd.busy_share.clamp(0.0, 1.0) * seconds);
    }

    /// A reading of that many seconds in which there was none: its tasks wanted this part of the CPUs and waited for that
    /// share of it. What ran undisturbed says more than what did not run.
    pub(super) fn fall(&mut self, seconds: f64, wanted: f64, waiting_share: f64) {
        let better = (TOLERABLE_SHARE - waiting_share).clamp(0.0, 1.0) * wanted.clamp(0.0, 1.0);
        self.calm_s += seconds;
        if self.calm_s >= FORGOTTEN_S {
            self.sum = 0.0;
        }
        self.add(-(CALM_PER_S + better) * seconds);
    }

    fn add(&mut self, change: f64) {
        let sum = self.sum + change;
        self.sum = if sum.is_finite() { sum.clamp(0.0, LIMIT) } else { 0.0 };
        self.calm_s = if self.calm_s.is_finite() { self.calm_s } else { 0.0 };
    }

    /// Whether it lasts. `has_past`: there is a baseline that says what is usual.
    #[must_use]
    pub(super) fn lasting(&self, has_past: bool) -> Lasting {
        let veto = if has_past { VETO } else { VETO_WITHOUT_PAST };
        if self.calm_s >= NOW_S {
            Lasting::Short
        } else if self.sum >= veto {
            Lasting::Proven
        } else if self.sum >= WATCH {
            Lasting::Noticed
        } else {
            Lasting::Short
        }
    }

    /// Share of what a fault needs, 1 and more when it is one.
    #[must_use]
    pub(super) fn evidence(&self) -> f64 {
        self.sum / VETO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(tasks: f64) -> Option<Crowd> {
        Some(Crowd {
            waiting_share: 1.0 - 2.0 / tasks,
            busy_share: 1.0,
            run_ms: f64::INFINITY,
        })
    }

    /// Seconds until it is proven, with readings of this length.
    fn proven_after(step_s: f64, crowd: impl Fn(f64) -> Option<Crowd>) -> Option<f64> {
        let mut crowding = Crowding::default();
        (1..)
            .map(|step| f64::from(step) * step_s)
            .take_while(|at| *at < 60.0)
            .find(|at| {
                match crowd(*at - step_s) {
                    Some(crowd) => crowding.rise(step_s, crowd),
                    None => crowding.fall(step_s, 0.1, 0.0),
                }
                crowding.lasting(true) == Lasting::Proven
            })
    }

    #[test]
    fn the_more_tasks_the_sooner_and_as_many_as_cpus_never() {
        assert_eq!(proven_after(0.1, |_| tasks(2.0)), None);
        let three = proven_after(0.1, |_| tasks(3.0)).unwrap();
        let four = proven_after(0.1, |_| tasks(4.0)).unwrap();
        let eight = proven_after(0.1, |_| tasks(8.0)).unwrap();
        assert!((1.5..4.0).contains(&three), "{three}");
        assert!(four < 1.2 && eight <= four && eight > 0.75, "{four} {eight}");
    }

    #[test]
    fn bursts_that_come_again_add_up_and_one_that_does_not_is_forgotten() {
        let half_of_the_time = |at: f64| (at % 1.0 < 0.49).then(|| tasks(8.0)).flatten();
        assert!(proven_after(0.1, half_of_the_time).unwrap() <= 2.0);
        let once = |at: f64| (at < 0.6).then(|| tasks(8.0)).flatten();
        assert_eq!(proven_after(0.1, once), None);
    }

    #[test]
    fn the_length_of_a_reading_does_not_matter() {
        for step_s in [0.05, 0.1, 0.25, 0.5, 1.0] {
            let after = proven_after(step_s, |_| tasks(8.0)).unwrap();
            assert!((0.8..=1.0).contains(&after), "{step_s}: {after}");
        }
    }

    #[test]
    fn what_is_not_a_number_does_not_stay() {
        let mut crowding = Crowding::default();
        let crowd = Crowd {
            waiting_share: f64::NAN,
            busy_share: f64::INFINITY,
            run_ms: f64::INFINITY,
        };
        crowding.rise(1.0, crowd);
        crowding.fall(f64::NAN, f64::NAN, f64::NAN);
        assert_eq!(crowding.lasting(true), Lasting::Short);
        assert!(crowding.evidence().is_finite());
    }
}
