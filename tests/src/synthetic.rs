//! A small model of a host that yields samples: seeded, with heavy-tailed noise, so that a judge can be shown any load.

use std::{collections::BTreeMap, sync::Arc};

use sentinel::{
    config::Config,
    judge::{
        Judge, JudgeConfig, Verdict,
        verdict::{Level, Signal},
    },
    sense::sample::{Elapsed, Host, Mem, Net, Origin, RunQueue, Sample, Sched, Scope, ScopeKind, ScopeSample},
    time::Now,
};
use sentinel_common::histogram::{WAIT_BUCKETS, bucket_floor_ns};

use crate::queueing::Overload;

/// Bytes in a page of the model.
pub const PAGE_BYTES: u64 = 4096;

/// What one cgroup does, per second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Tasks that always want a CPU.
    pub busy_tasks: f64,
    /// CPUs used by tasks that sleep most of the time.
    pub light_cpus: f64,
    /// How often they wake.
    pub wakeups_per_s: f64,
    /// Seconds per second that `cpu.max` holds it back.
    pub throttled: f64,
    /// Pages taken and not given back, MB.
    pub grows_mb: f64,
    /// How much of that is resident in processes.
    pub resident_share: f64,
    /// Pages taken and given back, MB.
    pub churns_mb: f64,
    /// Requests received, and packets that come with them.
    pub asked: f64,
    /// Requests sent.
    pub asks: f64,
    /// Share of them that is refused at the connection attempt.
    pub refused: f64,
    /// Share of them that stays without an answer.
    pub unanswered: f64,
    /// Packets sent and received beyond that.
    pub packets_out: f64,
    /// Packets received.
    pub packets_in: f64,
}

impl Load {
    /// A service that hardly does anything.
    #[must_use]
    pub fn idle() -> Self {
        Self {
            light_cpus: 0.004,
            wakeups_per_s: 10.0,
            churns_mb: 0.5,
            resident_share: 1.0,
            ..Self::default()
        }
    }
}

/// xorshift64*, and noise with a heavy tail.
#[derive(Clone, Debug)]
pub struct Noise(u64);

impl Noise {
    /// Seeded; zero is replaced.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Uniform in (0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        (bits as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Around 1: mostly 0.9 to 1.2, one in a hundred beyond 1.6, never beyond 3.
    pub fn factor(&mut self) -> f64 {
        let tail = self.uniform().powf(-1.0 / 3.0) - 1.0;
        (0.85 + 0.3 * tail + 0.1 * self.uniform()).min(3.0)
    }

    /// A count with that mean; fractions come out right on average.
    pub fn count(&mut self, mean: f64) -> u64 {
        (mean + self.uniform()) as u64
    }
}

/// A host, its judge, and what the judge said.
pub struct Rig {
    /// The judge.
    pub judge: Judge,
    /// All that was said.
    pub verdicts: Vec<Verdict>,
    /// Every sample that was judged.
    pub samples: Vec<Sample>,
    /// cgroups, in order: name and load. Gone when `None`.
    pub cgroups: Vec<(Arc<Scope>, Option<Load>)>,
    /// The scheduler sensor is read as often as the network's, as the agent does; false: at ticks only.
    pub sched_between: bool,
    /// The kernel counts a task that a limit holds back as waiting; newer ones take it off the run-queue.
    pub throttled_waits: bool,
    /// False: that sensor's data is missing.
    pub sched: bool,
    /// As above.
    pub mem: bool,
    /// As above.
    pub net: bool,
    /// False: the kernel does not tell which pages are resident, so that files count like any other page.
    pub resident: bool,
    /// What its noise began with.
    pub seed: u64,
    /// cgroups whose traffic is modelled request by request instead of following their load.
    pub shops: BTreeMap<String, Overload>,
    noise: Noise,
    config: Config,
    available_mb: f64,
    held_mb: BTreeMap<u64, f64>,
    /// Scheduler counts since they were last read, by cgroup, and how long that is.
    unread: BTreeMap<u64, Sched>,
    unread_queue: RunQueue,
    unread_ms: u64,
    ms: u64,
}

/// CPUs of the model.
pub const CPUS: f64 = 2.0;
/// Where its clock begins.
const START_MS: u64 = 5_000_000;

