//! Samples of the running kernel.
//!
//! Owns the kernel side and what was read from it last. In: the time, and whether it is a tick or only a reading of
//! what is read in between: the scheduler and network sensors, which cost no system call. Out: one [`Sample`]. Never
//! judges.

mod cost;
mod destinations;
mod gone;
mod programs;

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use sentinel_common::{
    loss::{LOSS_KINDS, RUN_QUEUE_SAMPLE_MISSED},
    mem::MemCounters,
    net::NetCounters,
    sched::{RunQueueCounters, SchedCounters},
};

use self::cost::Costs;
use super::{
    Source,
    cgroups::Cgroups,
    delta,
    limits::{self, Limits},
    liveness::{Change, Sampling, Switches},
    sample::{Elapsed, Host, Net, Sample, Sched, Scope, ScopeKind, ScopeSample},
    slots::Slots,
    spare::{ProgramShares, Spared},
};
use crate::{
    kernel::{Kernel, RUN_QUEUE_HZ, give_back_unused},
    time::Now,
};

/// Ticks between two looks at the limits of a cgroup in which nothing happens.
const LIMITS_REST_TICKS: u64 = 10;

/// Ticks without a cgroup that comes or goes after which memory is given back: the first when those that were met last have come to
/// rest, the second for stragglers; and how often it is where they never cease.
const TIDY_TICKS: [u64; 2] = [20, 60];
const TIDY_ANYWAY_TICKS: u64 = 600;

/// What was read last, by slot.
struct Last {
    /// The two words that are looked at in every reading, apart from the rest of the counters: they fit into a few pages.
    waits: Vec<u64>,
    packets: Vec<u64>,
    /// What the last look found.
    moved: Vec<bool>,
    sched: Vec<SchedCounters>,
    mem: Vec<MemCounters>,
    net: Vec<NetCounters>,
    throttled_us: HashMap<u64, u64>,
    run_queue: RunQueueCounters,
    losses: [u64; LOSS_KINDS],
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
    memory: limits::HostBook,
    limits: HashMap<u64, Limits>,
    /// Controllers that have limits to read: none on hierarchies without them.
    has_controllers: bool,
    measures: Measures,
    sampling: Sampling,
    switches: Switches,
    costs: Costs,
    /// Events that had been dropped when the last look for cgroups that are gone began, and the tick at which it is to end.
    swept_at_drops: u64,
    swept_by_tick: u64,
    /// The last tick at which a cgroup came or went, and which there were.
    roster_tick: u64,
    roster: Arc<Vec<Arc<Scope>>>,
}

#[derive(Clone, Copy)]
struct Measures {
    sched: bool,
    run_queue: bool,
    mem: bool,
    rss: bool,
    net: bool,
    removals: bool,
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
            removals: kernel.runs("cgroups"),
        };
        let last = Last {
            waits: vec![0; slots as usize],
            packets: vec![0; slots as usize],
            moved: vec![false; slots as usize],
            sched: vec![SchedCounters::default(); slots as usize],
            mem: vec![MemCounters::default(); slots as usize],
            net: vec![NetCounters::default(); slots as usize],
            throttled_us: HashMap::new(),
            run_queue: RunQueueCounters::default(),
            losses: [0; LOSS_KINDS],
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
            memory: limits::HostBook::open(),
            limits: HashMap::new(),
            has_controllers: controllers
                .split_whitespace()
                .any(|name| name == "memory" || name == "cpu"),
            measures,
            sampling: Sampling::new(RUN_QUEUE_HZ),
            switches: Switches::default(),
            costs: Costs::default(),
            swept_at_drops: 0,
            swept_by_tick: 0,
            roster_tick: 0,
            roster: Arc::default(),
        }
    }

    /// The kernel side, to ask what runs.
    #[must_use]
    pub const fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Whether a slot has to be read: at a tick if any counter moved; in between if a task of it left a CPU or a packet
    /// passed, and what else moved waits for the tick.
    fn has_moved(&self, slot: u32, tick: bool) -> bool {
        let (kernel, measures, index) = (&self.kernel, &self.measures, slot as usize);
        let quick = measures.sched && kernel.waits(slot) != self.last.waits[index]
            || measures.net && kernel.packets(slot) != self.last.packets[index];
        quick
            || tick
                && (measures.mem && kernel.mem(slot) != self.last.mem[index]
                    || measures.net && kernel.net(slot) != self.last.net[index]
                    || measures.sched && kernel.sched(slot) != self.last.sched[index])
    }

    fn read_scope(&mut self, sample: &mut ScopeSample, slot: u32, tick: bool, first: First) {
        let index = slot as usize;
        if self.measures.net {
            let now = self.kernel.net(slot);
            let delta = delta::net(&now, &self.last.net[index]);
            self.last.packets[index] = packets(&now);
            self.last.net[index] = now;
            sample.net = (!first.net).then_some(delta);
        }
        if self.measures.sched {
            let now = self.kernel.sched(slot);
            let delta = delta::sched(&now, &self.last.sched[index]);
            self.last.waits[index] = now.waits;
            self.last.sched[index] = now;
            sample.sched = (!first.sched).then_some(delta);
        }
        if tick && self.measures.mem {
            let now = self.kernel.mem(slot);
            let delta = delta::mem(&now, &self.last.mem[index], self.measures.rss);
            self.last.mem[index] = now;
            sample.mem = (!first.tick).then_some(delta);
        }
    }

    /// Whether the limits of a cgroup in which nothing happened are to be read again.
    fn limits_are_due(&self, id: u64) -> bool {
        self.has_controllers
            && id != 0
            && ((self.ticks + id).is_multiple_of(LIMITS_REST_TICKS) || !self.limits.contains_key(&id))
    }

    fn read_limits(&mut self, sample: &mut ScopeSample) {
        if !self.has_controllers || sample.scope.kind != ScopeKind::Cgroup {
            return;
        }
        let id = sample.scope.cgroup_id;
        let Some(dir) = self.cgroups.dir(id) else { return };
        let limits = limits::read(dir);
        self.limits.insert(id, limits);
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
        let still = MemCounters::default();
        let mut host = Host {
            sched: (self.measures.sched && !first.sched).then(Sched::default),
            mem: (tick && self.measures.mem && !first.tick).then(|| delta::mem(&still, &still, self.measures.rss)),
            net: (self.measures.net && !first.net).then(Net::default),
            ..Host::default()
        };
        if self.measures.run_queue {
            let now = self.kernel.run_queue();
            let delta = delta::run_queue(&now, &self.last.run_queue);
            self.last.run_queue = now;
            host.run_queue = (!first.sched).then_some(delta);
        }
        if tick && let Some(memory) = self.memory.read() {
            host.memory_total_bytes = Some(memory.total_bytes);
            host.memory_available_bytes = memory.available_bytes;
        }
        host
    }
}

