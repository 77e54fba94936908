//! Whether what is attached also runs. A program that the kernel leaves out counts nothing, which looks like peace. Owns what
//! was counted at the last look. In: the counters of each CPU. Out: samples that were due and did not come, and what does
//! not run. Never judges a scope.

use std::collections::{BTreeMap, BTreeSet};

use crate::kernel::CpuSamples;

/// Shortest time between two looks, nanoseconds: some fifty samples of a busy CPU.
const SHORTEST_NS: u64 = 500_000_000;
/// Samples that have to be due, or else their absence says nothing.
const LEAST_DUE: u64 = 20;
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

/// What was seen of the sampled run-queues. Samples are due while a CPU is busy: one that sleeps is hardly sampled by every kernel.
#[derive(Clone, Debug)]
pub(super) struct Sampling {
    hz: u64,
    last: BTreeMap<u32, CpuSamples>,
    at_ns: Option<u64>,
    silent_looks: u32,
    /// CPUs of which it was said that there are no samples.
    said: BTreeSet<u32>,
    lost: bool,
    missed: u64,
}

/// Samples of some time, of one CPU or of all.
#[derive(Clone, Copy, Debug, Default)]
struct Samples {
    due: u64,
    taken: u64,
}

impl Samples {
    /// As many came as can be wanted of CPUs that sleep.
    const fn are_enough(self) -> bool {
        self.due >= LEAST_DUE || self.taken > self.due
    }

    /// Hardly any came.
    const fn are_missing(self) -> bool {
        self.due >= LEAST_DUE && self.taken < self.due / 10
    }

    /// Those that did not come. Where half of them did they only came unevenly.
    const fn missed(self) -> u64 {
        if self.due >= LEAST_DUE && self.taken < self.due / 2 {
            self.due - self.taken
        } else {
            0
        }
    }
}

impl Sampling {
    /// Of samples that are taken so often a second on every CPU.
    pub(super) const fn new(hz: u64) -> Self {
        Self {
            hz,
            last: BTreeMap::new(),
            at_ns: None,
            silent_looks: 0,
            said: BTreeSet::new(),
            lost: false,
            missed: 0,
        }
    }

    /// Samples that were due and were not taken, since the start.
    pub(super) const fn missed(&self) -> u64 {
        self.missed
    }

    /// Looks at the CPUs that are online. `now_ns` is `CLOCK_MONOTONIC`.
    pub(super) fn look(&mut self, now_ns: u64, cpus: &[CpuSamples]) -> Option<Change> {
        let too_soon = |at_ns: u64| now_ns.saturating_sub(at_ns) < SHORTEST_NS;
        if self.at_ns.is_some_and(too_soon) || cpus.is_empty() {
            return None;
        }
        self.at_ns = Some(now_ns);
        let now = cpus.iter().map(|one| (one.cpu, *one)).collect();
        let before = std::mem::replace(&mut self.last, now);
        let (mut all, mut silent) = (Samples::default(), BTreeSet::new());
        // One that came online since the last look has nothing to be compared with.
        for (now, before) in cpus.iter().filter_map(|now| Some((now, before.get(&now.cpu)?))) {
            let samples = self.between(now, before);
            all.due += samples.due;
            all.taken += samples.taken;
            self.missed += samples.missed();
            if samples.are_missing() {
                silent.insert(now.cpu);
            } else if samples.due >= LEAST_DUE {
                self.said.remove(&now.cpu);
            }
        }
        if all.are_missing() {
            self.silent_looks += 1;
        } else if all.are_enough() {
            self.silent_looks = 0;
            self.say(&silent);
        }
        self.change(all)
    }

    fn between(&self, now: &CpuSamples, before: &CpuSamples) -> Samples {
        let busy_ns = now.busy_ns.saturating_sub(before.busy_ns);
        Samples {
            due: u64::try_from(u128::from(busy_ns) * u128::from(self.hz) / 1_000_000_000).unwrap_or(u64::MAX),
            taken: now.samples.wrapping_sub(before.samples),
        }
    }

    fn change(&mut self, all: Samples) -> Option<Change> {
        let sensor = "sched.run_queue".to_owned();
        if self.silent_looks >= LOOKS && !self.lost {
            self.lost = true;
            let reason = format!(
                "attached but not running: of {} samples that were due while the CPUs were busy {} were taken; another program of the kernel \
                 keeps the CPUs to itself (`bpftool prog list` shows them). It counts again as soon as samples come",
                all.due, all.taken
            );
            return Some(Change::Lost { sensor, reason });
        }
        (self.lost && self.silent_looks == 0).then(|| {
            self.lost = false;
            Change::Back { sensor }
        })
    }