impl Rig {
    /// A host of two CPUs and 8 GB with these cgroups, all idle; ticks as configured.
    #[must_use]
    pub fn new(seed: u64, config: &Config, names: &[&str]) -> Self {
        let cgroups = (0..)
            .zip(names)
            .map(|(index, name)| (scope(name, 100 + index), Some(Load::idle())));
        Self {
            judge: Judge::new(JudgeConfig::from(config), Arc::new(origin())),
            verdicts: Vec::new(),
            samples: Vec::new(),
            cgroups: cgroups.collect(),
            sched_between: true,
            throttled_waits: true,
            sched: true,
            mem: true,
            net: true,
            resident: true,
            seed,
            shops: BTreeMap::new(),
            noise: Noise::new(seed),
            config: config.clone(),
            available_mb: 7000.0,
            held_mb: BTreeMap::new(),
            unread: BTreeMap::new(),
            unread_queue: RunQueue::default(),
            unread_ms: 0,
            ms: START_MS,
        }
    }

    /// Seconds since the beginning.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        (self.ms - START_MS) as f64 / 1e3
    }

    /// The load of a cgroup.
    pub fn load(&mut self, name: &str) -> &mut Load {
        let cgroup = self.cgroups.iter_mut().find(|(scope, _)| scope.name() == name);
        cgroup.and_then(|(_, load)| load.as_mut()).expect("a cgroup of the rig")
    }

    /// What a cgroup took and did not give back so far, MB.
    #[must_use]
    pub fn held_mb(&self, name: &str) -> f64 {
        let cgroup = self.cgroups.iter().find(|(scope, _)| scope.name() == name);
        cgroup
            .and_then(|(scope, _)| self.held_mb.get(&scope.cgroup_id))
            .copied()
            .unwrap_or(0.0)
    }

    /// Lets time pass.
    pub fn run(&mut self, seconds: f64) {
        self.run_with(seconds, |_, _| {});
    }

    /// Lets time pass and changes loads before each tick; the closure is told the seconds since this call.
    pub fn run_with(&mut self, seconds: f64, mut change: impl FnMut(&mut Self, f64)) {
        let tick = self.config.interval.as_millis() as u64;
        self.run_within(seconds, |rig, since| {
            if (rig.ms - START_MS).is_multiple_of(tick) {
                change(rig, since);
            }
        });
    }

    /// The same, also between ticks: before each reading of the network.
    pub fn run_within(&mut self, seconds: f64, mut change: impl FnMut(&mut Self, f64)) {
        let begin = self.ms;
        let tick = self.config.interval.as_millis() as u64;
        let network = self.config.network_interval.as_millis() as u64;
        while ((self.ms - begin) as f64) < seconds * 1e3 {
            let since = (self.ms - begin) as f64 / 1e3;
            change(self, since);
            self.ms += network;
            let whole = (self.ms - START_MS).is_multiple_of(tick);
            let sample = self.sample(network, whole.then_some(tick));
            self.judge.observe(&sample, &mut self.verdicts);
            self.samples.push(sample);
        }
    }

    fn sample(&mut self, network_ms: u64, tick_ms: Option<u64>) -> Sample {
        let loads: Vec<Load> = self.cgroups.iter().filter_map(|(_, load)| *load).collect();
        let host = loads.iter().fold(Cpu::default(), |cpu, load| cpu.with(load));
        self.count_cpu(&host, network_ms);
        let sched_ms = (tick_ms.is_some() || self.sched_between).then(|| std::mem::take(&mut self.unread_ms));
        let mut scopes = Vec::new();
        for (scope, load) in self.cgroups.clone() {
            let Some(load) = load else { continue };
            let (seconds, network_s) = (tick_ms.map(|ms| ms as f64 / 1e3), network_ms as f64 / 1e3);
            let sched = sched_ms.and_then(|_| self.unread.remove(&scope.cgroup_id));
            let mem = seconds
                .filter(|_| self.mem)
                .map(|s| self.mem_of(scope.cgroup_id, &load, s));
            let shop = self.shops.get_mut(scope.name()).map(|shop| shop.step(network_ms));
            let net = shop.unwrap_or_else(|| net_of(&load, network_s, &mut self.noise));
            let net = self.net.then_some(net);
            scopes.push(ScopeSample {
                scope,
                sched: sched.filter(|_| self.sched),
                mem,
                net,
                throttled_ns: seconds.map(|s| (load.throttled * s * 1e9) as u64),
                ..ScopeSample::default()
            });
        }
        Sample {
            seq: self.samples.len() as u64 + 1,
            now: Now {
                unix_ms: 1_767_225_600_000 + self.ms as i64,
                monotonic_ns: self.ms * 1_000_000,
            },
            elapsed: Elapsed {
                sched_ns: sched_ms.filter(|_| self.sched).map(|ms| ms * 1_000_000),
                mem_ns: tick_ms.filter(|_| self.mem).map(|ms| ms * 1_000_000),
                net_ns: self.net.then_some(network_ms * 1_000_000),
            },
            host: self.host_of(&scopes, tick_ms.is_some()),
            scopes,
            roster: Arc::default(),
            losses: Vec::new(),
        }
    }

    /// What the scheduler sensor counts in this time, read or not.
    fn count_cpu(&mut self, cpu: &Cpu, ms: u64) {
        let seconds = ms as f64 / 1e3;
        self.unread_ms += ms;
        for (scope, load) in &self.cgroups {
            let Some(load) = load else { continue };
            let waits = Load {
                throttled: if self.throttled_waits { load.throttled } else { 0.0 },
                ..*load
            };
            let counted = cpu.sched(&waits, seconds, &mut self.noise);
            let unread = self.unread.entry(scope.cgroup_id).or_default();
            sentinel::sense::delta::add_sched(unread, &counted);
        }
        let samples = (99.0 * CPUS * seconds) as u64;
        let length = (cpu.busy + cpu.light) / CPUS;
        self.unread_queue.samples += samples;
        self.unread_queue.length += (samples as f64 * length) as u64;
        self.unread_queue.length_squared += (samples as f64 * (length * length + 0.2)) as u64;
    }

    fn mem_of(&mut self, cgroup_id: u64, load: &Load, seconds: f64) -> Mem {
        let pages = |mb: f64| mb * 1e6 / PAGE_BYTES as f64;
        let busy = self.noise.factor();
        let churn = self.noise.count(pages(load.churns_mb * seconds) * busy);
        let grown = load.grows_mb * seconds * if load.grows_mb > 0.0 { self.noise.factor() } else { 1.0 };
        let resident = grown * load.resident_share;
        self.available_mb -= resident;
        *self.held_mb.entry(cgroup_id).or_default() += grown;
        let mut mem = Mem {
            allocated_pages: churn + pages(grown.max(0.0)) as u64,
            freed_pages: churn + pages((-grown).max(0.0)) as u64,
            ..Mem::default()
        };
        if self.resident {
            mem.rss_anon_pages = Some(pages(resident) as i64);
            mem.rss_file_pages = Some(0);
            mem.rss_shmem_pages = Some(0);
        }
        mem
    }

    fn host_of(&mut self, scopes: &[ScopeSample], tick: bool) -> Host {
        let sched = scopes.iter().filter_map(|scope| scope.sched).reduce(|mut a, b| {
            sentinel::sense::delta::add_sched(&mut a, &b);
            a
        });
        let run_queue = sched.map(|_| std::mem::take(&mut self.unread_queue));
        if !tick {
            return Host {
                run_queue,
                sched,
                ..Host::default()
            };
        }
        let mem = scopes.iter().filter_map(|scope| scope.mem).reduce(|mut a, b| {
            a.allocated_pages += b.allocated_pages;
            a.freed_pages += b.freed_pages;
            a.rss_anon_pages = a.rss_anon_pages.zip(b.rss_anon_pages).map(|(a, b)| a + b);
            a
        });
        Host {
            run_queue,
            sched,
            mem,
            net: None,
            memory_total_bytes: Some(8_000_000_000),
            memory_available_bytes: Some((self.available_mb.max(50.0) * 1e6) as u64),
        }
    }

    /// When a verdict of this level was first given to a cgroup, seconds.
    #[must_use]
    pub fn first(&self, name: &str, signal: Signal, level: Level) -> Option<(f64, &Verdict)> {
        let found = self
            .verdicts
            .iter()
            .find(|verdict| verdict.scope.name() == name && verdict.signal == signal && verdict.level == level)?;
        let seconds = found.monotonic_ns as f64 / 1e9 - START_MS as f64 / 1e3;
        Some((seconds, found))
    }

    /// The highest level a cgroup was ever given, over all signals.
    #[must_use]
    pub fn worst(&self, name: &str) -> Level {
        let levels = self.verdicts.iter().filter(|verdict| verdict.scope.name() == name);
        levels.map(|verdict| verdict.level).max().unwrap_or_default()
    }

    /// The level of a signal of a cgroup now.
    #[must_use]
    pub fn level(&self, name: &str, signal: Signal) -> Level {
        let mut states = self.judge.states();
        states
            .find(|state| state.scope.name() == name && state.signal == signal)
            .map(|state| state.level)
            .expect("a scope that is listed")
    }
}

