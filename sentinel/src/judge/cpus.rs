//! How busy the host's CPUs are and how long their run-queues, over a second and over the last moment. Owns nothing but
//! these counts; never says what is wrong.

use crate::sense::sample::Sample;

use super::{
    evidence::{Reading, SECOND_NS, ratio},
    statistics::window::{Counts, Sum, Window},
};

/// The last moment: short enough to see a burst, long enough for some sixty samples of the queues of two CPUs.
const MOMENT_NS: u64 = 3 * SECOND_NS / 10;
/// Runnable tasks per CPU from which on there are clearly more than the CPUs can run.
const LONG_QUEUE: f64 = 1.25;

#[derive(Clone, Copy, Debug, Default)]
struct CpuCounts {
    on_cpu_ns: u64,
    queue_samples: u64,
    queue_length: u64,
    queue_length_squared: u64,
}

impl Counts for CpuCounts {
    fn add(&mut self, other: &Self) {
        self.on_cpu_ns = self.on_cpu_ns.saturating_add(other.on_cpu_ns);
        self.queue_samples = self.queue_samples.saturating_add(other.queue_samples);
        self.queue_length = self.queue_length.saturating_add(other.queue_length);
        self.queue_length_squared = self.queue_length_squared.saturating_add(other.queue_length_squared);
    }
}

/// The CPUs over a stretch of time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cpus {
    /// Their number.
    pub(super) count: f64,
    /// CPU seconds used per second, all CPUs; `None` when not measured.
    pub(super) busy: Option<f64>,
    /// Mean run-queue length per CPU, the running task included.
    pub(super) queue_mean: Option<f64>,
    /// Its standard deviation over CPUs and time.
    pub(super) queue_sigma: Option<f64>,
}

impl Cpus {
    fn of(sum: &Sum<CpuCounts>, count: f64) -> Self {
        let counts = sum.counts;
        let samples = counts.queue_samples as f64;
        let queue_mean = ratio(counts.queue_length as f64, samples);
        Self {
            count,
            busy: ratio(counts.on_cpu_ns as f64, sum.measured_ns as f64),
            queue_mean,
            queue_sigma: queue_mean.map(|mean| {
                let square = counts.queue_length_squared as f64 / samples;
                (square - mean * mean).max(0.0).sqrt()
            }),
        }
    }

    /// Share of the CPUs' time that is used, 0 to 1; 0 when not measured.
    #[must_use]
    pub(super) fn busy_share(&self) -> f64 {
        self.busy.map_or(0.0, |busy| (busy / self.count).clamp(0.0, 1.0))
    }

    /// True when the CPUs have no time left: nearly all of it is used, or tasks queue steadily. A queue that comes and
    /// goes (many short jobs at a load that fits) has a spread as large as its mean and does not count.
    #[must_use]
    pub(super) fn is_saturated(&self) -> bool {
        let steady = self.queue_sigma <= self.queue_mean.map(|mean| 0.75 * mean);
        self.busy_share() >= 0.9 || self.queue_is_long() && steady
    }

    /// True when there are clearly more runnable tasks than CPUs.
    #[must_use]
    pub(super) fn queue_is_long(&self) -> bool {
        self.queue_mean.is_some_and(|mean| mean >= LONG_QUEUE)
    }

    /// Tasks that would wait on average at this load if they came at random: the mean queue of M/M/c,
    /// `rho^sqrt(2(c+1)) / (1 - rho)` (H. Sakasegawa, "An approximation formula", 1977). `None` from 95 % on, where the
    /// load explains any queue.
    #[must_use]
    pub(super) fn explained_waiting_tasks(&self) -> Option<f64> {
        let load = self.busy_share();
        (load < 0.95).then(|| load.powf((2.0 * (self.count + 1.0)).sqrt()) / (1.0 - load))
    }
}

/// What is remembered of the CPUs.
#[derive(Clone, Debug)]
pub(super) struct CpuHistory {
    window: Window<CpuCounts, 10>,
    count: f64,
}

impl CpuHistory {
    /// Of a host with that many CPUs.
    pub(super) fn new(count: f64) -> Self {
        Self {
            window: Window::new(SECOND_NS),
            count,
        }
    }

    /// Takes in a reading; returns the last second and the last moment.
    pub(super) fn observe(&mut self, sample: &Sample, reading: Reading) -> (Cpus, Cpus) {
        let Some(sched) = sample.host.sched else {
            self.window.clear();
            return (
                Cpus::of(&Sum::default(), self.count),
                Cpus::of(&Sum::default(), self.count),
            );
        };
        let queue = sample.host.run_queue.unwrap_or_default();
        let counts = CpuCounts {
            on_cpu_ns: sched.on_cpu_ns,
            queue_samples: queue.samples,
            queue_length: queue.length,
            queue_length_squared: queue.length_squared,
        };
        self.window.push(reading.end_ns, reading.elapsed_ns, &counts);
        (
            Cpus::of(&self.window.sum(), self.count),
            Cpus::of(&self.window.latest(MOMENT_NS), self.count),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_arrivals_explain_a_short_queue_at_half_load_and_any_queue_at_full_load() {
        let at = |busy| Cpus {
            count: 2.0,
            busy: Some(busy),
            ..Cpus::default()
        };
        // Erlang C for two servers: 0.333 waiting at half load, 4.26 at 85 %.
        let half = at(1.0).explained_waiting_tasks().unwrap();
        assert!((half - 0.333).abs() < 0.05, "{half}");
        let high = at(1.7).explained_waiting_tasks().unwrap();
        assert!((high - 4.43).abs() < 0.2, "{high}");
        assert_eq!(at(1.95).explained_waiting_tasks(), None);
        assert_eq!(at(0.0).explained_waiting_tasks(), Some(0.0));
    }
}