    /// Says once of which CPUs alone there are no samples.
    fn say(&mut self, silent: &BTreeSet<u32>) {
        let fresh: Vec<u32> = silent.difference(&self.said).copied().collect();
        if !fresh.is_empty() {
            tracing::warn!(
                "no run-queue samples of CPU {fresh:?}: it came online after the agent was started, or another program of the kernel \
                 keeps it to itself; counted as run_queue_sample_missed, restart the agent if it lasts"
            );
        }
        self.said.extend(fresh);
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

    /// Samples and busy seconds so far, of CPU 0 and on.
    fn cpus(cpus: &[(u64, f64)]) -> Vec<CpuSamples> {
        let of = |(cpu, (samples, busy_s)): (u32, &(u64, f64))| CpuSamples {
            cpu,
            samples: *samples,
            busy_ns: (busy_s * 1e9) as u64,
        };
        (0..).zip(cpus).map(of).collect()
    }

    #[test]
    fn samples_that_come_are_no_loss_even_when_they_come_unevenly_or_a_cpu_sleeps() {
        let mut sampling = Sampling::new(99);
        for second in 0..10 {
            let busy_s = second as f64;
            let now = cpus(&[(second * 99, busy_s), (second * 60, busy_s), (second, 0.02 * busy_s)]);
            assert_eq!(sampling.look(second * SECOND, &now), None);
        }
        assert_eq!(sampling.missed(), 0);
        assert!(sampling.said.is_empty());
    }

    #[test]
    fn a_cpu_without_samples_is_a_loss_and_a_host_without_any_a_lost_sensor_until_they_come_again() {
        let mut sampling = Sampling::new(100);
        sampling.look(0, &cpus(&[(0, 0.0), (0, 0.0)]));
        assert_eq!(sampling.look(SECOND, &cpus(&[(100, 1.0), (0, 1.0)])), None);
        assert_eq!((sampling.missed(), sampling.said.len()), (100, 1));
        assert_eq!(
            sampling.look(2 * SECOND, &cpus(&[(104, 2.0), (0, 2.0)])),
            None,
            "once is late"
        );
        assert!(is_lost(
            sampling.look(3 * SECOND, &cpus(&[(104, 3.0), (0, 3.0)])).as_ref()
        ));
        assert_eq!(
            sampling.look(4 * SECOND, &cpus(&[(104, 4.0), (0, 4.0)])),
            None,
            "said once"
        );
        assert_eq!(sampling.missed(), 100 + 196 + 200 + 200);
        let idle = sampling.look(5 * SECOND, &cpus(&[(104, 4.0), (0, 4.0)]));
        assert_eq!(idle, None, "nothing was due, which says nothing");
        let mut asleep = sampling.clone();
        let back = asleep.look(6 * SECOND, &cpus(&[(114, 4.01), (4, 4.0)]));
        assert!(
            matches!(back, Some(Change::Back { .. })),
            "hardly any was due, and more came: {back:?}"
        );
        let back = sampling.look(6 * SECOND, &cpus(&[(204, 5.0), (100, 5.0)]));
        assert!(matches!(back, Some(Change::Back { .. })), "{back:?}");
        assert!(sampling.said.is_empty());
    }

    #[test]
    fn a_cpu_that_just_came_online_owes_nothing_and_one_that_is_offline_neither() {
        let mut sampling = Sampling::new(100);
        sampling.look(0, &cpus(&[(0, 0.0)]));
        sampling.look(SECOND, &cpus(&[(100, 1.0), (0, 5.0)]));
        sampling.look(2 * SECOND, &cpus(&[(200, 2.0)]));
        sampling.look(3 * SECOND, &cpus(&[(300, 3.0), (0, 6.0)]));
        assert_eq!(sampling.missed(), 0);
        sampling.look(4 * SECOND, &cpus(&[(400, 4.0), (0, 7.0)]));
        assert_eq!(sampling.missed(), 100);
    }

    #[test]
    fn looks_that_follow_each_other_closely_wait_for_more() {
        let mut sampling = Sampling::new(100);
        sampling.look(0, &cpus(&[(0, 0.0)]));
        assert_eq!(sampling.look(SECOND / 4, &cpus(&[(0, 0.25)])), None);
        assert_eq!(sampling.missed(), 0);
        sampling.look(SECOND, &cpus(&[(0, 1.0)]));
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
