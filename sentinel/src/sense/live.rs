//! Samples of the running kernel.
//!
//! Owns the kernel side and what was read from it last. In: the time, and whether it is a tick or only a reading of
//! what is read in between: the scheduler and network sensors, which cost no system call. Out: one [`Sample`]. Never
//! judges.

use std::{collections::HashMap, net::IpAddr, path::PathBuf, sync::Arc};

use sentinel_common::{
    event::{EVENT_CGROUP_REMOVED, EVENT_OOM_KILL},
    id::SLOT_OTHER,
    loss::LOSSES,
    mem::MemCounters,
    net::NetCounters,
    sched::{RunQueueCounters, SchedCounters},
};

use super::{
    Source,
    cgroups::Cgroups,
    delta, limits,
    sample::{Destination, Elapsed, Host, Sample, ScopeKind, ScopeSample},
    slots::Slots,
};
use crate::{kernel::Kernel, time::Now};

/// Ticks between two looks for cgroups whose removal was not reported.
const SWEEP_TICKS: u64 = 60;
/// Events handled in one reading at the most, so that a burst of removals does not delay a tick.
const MAX_EVENTS: usize = 4096;

/// Failed attempts in one reading from which on it is worth knowing where to.
const FAILURES_WORTH_A_LOOK: u64 = 2;
/// Time between two looks at the table of destinations: each costs two system calls per entry.
const DESTINATIONS_REST_NS: u64 = 1_000_000_000;

/// What was read last, by slot.
struct Last {
    sched: Vec<SchedCounters>,
    mem: Vec<MemCounters>,
    net: Vec<NetCounters>,
    throttled_us: HashMap<u64, u64>,
    run_queue: RunQueueCounters,
    losses: [u64; LOSSES],
    tick_ns: Option<u64>,
    sched_ns: Option<u64>,
    net_ns: Option<u64>,
    destinations_ns: Option<u64>,
}

/// The running kernel as a source of samples.
pub struct Live {
    kernel: Kernel,
    cgroups: Cgroups,
    slots: Slots,
    last: Last,
    seq: u64,
    ticks: u64,
    /// Controllers that have limits to read: none on hierarchies without them.
    has_controllers: bool,
    measures: Measures,
}

#[derive(Clone, Copy)]
struct Measures {
    sched: bool,
    run_queue: bool,
    mem: bool,
    rss: bool,
    net: bool,
}

impl Live {
    /// Samples of this kernel; `cgroup_root` is where the cgroup v2 hierarchy is mounted.
    #[must_use]
    pub fn new(kernel: Kernel, cgroup_root: PathBuf) -> Self {
        let controllers = std::fs::read_to_string(cgroup_root.join("cgroup.controllers")).unwrap_or_default();
        let slots = kernel.slots();
        let measures = Measures {
            sched: kernel.runs("sched"),
            run_queue: kernel.runs("sched.run_queue"),
            mem: kernel.runs("mem"),
            rss: kernel.runs("mem.rss"),
            net: kernel.runs("net"),
        };
        let last = Last {
            sched: vec![SchedCounters::default(); slots as usize],
            mem: vec![MemCounters::default(); slots as usize],
            net: vec![NetCounters::default(); slots as usize],
            throttled_us: HashMap::new(),
            run_queue: RunQueueCounters::default(),
            losses: [0; LOSSES],
            tick_ns: None,
            sched_ns: None,
            net_ns: None,
            destinations_ns: None,
        };
        Self {
            slots: Slots::new(slots),
            kernel,
            cgroups: Cgroups::new(cgroup_root),
            last,
            seq: 0,
            ticks: 0,
            has_controllers: controllers
                .split_whitespace()
                .any(|name| name == "memory" || name == "cpu"),
            measures,
        }
    }

    /// The kernel side, to ask what runs.
    #[must_use]
    pub const fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Where the scopes of these slots fail to connect to most, by slot.
    fn worst_destinations(&self) -> HashMap<u32, Destination> {
        let mut worst: HashMap<u32, Destination> = HashMap::new();
        for (key, counts) in self.kernel.destinations() {
            let found = Destination {
                address: address(&key),
                port: key.port,
                attempts: counts.attempts,
                failures: counts.failures,
            };
            // The address decides between equals: the table has no order.
            let rank = |one: &Destination| (one.failures, one.attempts, one.address, one.port);
            let kept = worst.entry(key.slot).or_insert(found);
            if rank(&found) > rank(kept) {
                *kept = found;
            }
        }
        worst
    }

