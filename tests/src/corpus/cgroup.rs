//! One cgroup of the model, and the ordinary ones that every host has.

use std::sync::Arc;

use sentinel::sense::sample::{Destination, Net, Sched, Scope, ScopeKind};

use super::{
    cpu::Cpu,
    memory::Memory,
    network::Network,
    noise::{Noise, Wander},
    upstream::{Backend, Upstream},
};

/// One cgroup.
#[derive(Clone, Debug, Default)]
pub struct Cgroup {
    /// Who it is.
    pub scope: Arc<Scope>,
    /// Its tasks.
    pub cpu: Cpu,
    /// Its memory.
    pub memory: Memory,
    /// Its network.
    pub network: Network,
    pub(super) sched: Sched,
    pub(super) throttled_ns: u64,
    pub(super) ended: bool,
    /// When its worst destination was looked up last, nanoseconds.
    pub(super) looked_up_ns: u64,
}

impl Cgroup {
    /// A cgroup that hardly does anything. Names that end in `.service` are units.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            scope: Arc::new(Scope {
                kind: ScopeKind::Cgroup,
                path: format!("/system.slice/{name}"),
                unit: name.ends_with(".service").then(|| name.to_owned()),
                container: None,
                cgroup_id: 0,
            }),
            ..Self::default()
        }
    }

    /// Where most of its attempts fail, as the sensor looks it up: while some fail, once a second.
    pub(super) fn worst_destination(&mut self, now_ns: u64, net: Option<&Net>) -> Option<Destination> {
        let due = now_ns >= self.looked_up_ns + 1_000_000_000 && net?.connect_failures > 0;
        let upstream = self.network.upstream.as_ref().filter(|_| due)?;
        self.looked_up_ns = now_ns;
        Some(upstream.destination())
    }

    /// Its processes end and give back what they hold; page cache they leave behind is freed with it.
    pub(super) fn end(&mut self) {
        self.ended = true;
        (self.cpu.busy, self.cpu.short_cpus, self.cpu.handoffs_per_s) = (0.0, 0.0, 0.0);
        let memory = &mut self.memory;
        (memory.anon_mb, memory.cache_mb, memory.shmem_mb) = (0.0, 0.0, 0.0);
        (memory.churn_mb_per_s, memory.scan_mb_per_s) = (0.0, 0.0);
        self.network = Network::default();
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.scope.name()
    }
}

/// A web service of ordinary load: `share` of one CPU in short jobs, that many requests per second, a quick back end.
#[must_use]
pub fn web(name: &str, cpus: f64, asked_per_s: f64, noise: &mut Noise) -> Cgroup {
    let mut cgroup = Cgroup::new(name);
    cgroup.cpu.short_cpus = cpus;
    cgroup.cpu.service_ms = noise.between(0.5, 2.0);
    cgroup.cpu.workers = noise.pick(&[2.0, 4.0, 8.0]);
    cgroup.cpu.variability = noise.between(1.0, 2.0);
    cgroup.cpu.wander = Wander::new(0.2, 20.0);
    cgroup.memory.anon_mb = noise.between(80.0, 400.0);
    cgroup.memory.cache_mb = noise.between(20.0, 200.0);
    cgroup.memory.churn_mb_per_s = noise.between(2.0, 15.0);
    cgroup.network.asked_per_s = asked_per_s;
    cgroup.network.per_connection = noise.pick(&[1.0, 5.0, 20.0]);
    cgroup.network.fan_out = noise.pick(&[0.5, 1.0]);
    let latency_s = noise.between(0.004, 0.05);
    let upstream = Upstream::new(Backend::Answers { latency_s, sigma: 0.5 }).kept();
    cgroup.network.upstream = Some(Box::new(upstream));
    cgroup
}

/// A data base: page cache, steady memory, many small answers.
#[must_use]
pub fn database(name: &str, noise: &mut Noise) -> Cgroup {
    let mut cgroup = Cgroup::new(name);
    cgroup.cpu.short_cpus = noise.between(0.02, 0.08);
    cgroup.cpu.service_ms = noise.between(0.2, 0.8);
    cgroup.cpu.workers = 8.0;
    cgroup.memory.anon_mb = noise.between(100.0, 400.0);
    cgroup.memory.cache_mb = noise.between(200.0, 900.0);
    cgroup.memory.churn_mb_per_s = noise.between(1.0, 8.0);
    cgroup.memory.shmem_mb = noise.between(16.0, 128.0);
    cgroup.network.asked_per_s = noise.between(20.0, 150.0);
    cgroup.network.per_connection = 50.0;
    cgroup
}

/// An agent of some kind: wakes now and then, sends a little.
#[must_use]
pub fn idle(name: &str, noise: &mut Noise) -> Cgroup {
    let mut cgroup = Cgroup::new(name);
    cgroup.cpu.short_cpus = noise.between(0.000_2, 0.01);
    cgroup.cpu.service_ms = noise.between(0.1, 1.0);
    cgroup.cpu.wander = Wander::new(0.5, 30.0).bursts(60.0, 1.0, 6.0);
    cgroup.memory.anon_mb = noise.between(4.0, 40.0);
    cgroup.memory.churn_mb_per_s = noise.between(0.0, 0.5);
    if noise.chance(0.3) {
        cgroup.network.own_per_s = noise.between(0.02, 1.0);
        let latency_s = 0.02;
        cgroup.network.upstream = Some(Box::new(Upstream::new(Backend::Answers { latency_s, sigma: 0.3 })));
    }
    cgroup
}

/// Two services and a crowd of idle ones: the bystanders of every scenario.
#[must_use]
pub fn bystanders(noise: &mut Noise) -> Vec<Cgroup> {
    let (cpus, asked) = (noise.between(0.03, 0.15), noise.between(20.0, 120.0));
    let mut all = vec![
        web("shop.service", cpus, asked, noise),
        database("postgres.service", noise),
    ];
    let names = [
        "cron.service",
        "ssh.service",
        "journald.service",
        "metrics.service",
        "dbus.service",
        "chrony.service",
    ];
    all.extend(names.map(|name| idle(name, noise)));
    all
}
