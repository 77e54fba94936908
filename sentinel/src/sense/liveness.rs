//! Whether what is attached also runs. A program that the kernel leaves out counts nothing, which looks like peace. Owns what
//! was counted at the last look. In: the counters of each CPU. Out: samples that were due and did not come, and what does
//! not run. Never judges a scope.

use std::collections::BTreeMap;

/// Shortest time between two looks, nanoseconds: some fifty samples of each CPU.
const SHORTEST_NS: u64 = 500_000_000;
/// Looks without samples after which they are not only late.
const LOOKS: u32 = 2;

/// What changed about a sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It ran and does not any more.
    Lost {
        /// Its name, as `sched.run_queue`.
        sensor: String,
        /// Why not, with the remedy.
        reason: String,
    },
    /// It runs again.
    Back {
        /// Its name.
        sensor: String,
    },
}

/// What was seen of the sampled run-queues.
#[derive(Debug)]
pub(super) struct Sampling {
    hz: u64,
    last: BTreeMap<u32, u64>,
    at_ns: Option<u64>,
    silent_looks: u32,
    /// CPUs that were said to have no samples.
    said: Vec<u32>,
    lost: bool,
    missed: u64,
}

impl Sampling {
    /// Of samples that are taken so often a second on every CPU.
    pub(super) const fn new(hz: u64) -> Self {
        Self {
            hz,
            last: BTreeMap::new(),
            at_ns: None,
            silent_looks: 0,
            said: Vec::new(),
            lost: false,
            missed: 0,
        }
    }

    /// Samples that were due and were not taken, since the start. A CPU that gave half of its samples or more was only
    /// sampled unevenly, and counts as whole.
    pub(super) const fn missed(&self) -> u64 {
        self.missed
    }

    /// Looks at the samples of each CPU that is online, since the start. `now_ns` is `CLOCK_MONOTONIC`.
    pub(super) fn look(&mut self, now_ns: u64, samples: &[(u32, u64)]) -> Option<Change> {
        let elapsed_ns = now_ns.saturating_sub(self.at_ns.unwrap_or(now_ns));
        if self.at_ns.is_some() && elapsed_ns < SHORTEST_NS || samples.is_empty() {
            return None;
        }
        self.at_ns = Some(now_ns);
        let before = std::mem::replace(&mut self.last, samples.iter().copied().collect());
        let due = u64::try_from(u128::from(elapsed_ns) * u128::from(self.hz) / 1_000_000_000).unwrap_or(u64::MAX);
        let mut silent = Vec::new();
        // One that came online since the last look was not online for all of that time.
        let looked_at = samples
            .iter()
            .filter_map(|(cpu, now)| Some((*cpu, now.wrapping_sub(*before.get(cpu)?))));
        for (cpu, taken) in looked_at {
            if taken < due / 2 {
                self.missed += due - taken;
            }
            if taken < due / 10 {
                silent.push(cpu);
            }
        }
        let all = silent.len() == samples.len();
        self.silent_looks = if all { self.silent_looks + 1 } else { 0 };
        if !all {
            self.say(silent);
        }
        if self.silent_looks >= LOOKS && !self.lost {
            self.lost = true;
            return Some(Change::Lost {
                sensor: "sched.run_queue".to_owned(),
                reason: format!(
                    "attached but not running: of {due} samples that were due on each CPU in the last {:.1} s fewer than a tenth were taken; \
                     another program of the kernel keeps the CPUs to itself (`bpftool prog list` shows them). It counts again as soon as samples come",
                    elapsed_ns as f64 / 1e9
                ),
            });
        }
        if self.lost && !all {
            self.lost = false;
            return Some(Change::Back {
                sensor: "sched.run_queue".to_owned(),
            });
        }
        None
    }

    /// Says once of which CPUs alone there are no samples.
    fn say(&mut self, silent: Vec<u32>) {
        if silent != self.said && !silent.is_empty() {
            tracing::warn!(
                "no run-queue samples of CPU {silent:?}: it came online after the agent was started, or another program of the kernel \
                 keeps it to itself; counted as run_queue_sample_missed, restart the agent if it lasts"
            );
        }
        self.said = silent;
    }
}

