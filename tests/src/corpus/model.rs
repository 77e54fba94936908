//! A host of the model: cgroups that share CPUs and memory, and the samples that a sensor would have read of them.
//!
//! Comes in: what cgroups want, changed by a script as time passes. Goes out: one [`Sample`] per reading, with the
//! real time that each covers. Never reads a clock.

use std::sync::Arc;

use sentinel::{
    config::Config,
    sense::sample::{Elapsed, Host, Mem, Origin, Sample, Sched, Scope, ScopeKind, ScopeSample},
    time::Now,
};

use super::{
    cgroup::Cgroup,
    memory::PAGE_BYTES,
    noise::{Noise, Wander},
    scheduler::Scheduler,
    totals::{sum_mem, sum_sched},
};

/// Where the monotonic clock begins, nanoseconds.
const START_NS: u64 = 5_000_000_000_000;
/// Where the wall clock begins: midnight, a Monday, milliseconds.
const START_UNIX_MS: i64 = 1_767_571_200_000;
/// Memory that is the kernel's and never available, MB.
const KERNEL_MB: f64 = 250.0;
/// Below this there is nothing left for processes, MB.
const LEAST_MB: f64 = 60.0;

/// Tasks want this many times the CPUs there are: whoever says so then is not wrong, however healthy the host is meant
/// to be. Noise with heavy tails gets there now and then.
const CROWDED: f64 = 1.25;
/// And for as long after, seconds.
const CROWDED_S: f64 = 5.0;

/// How late a reading comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lateness {
    /// By a fraction of a millisecond, as on a quiet host.
    Timely,
    /// Exponentially distributed with this mean, as a share of the interval; at most 1.5 intervals.
    Late(f64),
}

/// Which sensors are silent now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    /// Scheduler.
    pub sched: bool,
    /// Pages.
    pub mem: bool,
    /// Network.
    pub net: bool,
}

/// A host.
#[derive(Clone, Debug)]
pub struct Model {
    /// CPUs.
    pub cpus: f64,
    /// Memory, MB.
    pub memory_mb: f64,
    /// Intervals and all the rest, as an operator would have it.
    pub config: Config,
    /// The kernel tells resident pages.
    pub rss_known: bool,
    /// How late readings come.
    pub lateness: Lateness,
    /// Sensors that are silent.
    pub silence: Silence,
    /// Its cgroups, in order of id.
    pub cgroups: Vec<Cgroup>,
    /// Its noise, for scripts as well.
    pub noise: Noise,
    /// What the whole host does at once: a factor on all demand.
    pub common: Wander,
    /// When, in seconds from the beginning, and of whom, memory ran out first; the host's own name is empty.
    pub exhausted: Option<(f64, String)>,
    /// Its CPUs.
    pub scheduler: Scheduler,
    crowded_s: Option<f64>,
    next_id: u64,
    now_ns: u64,
    seq: u64,
    since: Since,
    stray: u64,
    other: Arc<Scope>,
    sample: Sample,
}

/// When each sensor was read last.
#[derive(Clone, Copy, Debug, Default)]
struct Since {
    sched_ns: u64,
    mem_ns: u64,
    net_ns: u64,
}

impl Model {
    /// A host with these CPUs and MB of memory, and default settings.
    #[must_use]
    pub fn new(cpus: u32, memory_mb: f64, noise: Noise) -> Self {
        Self {
            cpus: f64::from(cpus),
            memory_mb,
            config: Config::default(),
            rss_known: true,
            lateness: Lateness::Timely,
            silence: Silence::default(),
            cgroups: Vec::new(),
            noise,
            common: Wander::new(0.06, 30.0),
            exhausted: None,
            scheduler: Scheduler::default(),
            crowded_s: None,
            next_id: 100,
            now_ns: 0,
            seq: 0,
            since: Since::default(),
            stray: 0,
            other: Arc::new(Scope {
                kind: ScopeKind::Other,
                path: "other".to_owned(),
                ..Scope::default()
            }),
            sample: Sample::default(),
        }
    }