/// How CPU time is shared: tasks that mostly sleep get theirs with a short wait, busy ones share the rest evenly.
#[derive(Clone, Copy, Debug, Default)]
struct Cpu {
    busy: f64,
    light: f64,
}

impl Cpu {
    fn with(self, load: &Load) -> Self {
        Self {
            busy: self.busy + load.busy_tasks,
            light: self.light + load.light_cpus,
        }
    }

    fn sched(&self, load: &Load, seconds: f64, noise: &mut Noise) -> Sched {
        let left = (CPUS - self.light).max(0.1);
        let share = (left / self.busy.max(1e-9)).min(1.0);
        let busy_s = load.busy_tasks * share * seconds;
        let waiting_s = load.busy_tasks * (1.0 - share) * seconds + load.throttled * seconds;
        let slices = (busy_s / 0.004).max(0.0);
        let crowded = self.busy > CPUS;
        let wake_wait_s = if crowded { 0.002 } else { 0.000_02 } * noise.factor();
        let wakes = load.wakeups_per_s * seconds;
        let spread = 2.0;
        let square = |count: f64, mean_s: f64| count * (mean_s * 1e9 / 1024.0).powi(2) * spread;
        let slice_wait_s = if slices > 0.0 { waiting_s / slices } else { 0.0 };
        let noisy = noise.factor();
        let mut buckets = [0; WAIT_BUCKETS];
        by_length(&mut buckets, slices, slice_wait_s, noise);
        by_length(&mut buckets, wakes, wake_wait_s, noise);
        Sched {
            waits: noise.count(slices + wakes),
            wait_ns: ((waiting_s + wakes * wake_wait_s) * 1e9) as u64,
            wait_units_squared: ((square(slices, slice_wait_s) + square(wakes, wake_wait_s)) * noisy) as u64,
            on_cpu_ns: ((busy_s + load.light_cpus * seconds) * 1e9) as u64,
            voluntary: noise.count(wakes),
            involuntary: noise.count(if crowded { slices } else { slices / 10.0 }),
            buckets,
        }
    }
}