    /// Names the worst destination of each scope whose attempts fail.
    fn read_destinations(&mut self, sample: &mut Sample, slots: &[u32]) {
        let fails = |part: &ScopeSample| {
            part.net
                .is_some_and(|net| net.connect_failures >= FAILURES_WORTH_A_LOOK)
        };
        let now_ns = sample.now.monotonic_ns;
        let rested = self
            .last
            .destinations_ns
            .is_none_or(|at| now_ns.saturating_sub(at) >= DESTINATIONS_REST_NS);
        if !rested || !sample.scopes.iter().any(fails) {
            return;
        }
        self.last.destinations_ns = Some(now_ns);
        let worst = self.worst_destinations();
        for (part, slot) in sample.scopes.iter_mut().zip(slots) {
            if fails(part) {
                part.worst_destination = worst.get(slot).copied().filter(|one| one.failures > 0);
            }
        }
    }

    fn handle_events(&mut self) -> HashMap<String, u64> {
        let mut oom_kills_by_path = HashMap::new();
        for _ in 0..MAX_EVENTS {
            let Some(event) = self.kernel.next_event() else { break };
            match event.kind {
                // A cgroup of another hierarchy may have the same id: only one whose directory is gone is gone.
                EVENT_CGROUP_REMOVED if !self.cgroups.exists(event.value) => self.gone(event.value),
                EVENT_OOM_KILL if event.slot == SLOT_OTHER => {
                    if let Some(path) = cgroup_of_process(event.value) {
                        *oom_kills_by_path.entry(path).or_insert(0) += 1;
                    }
                }
                _ => {}
            }
        }
        oom_kills_by_path
    }

    fn gone(&mut self, cgroup_id: u64) {
        self.slots.retire(&mut self.kernel, cgroup_id);
        self.cgroups.removed(cgroup_id);
        self.last.throttled_us.remove(&cgroup_id);
    }

    /// Finds cgroups whose removal was not reported: the event was lost, or the cgroup went before it had a name.
    fn sweep(&mut self) {
        let mut gone = self.cgroups.sweep();
        gone.extend(self.slots.nameless());
        for cgroup_id in gone {
            self.gone(cgroup_id);
        }
    }

    fn read_scope(&mut self, slot: u32, tick: bool, first: First) -> ScopeSample {
        let index = slot as usize;
        let mut sample = ScopeSample::default();
        if self.measures.net {
            let now = self.kernel.net(slot);
            let delta = delta::net(&now, &self.last.net[index]);
            self.last.net[index] = now;
            sample.net = (!first.net).then_some(delta);
        }
        if self.measures.sched {
            let now = self.kernel.sched(slot);
            let delta = delta::sched(&now, &self.last.sched[index]);
            self.last.sched[index] = now;
            sample.sched = (!first.sched).then_some(delta);
        }
        if !tick {
            return sample;
        }
        if self.measures.mem {
            let now = self.kernel.mem(slot);
            let delta = delta::mem(&now, &self.last.mem[index], self.measures.rss);
            self.last.mem[index] = now;
            sample.mem = (!first.tick).then_some(delta);
        }
        sample
    }

    fn read_limits(&mut self, sample: &mut ScopeSample) {
        if !self.has_controllers || sample.scope.kind != ScopeKind::Cgroup {
            return;
        }
        let id = sample.scope.cgroup_id;
        let Some(dir) = self.cgroups.dir(id) else { return };
        let limits = limits::read(dir);
        sample.memory_max_bytes = limits.memory_max_bytes;
        sample.memory_current_bytes = limits.memory_current_bytes;
        sample.memory_high_bytes = limits.memory_high_bytes;
        sample.memory_reclaimable_bytes = limits.memory_reclaimable_bytes;
        if let Some(now) = limits.throttled_us {
            let before = self.last.throttled_us.insert(id, now);
            sample.throttled_ns = before.map(|before| now.saturating_sub(before).saturating_mul(1000));
        }
    }