    /// Where a recording of this host says it was made.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
            host: "model".to_owned(),
            boot_id: "00000000-0000-0000-0000-000000000001".to_owned(),
            kernel: "6.12.0".to_owned(),
            cpus: self.cpus as u32,
            page_bytes: PAGE_BYTES,
        }
    }

    /// Adds a cgroup, with an id of its own.
    pub fn add(&mut self, mut cgroup: Cgroup) {
        let mut scope = (*cgroup.scope).clone();
        scope.cgroup_id = self.next_id;
        self.next_id += 1;
        cgroup.scope = Arc::new(scope);
        if self.seq == 0 {
            cgroup.memory.settle();
        }
        self.cgroups.push(cgroup);
    }

    /// Ends a cgroup, if it is there: its processes give back what they hold, and after the next tick it is gone.
    pub fn remove(&mut self, name: &str) {
        for cgroup in self.cgroups.iter_mut().filter(|cgroup| cgroup.name() == name) {
            cgroup.end();
        }
    }

    /// The cgroup of that name, the youngest if there are several.
    ///
    /// # Panics
    /// When a script names one that it never added.
    pub fn cgroup(&mut self, name: &str) -> &mut Cgroup {
        let found = self
            .cgroups
            .iter_mut()
            .rev()
            .find(|cgroup| cgroup.name() == name && !cgroup.ended);
        found.unwrap_or_else(|| panic!("the script names {name}, which this host does not have"))
    }

    /// Seconds since the beginning.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.now_ns as f64 / 1e9
    }

    /// By the model's own books the CPUs were oversubscribed by a quarter just now.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        let tick_s = self.config.interval.as_secs_f64();
        self.crowded_s
            .is_some_and(|at_s| self.seconds() - at_s <= CROWDED_S + 2.0 * tick_s)
    }

    /// What `MemAvailable` says, MB.
    #[must_use]
    pub fn available_mb(&self) -> f64 {
        let held: f64 = self.cgroups.iter().map(|cgroup| cgroup.memory.firm_mb()).sum();
        let cached: f64 = self.cgroups.iter().map(|cgroup| cgroup.memory.cached_mb()).sum();
        // The kernel counts on getting nearly all page cache back.
        (self.memory_mb - KERNEL_MB - held - 0.05 * cached).max(0.0)
    }

    /// Lets time pass until the next reading; `script` changes what cgroups want before each step of at most `step_s`.
    pub fn advance(&mut self, step_s: f64, script: &mut dyn FnMut(&mut Self, f64, f64)) -> &Sample {
        let interval_ns = self.config.network_interval.as_nanos() as u64;
        let due_ns = (self.now_ns / interval_ns + 1) * interval_ns;
        let late_ns = self.late_ns(interval_ns);
        let (begin_ns, end_ns) = (self.now_ns, (due_ns + late_ns).max(self.now_ns + interval_ns / 4));
        let steps = (((end_ns - begin_ns) as f64 / 1e9 / step_s) as u64).max(1);
        for step in 1..=steps {
            let before_ns = self.now_ns;
            let next_ns = begin_ns + (end_ns - begin_ns) * step / steps;
            let dt = (next_ns - before_ns) as f64 / 1e9;
            let now = self.seconds();
            script(self, now, dt);
            let common = self.common.step(dt, &mut self.noise);
            self.scheduler
                .step(self.cpus, dt, common, &mut self.cgroups, &mut self.noise);
            self.now_ns = next_ns;
            if self.scheduler.pressure() > CROWDED {
                self.crowded_s = Some(self.seconds());
            }
        }
        let tick_ns = self.config.interval.as_nanos() as u64;
        let whole = begin_ns / tick_ns != self.now_ns / tick_ns;
        self.read(whole);
        &self.sample
    }

    fn late_ns(&mut self, interval_ns: u64) -> u64 {
        match self.lateness {
            Lateness::Timely => self.noise.exponential(150_000.0).min(5e6) as u64,
            Lateness::Late(share) => {
                let interval = interval_ns as f64;
                self.noise.exponential(share * interval).min(1.5 * interval) as u64
            }
        }
    }

    fn read(&mut self, whole: bool) {
        self.seq += 1;
        let mut elapsed = Elapsed::default();
        let take = |wanted: bool, since_ns: &mut u64| {
            wanted
                .then(|| self.now_ns - std::mem::replace(since_ns, self.now_ns))
                .filter(|ns| *ns > 0)
        };
        elapsed.sched_ns = take(!self.silence.sched, &mut self.since.sched_ns);
        elapsed.mem_ns = take(whole && !self.silence.mem, &mut self.since.mem_ns);
        elapsed.net_ns = take(!self.silence.net, &mut self.since.net_ns);
        let mut sample = std::mem::take(&mut self.sample);
        sample.seq = self.seq;
        sample.now = Now {
            unix_ms: START_UNIX_MS + (self.now_ns / 1_000_000) as i64,
            monotonic_ns: START_NS + self.now_ns,
        };
        sample.elapsed = elapsed;
        self.read_scopes(&mut sample.scopes, elapsed, whole);
        sample.host = if whole {
            self.read_host(&sample.scopes, elapsed)
        } else {
            self.read_cpus(&sample.scopes, elapsed)
        };
        self.sample = sample;
        if elapsed.mem_ns.is_some() {
            self.cgroups.retain(|cgroup| !cgroup.ended);
        }
    }

    fn read_scopes(&mut self, scopes: &mut Vec<ScopeSample>, elapsed: Elapsed, whole: bool) {
        scopes.clear();
        let seconds = |ns: Option<u64>| ns.map(|ns| ns as f64 / 1e9);
        let mut exhausted = None;
        for cgroup in &mut self.cgroups {
            let kills = cgroup.memory.kills;
            let mem = seconds(elapsed.mem_ns)
                .map(|dt| cgroup.memory.read(dt, self.rss_known, &mut self.stray, &mut self.noise));
            if cgroup.memory.kills > kills {
                exhausted = Some(cgroup.name().to_owned());
            }
            let net = seconds(elapsed.net_ns).map(|dt| cgroup.network.read(dt, 1.0, &mut self.noise));
            scopes.push(ScopeSample {
                scope: Arc::clone(&cgroup.scope),
                sched: elapsed.sched_ns.map(|_| std::mem::take(&mut cgroup.sched)),
                mem,
                net,
                worst_destination: cgroup.worst_destination(self.now_ns, net.as_ref()),
                memory_max_bytes: cgroup.memory.limit_mb.filter(|_| whole).map(|mb| (mb * 1e6) as u64),
                memory_current_bytes: whole.then(|| cgroup.memory.current_bytes()),
                memory_high_bytes: None,
                memory_reclaimable_bytes: (whole && cgroup.memory.limit_mb.is_some())
                    .then(|| (cgroup.memory.cached_mb() * 1e6) as u64),
                throttled_ns: whole.then(|| std::mem::take(&mut cgroup.throttled_ns)),
            });
        }
        if let Some(name) = exhausted {
            self.exhausted.get_or_insert((self.now_ns as f64 / 1e9, name));
        }
        scopes.push(self.other(elapsed));
    }

    /// Interrupts on idle CPUs, and what kernel threads free for others.
    fn other(&mut self, elapsed: Elapsed) -> ScopeSample {
        let mut mem = Mem::default();
        mem.freed_pages = if elapsed.mem_ns.is_some() {
            std::mem::take(&mut self.stray)
        } else {
            0
        };
        let mut sched = Sched::default();
        if let Some(ns) = elapsed.sched_ns {
            sched.waits = self.noise.round(40.0 * ns as f64 / 1e9);
            (sched.wait_ns, sched.on_cpu_ns) = (sched.waits * 6_000, sched.waits * 20_000);
            (sched.wait_units_squared, sched.voluntary) = (sched.waits * 60, sched.waits);
        }
        ScopeSample {
            scope: Arc::clone(&self.other),
            sched: elapsed.sched_ns.map(|_| sched),
            mem: elapsed.mem_ns.map(|_| mem),
            net: elapsed.net_ns.map(|_| Default::default()),
            ..ScopeSample::default()
        }
    }

    fn read_host(&mut self, scopes: &[ScopeSample], elapsed: Elapsed) -> Host {
        let available_mb = self.available_mb();
        if available_mb < LEAST_MB {
            let largest = (0..self.cgroups.len()).max_by(|a, b| {
                let held = |index: &usize| self.cgroups[*index].memory.firm_mb();
                held(a).total_cmp(&held(b))
            });
            if let Some(largest) = largest {
                self.cgroups[largest].memory.kill();
                self.exhausted.get_or_insert((self.now_ns as f64 / 1e9, String::new()));
            }
        }
        Host {
            mem: elapsed.mem_ns.map(|_| sum_mem(scopes, self.rss_known)),
            memory_total_bytes: Some((self.memory_mb * 1e6) as u64),
            memory_available_bytes: Some(((available_mb + self.noise.between(-1.0, 1.0)).max(0.0) * 1e6) as u64),
            ..self.read_cpus(scopes, elapsed)
        }
    }

    /// What is read between ticks too.
    fn read_cpus(&mut self, scopes: &[ScopeSample], elapsed: Elapsed) -> Host {
        Host {
            sched: elapsed.sched_ns.map(|_| sum_sched(scopes)),
            run_queue: elapsed
                .sched_ns
                .map(|_| self.scheduler.run_queue(self.cpus, &mut self.noise)),
            ..Host::default()
        }
    }
}