/// What [`Kernel::packets`] gave when these were read.
fn packets(counters: &NetCounters) -> u64 {
    let paths = counters.traffic.iter();
    let each = paths.map(|path| path.ingress_packets.wrapping_add(path.egress_packets));
    each.fold(0, u64::wrapping_add)
}

/// Which sensors are read for the first time, and so have no difference yet.
#[derive(Clone, Copy)]
struct First {
    tick: bool,
    sched: bool,
    net: bool,
}

impl Source for Live {
    fn changed(&mut self, now: Now) -> Option<Change> {
        self.look_whether_programs_run(now)
    }

    fn program_shares(&self) -> ProgramShares {
        self.shares()
    }

    fn sparable(&self) -> Spared {
        self.can_be_spared()
    }

    fn spare(&mut self, spared: Spared, now: Now) {
        self.leave_out(spared, now);
    }

    fn read(&mut self, now: Now, tick: bool) -> Sample {
        // Owners first: a cgroup that came and went since the last reading must be known to be retired.
        self.slots.refresh(&self.kernel, &mut self.cgroups, now.monotonic_ns);
        let oom_kills = self.handle_events();
        if tick {
            self.ticks += 1;
            self.sweep();
        }
        let first = First {
            tick: self.last.tick_ns.is_none(),
            sched: self.last.sched_ns.is_none(),
            net: self.last.net_ns.is_none(),
        };
        let roster = self.slots.roster();
        for slot in roster.in_order.iter() {
            self.last.moved[*slot as usize] = self.has_moved(*slot, tick);
        }
        let mut sample = Sample {
            now,
            host: self.read_host(tick, first),
            roster: Arc::clone(&roster.scopes),
            ..Sample::default()
        };
        let mut slots = Vec::new();
        let cgroups = roster.ids.iter().zip(roster.scopes.iter());
        for (slot, (id, scope)) in roster.slots.iter().zip(cgroups) {
            let moved = self.last.moved[*slot as usize];
            // Files cost a dozen system calls: where nothing happens, only somebody's hand changes them.
            let still = !(moved || tick && self.limits_are_due(*id));
            // The scope itself lies anywhere in memory, and is not asked without need.
            if still && oom_kills.is_empty() {
                continue;
            }
            let kills = oom_kills.get(&scope.path).copied().unwrap_or(0);
            if still && kills == 0 {
                continue;
            }
            let mut part = ScopeSample {
                scope: Arc::clone(scope),
                ..ScopeSample::default()
            };
            self.read_scope(&mut part, *slot, tick, first);
            if let Some(mem) = &mut part.mem {
                mem.oom_kills += kills;
            }
            if tick {
                self.read_limits(&mut part);
            }
            add_to_host(&mut sample.host, &part);
            sample.scopes.push(part);
            slots.push(*slot);
        }
        self.read_destinations(&mut sample, &slots);
        sample.elapsed = self.elapsed(now.monotonic_ns, tick);
        if tick {
            self.count_cost(now);
        }
        if let Some(sched) = &sample.host.sched {
            self.switches.count(sched.waits);
        }
        let mut losses = self.kernel.losses();
        losses[RUN_QUEUE_SAMPLE_MISSED] = self.sampling.missed();
        sample.losses = delta::losses(&losses, &self.last.losses);
        self.last.losses = losses;
        if tick {
            self.slots.end_reading(&mut self.kernel);
            self.tidy(&sample.roster);
        }
        self.seq += 1;
        sample.seq = self.seq;
        sample
    }
}

impl Live {
    fn tidy(&mut self, roster: &Arc<Vec<Arc<Scope>>>) {
        if !Arc::ptr_eq(&self.roster, roster) {
            (self.roster, self.roster_tick) = (Arc::clone(roster), self.ticks);
        }
        if TIDY_TICKS.contains(&(self.ticks - self.roster_tick)) || self.ticks.is_multiple_of(TIDY_ANYWAY_TICKS) {
            give_back_unused();
        }
    }

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
