//! What holds for the whole host at one reading: how busy its CPUs are, how long its run-queues, how its available
//! memory moves, and which scope is behind it.

use std::sync::Arc;

use crate::sense::sample::{Origin, Sample, Scope};

use super::{
    calibration::Calibration,
    evidence::{Reading, SECOND_NS, ratio, unix_s},
    statistics::{
        trajectory::Trajectory,
        window::{Counts, Window},
    },
};

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

/// The scope with the most of something.
#[derive(Clone, Debug, Default)]
pub(super) struct Top {
    /// Who, and how much.
    pub(super) scope: Option<(Arc<Scope>, f64)>,
}

impl Top {
    /// Takes note of a scope's share.
    pub(super) fn offer(&mut self, scope: &Arc<Scope>, amount: f64) {
        if amount > self.scope.as_ref().map_or(0.0, |top| top.1) {
            self.scope = Some((Arc::clone(scope), amount));
        }
    }
}

/// The host, as the judges of single scopes need to know it.
#[derive(Clone, Debug)]
pub(super) struct Context {
    cpu: Window<CpuCounts, 10>,
    available: Trajectory,
    false_alarms_per_week: f64,
    /// How rare a sign has to be.
    pub(super) calibration: Calibration,
    /// CPUs.
    pub(super) cpus: f64,
    /// Megabytes in a page.
    pub(super) page_mb: f64,
    /// CPU seconds used per second, all CPUs; `None` when not measured.
    pub(super) on_cpu_s_per_s: Option<f64>,
    /// Mean run-queue length per CPU, the running task included.
    pub(super) queue_mean: Option<f64>,
    /// Its standard deviation over CPUs and time.
    pub(super) queue_sigma: Option<f64>,
    /// Memory in all, MB.
    pub(super) total_mb: Option<f64>,
    /// Memory available, MB.
    pub(super) available_mb: Option<f64>,
    /// How fast available memory moves, MB/s; negative when it falls.
    pub(super) available_mb_per_s: Option<f64>,
    /// The scope that waits most, milliseconds per second.
    pub(super) waiting: Top,
    /// The scope that grows most, MB/s.
    pub(super) growing: Top,
    /// The greatest rise of a single scope over the last minute, MB.
    pub(super) most_grown_mb: f64,
    /// A scope's own growth is being judged as a leak: the host need not say it again.
    pub(super) leak_named: bool,
}

impl Context {
    /// Of a host nothing is known of yet.
    #[must_use]
    pub(super) fn new(origin: &Origin, false_alarms_per_week: f64) -> Self {
        Self {
            calibration: Calibration::new(false_alarms_per_week, 1),
            false_alarms_per_week,
            cpu: Window::new(SECOND_NS),
            available: Trajectory::default(),
            cpus: f64::from(origin.cpus.max(1)),
            page_mb: origin.page_bytes as f64 / 1e6,
            on_cpu_s_per_s: None,
            queue_mean: None,
            queue_sigma: None,
            total_mb: None,
            available_mb: None,
            available_mb_per_s: None,
            waiting: Top::default(),
            growing: Top::default(),
            most_grown_mb: 0.0,
            leak_named: false,
        }
    }

    /// Takes in what a sample says about the host.
    pub(super) fn observe(&mut self, sample: &Sample) {
        self.calibration = Calibration::new(self.false_alarms_per_week, sample.scopes.len());
        if let Some(elapsed_ns) = sample
            .elapsed
            .sched_ns
            .map(|ns| ns.min(sample.now.monotonic_ns))
            .filter(|ns| *ns > 0)
        {
            self.waiting = Top::default();
            self.observe_cpu(
                sample,
                Reading {
                    end_ns: sample.now.monotonic_ns,
                    elapsed_ns,
                    unix_s: unix_s(sample.now),
                },
            );
        }
        if sample.elapsed.mem_ns.is_some() {
            self.growing = Top::default();
            self.most_grown_mb = 0.0;
            self.leak_named = false;
        }
        self.observe_memory(sample);
    }

    fn observe_cpu(&mut self, sample: &Sample, reading: Reading) {
        let Some(sched) = sample.host.sched else {
            self.cpu.clear();
            self.on_cpu_s_per_s = None;
            return;
        };
        let queue = sample.host.run_queue.unwrap_or_default();
        let counts = CpuCounts {
            on_cpu_ns: sched.on_cpu_ns,
            queue_samples: queue.samples,
            queue_length: queue.length,
            queue_length_squared: queue.length_squared,
        };
        self.cpu.push(reading.end_ns, reading.elapsed_ns, &counts);
        let sum = self.cpu.sum();
        let counts = sum.counts;
        let samples = counts.queue_samples as f64;
        self.on_cpu_s_per_s = ratio(counts.on_cpu_ns as f64, sum.measured_ns as f64);
        self.queue_mean = ratio(counts.queue_length as f64, samples);
        self.queue_sigma = self.queue_mean.map(|mean| {
            let square = counts.queue_length_squared as f64 / samples;
            (square - mean * mean).max(0.0).sqrt()
        });
    }

    fn observe_memory(&mut self, sample: &Sample) {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        if let Some(total) = sample.host.memory_total_bytes {
            self.total_mb = Some(megabytes(total));
        }
        if let Some(available) = sample.host.memory_available_bytes {
            self.available_mb = Some(megabytes(available));
            self.available.push(sample.now.monotonic_ns, megabytes(available));
            self.available_mb_per_s = self.available.velocity().map(|slope| slope.per_s);
        }
    }

    /// True when the CPUs have no time left: nearly all of it is used, or tasks queue steadily. A queue that comes and
    /// goes (many short jobs at a load that fits) has a spread as large as its mean and does not count.
    #[must_use]
    pub(super) fn is_saturated(&self) -> bool {
        let busy = self.on_cpu_s_per_s.is_some_and(|used| used >= 0.9 * self.cpus);
        busy || self.queue_is_long() && self.queue_sigma <= self.queue_mean.map(|mean| 0.75 * mean)
    }

    /// True when there are clearly more runnable tasks than CPUs.
    #[must_use]
    pub(super) fn queue_is_long(&self) -> bool {
        self.queue_mean.is_some_and(|mean| mean >= 1.25)
    }
}