    fn read_host(&mut self, tick: bool, first: First) -> Host {
        let mut host = Host::default();
        if self.measures.run_queue {
            let now = self.kernel.run_queue();
            let delta = delta::run_queue(&now, &self.last.run_queue);
            self.last.run_queue = now;
            host.run_queue = (!first.sched).then_some(delta);
        }
        if tick && let Some(memory) = limits::host_memory() {
            host.memory_total_bytes = Some(memory.total_bytes);
            host.memory_available_bytes = memory.available_bytes;
        }
        host
    }
}

/// Which sensors are read for the first time, and so have no difference yet.
#[derive(Clone, Copy)]
struct First {
    tick: bool,
    sched: bool,
    net: bool,
}

impl Source for Live {
    fn read(&mut self, now: Now, tick: bool) -> Sample {
        // Owners first: a cgroup that came and went since the last reading must be known to be retired.
        self.slots.refresh(&self.kernel, &mut self.cgroups, now.monotonic_ns);
        let oom_kills = self.handle_events();
        if tick {
            self.ticks += 1;
            if self.ticks.is_multiple_of(SWEEP_TICKS) {
                self.sweep();
            }
        }
        let first = First {
            tick: self.last.tick_ns.is_none(),
            sched: self.last.sched_ns.is_none(),
            net: self.last.net_ns.is_none(),
        };
        let owned: Vec<_> = self
            .slots
            .owned()
            .map(|(slot, scope)| (slot, Arc::clone(scope)))
            .collect();
        let mut sample = Sample {
            now,
            host: self.read_host(tick, first),
            ..Sample::default()
        };
        let mut slots = Vec::with_capacity(owned.len());
        for (slot, scope) in owned {
            slots.push(slot);
            let mut part = self.read_scope(slot, tick, first);
            if let (Some(kills), Some(mem)) = (oom_kills.get(&scope.path), &mut part.mem) {
                mem.oom_kills += kills;
            }
            part.scope = scope;
            if tick {
                self.read_limits(&mut part);
            }
            add_to_host(&mut sample.host, &part);
            sample.scopes.push(part);
        }
        self.read_destinations(&mut sample, &slots);
        sample.scopes.sort_by_key(|part| part.scope.cgroup_id);
        sample.elapsed = self.elapsed(now.monotonic_ns, tick);
        let losses = self.kernel.losses();
        sample.losses = delta::losses(&losses, &self.last.losses);
        self.last.losses = losses;
        if tick {
            self.slots.end_reading(&mut self.kernel);
        }
        self.seq += 1;
        sample.seq = self.seq;
        sample
    }
}

impl Live {
    fn elapsed(&mut self, now_ns: u64, tick: bool) -> Elapsed {
        let since = |last: &mut Option<u64>| last.replace(now_ns).map(|before| now_ns.saturating_sub(before));
        let last = &mut self.last;
        let tick_ns = tick.then(|| since(&mut last.tick_ns)).flatten();
        Elapsed {
            sched_ns: self.measures.sched.then(|| since(&mut last.sched_ns)).flatten(),
            mem_ns: tick_ns.filter(|_| self.measures.mem),
            net_ns: self.measures.net.then(|| since(&mut last.net_ns)).flatten(),
        }
    }
}

fn add_to_host(host: &mut Host, part: &ScopeSample) {
    if let Some(sched) = &part.sched {
        delta::add_sched(host.sched.get_or_insert_default(), sched);
    }
    if let Some(mem) = &part.mem {
        delta::add_mem(host.mem.get_or_insert_default(), mem);
    }
    if let Some(net) = &part.net {
        delta::add_net(host.net.get_or_insert_default(), net);
    }
}

fn address(destination: &sentinel_common::net::Destination) -> IpAddr {
    let bytes = destination.address;
    if destination.version == 4 {
        IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])
    } else {
        IpAddr::from(bytes)
    }
}

/// Path of a process's cgroup. A process chosen for an out-of-memory kill is still there for a moment.
fn cgroup_of_process(pid: u64) -> Option<String> {
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    let groups = process.cgroups().ok()?;
    groups
        .into_iter()
        .find(|group| group.hierarchy == 0)
        .map(|group| group.pathname)
}