/// Adds waits of that mean, exponentially distributed.
fn by_length(buckets: &mut [u32; WAIT_BUCKETS], count: f64, mean_s: f64, noise: &mut Noise) {
    let beyond = |bucket: usize| match mean_s * 1e9 {
        mean_ns if bucket > 0 => (-(bucket_floor_ns(bucket) as f64) / mean_ns.max(1.0)).exp(),
        _ => 1.0,
    };
    for (bucket, waits) in buckets.iter_mut().enumerate() {
        let share = beyond(bucket)
            - if bucket + 1 < WAIT_BUCKETS {
                beyond(bucket + 1)
            } else {
                0.0
            };
        *waits += noise.count(count * share) as u32;
    }
}

fn net_of(load: &Load, seconds: f64, noise: &mut Noise) -> Net {
    let mut count = |per_s: f64| noise.count(per_s * seconds);
    let (asked, asks) = (count(load.asked), count(load.asks));
    let refused = (asks as f64 * load.refused) as u64;
    let sent = asks - refused;
    let unanswered = (sent as f64 * load.unanswered) as u64;
    let mut net = Net {
        accepts: asked,
        accepted_turns_in: asked,
        accepted_turns_out: asked,
        accepted_first_turns: asked,
        connect_attempts: asks,
        connect_failures: refused,
        connects: sent,
        opened_turns_out: sent,
        opened_first_turns: sent,
        opened_turns_in: sent - unanswered,
        ..Net::default()
    };
    net.external.egress_packets = 4 * (asked + asks) + count(load.packets_out);
    net.external.ingress_packets = 4 * asked + 3 * (sent - unanswered) + refused + count(load.packets_in);
    net
}

/// The model's origin.
#[must_use]
pub fn origin() -> Origin {
    Origin {
        host: "model".to_owned(),
        boot_id: "00000000-0000-0000-0000-000000000001".to_owned(),
        kernel: "6.12.0".to_owned(),
        cpus: CPUS as u32,
        page_bytes: PAGE_BYTES,
    }
}

fn scope(name: &str, cgroup_id: u64) -> Arc<Scope> {
    Arc::new(Scope {
        kind: ScopeKind::Cgroup,
        path: format!("/test.slice/{name}"),
        unit: None,
        container: None,
        cgroup_id,
    })
}
