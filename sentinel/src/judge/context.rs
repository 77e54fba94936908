//! What holds for the whole host at one reading: its CPUs, how its available memory moves, and which scope is behind
//! it.

use std::sync::Arc;

use crate::sense::sample::{Origin, Sample, Scope};

use super::{
    calibration::Calibration,
    cpus::{CpuHistory, Cpus},
    evidence::{Reading, unix_s},
    fever::OverHorizons,
    incident::Register,
    servers::Servers,
    statistics::trajectory::Trajectory,
};

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
    cpu: CpuHistory,
    available: Trajectory,
    /// False alarms that the operator accepts.
    pub(super) false_alarms_per_week: f64,
    /// How rare a sign has to be.
    pub(super) calibration: Calibration,
    /// Incidents that others may follow from.
    pub(super) incidents: Register,
    /// CPUs.
    pub(super) cpus: f64,
    /// Megabytes in a page.
    pub(super) page_mb: f64,
    /// Its CPUs over the last second.
    pub(super) second: Cpus,
    /// Its CPUs over the last moment.
    pub(super) moment: Cpus,
    /// Memory in all, MB.
    pub(super) total_mb: Option<f64>,
    /// Memory available, MB.
    pub(super) available_mb: Option<f64>,
    /// How fast available memory moves, MB/s; negative when it falls.
    pub(super) available_mb_per_s: Option<f64>,
    /// The scope that waits most, milliseconds per second.
    pub(super) waiting: Top,
    /// The scope that has most tasks to run, by the reading before: whoever is judged first must know it too.
    pub(super) running: Top,
    /// The same, as far as this reading was judged.
    pub(super) running_next: Top,
    /// Tasks of all scopes that want a CPU for longer than a moment, by the reading before.
    pub(super) stuck_tasks: f64,
    /// The same, as far as this reading was judged.
    pub(super) stuck_tasks_next: f64,
    /// Scopes that others connect to, by the reading before, and as far as this reading was judged.
    pub(super) servers: Servers,
    pub(super) servers_next: Servers,
    /// The scope that grows most, MB/s.
    pub(super) growing: Top,
    /// The greatest rise of a single scope over each horizon of fever, MB.
    pub(super) most_grown_mb: OverHorizons,
    /// A scope's own growth is being judged as a leak: the host need not say it again.
    pub(super) leak_named: bool,
}

impl Context {
    /// Of a host nothing is known of yet.
    #[must_use]
    pub(super) fn new(origin: &Origin, false_alarms_per_week: f64) -> Self {
        let cpus = f64::from(origin.cpus.max(1));
        Self {
            calibration: Calibration::new(false_alarms_per_week, 1),
            false_alarms_per_week,
            incidents: Register::default(),
            cpu: CpuHistory::new(cpus),
            available: Trajectory::default(),
            cpus,
            page_mb: origin.page_bytes as f64 / 1e6,
            second: Cpus::default(),
            moment: Cpus::default(),
            total_mb: None,
            available_mb: None,
            available_mb_per_s: None,
            waiting: Top::default(),
            running: Top::default(),
            running_next: Top::default(),
            stuck_tasks: 0.0,
            stuck_tasks_next: 0.0,
            servers: Servers::default(),
            servers_next: Servers::default(),
            growing: Top::default(),
            most_grown_mb: OverHorizons::default(),
            leak_named: false,
        }
    }

    /// Takes in what a sample says about the host.
    pub(super) fn observe(&mut self, sample: &Sample) {
        self.calibration = Calibration::new(self.false_alarms_per_week, sample.count());
        if let Some(elapsed_ns) = sample
            .elapsed
            .sched_ns
            .map(|ns| ns.min(sample.now.monotonic_ns))
            .filter(|ns| *ns > 0)
        {
            self.waiting = Top::default();
            self.running = std::mem::take(&mut self.running_next);
            self.stuck_tasks = std::mem::take(&mut self.stuck_tasks_next);
            let reading = Reading {
                end_ns: sample.now.monotonic_ns,
                elapsed_ns,
                unix_s: unix_s(sample.now),
                readings: 1,
            };
            (self.second, self.moment) = self.cpu.observe(sample, reading);
        }
        if sample.elapsed.net_ns.is_some() {
            self.servers = std::mem::take(&mut self.servers_next);
        }
        if sample.elapsed.mem_ns.is_some() {
            self.growing = Top::default();
            self.most_grown_mb = OverHorizons::default();
            self.leak_named = false;
        }
        self.observe_memory(sample);
    }

    /// Takes note of how a scope grew over each horizon.
    pub(super) fn grown(&mut self, rises: &OverHorizons) {
        for (most, rise) in self.most_grown_mb.iter_mut().zip(rises) {
            *most = most.max(*rise);
        }
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
}