/// Whether the switch hook runs: the agent itself left a CPU since the last look, so that something must have been counted.
#[derive(Debug, Default)]
pub(super) struct Switches {
    counted: u64,
    looked_before: bool,
    lost: bool,
}

impl Switches {
    /// Adds what a reading counted.
    pub(super) const fn count(&mut self, waits: u64) {
        self.counted = self.counted.saturating_add(waits);
    }

    /// Looks whether anything was counted since the last look.
    pub(super) fn look(&mut self) -> Option<Change> {
        let silent = self.looked_before && std::mem::take(&mut self.counted) == 0;
        self.looked_before = true;
        self.counted = 0;
        (silent && !std::mem::replace(&mut self.lost, true)).then(|| Change::Lost {
            sensor: "sched".to_owned(),
            reason: "attached but not running: not one switch was counted since the last look, though the agent itself slept and \
                     woke; restart the agent"
                .to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn is_lost(change: Option<&Change>) -> bool {
        matches!(change, Some(Change::Lost { .. }))
    }

    #[test]
    fn samples_that_come_are_no_loss_even_when_they_come_unevenly() {
        let mut sampling = Sampling::new(99);
        for second in 0..10 {
            let taken = second * 60;
            assert_eq!(sampling.look(second * SECOND, &[(0, second * 99), (1, taken)]), None);
        }
        assert_eq!(sampling.missed(), 0);
    }

    #[test]
    fn a_cpu_without_samples_is_a_loss_and_a_host_without_any_a_lost_sensor_until_they_come_again() {
        let mut sampling = Sampling::new(100);
        sampling.look(0, &[(0, 0), (1, 0)]);
        assert_eq!(sampling.look(SECOND, &[(0, 100), (1, 0)]), None);
        assert_eq!((sampling.missed(), sampling.said.as_slice()), (100, &[1][..]));
        assert_eq!(sampling.look(2 * SECOND, &[(0, 104), (1, 0)]), None, "once is late");
        assert!(is_lost(sampling.look(3 * SECOND, &[(0, 104), (1, 0)]).as_ref()));
        assert_eq!(sampling.look(4 * SECOND, &[(0, 104), (1, 0)]), None, "said once");
        assert_eq!(sampling.missed(), 100 + 196 + 200 + 200);
        let back = sampling.look(5 * SECOND, &[(0, 204), (1, 100)]);
        assert!(matches!(back, Some(Change::Back { .. })), "{back:?}");
    }

    #[test]
    fn a_cpu_that_just_came_online_owes_nothing_and_one_that_is_offline_neither() {
        let mut sampling = Sampling::new(100);
        sampling.look(0, &[(0, 0)]);
        sampling.look(SECOND, &[(0, 100), (1, 0)]);
        assert_eq!(sampling.missed(), 0);
        sampling.look(2 * SECOND, &[(0, 200)]);
        assert_eq!(sampling.missed(), 0);
        sampling.look(3 * SECOND, &[(0, 300), (1, 0)]);
        sampling.look(4 * SECOND, &[(0, 400), (1, 0)]);
        assert_eq!(sampling.missed(), 100);
    }

    #[test]
    fn looks_that_follow_each_other_closely_wait_for_more() {
        let mut sampling = Sampling::new(100);
        sampling.look(0, &[(0, 0)]);
        assert_eq!(sampling.look(SECOND / 4, &[(0, 0)]), None);
        assert_eq!(sampling.missed(), 0);
        sampling.look(SECOND, &[(0, 0)]);
        assert_eq!(sampling.missed(), 100);
    }

    #[test]
    fn a_switch_hook_that_counts_nothing_while_the_agent_sleeps_and_wakes_does_not_run() {
        let mut switches = Switches::default();
        assert_eq!(switches.look(), None, "nothing was read yet");
        switches.count(3);
        assert_eq!(switches.look(), None);
        assert!(is_lost(switches.look().as_ref()));
        assert_eq!(switches.look(), None, "said once");
    }
}
