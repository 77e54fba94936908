//! `Sample`: what was measured since the last one. Plain data; everything a judge may look at is in here, so that a
//! recording judges exactly like the live host.
//!
//! `None` means not measured; zero means zero. All counts are differences over the `elapsed` time of their sensor.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use schemars::JsonSchema;
use sentinel_common::histogram::WAIT_BUCKETS;
use serde::{Deserialize, Serialize};

use crate::time::Now;

/// What holds for a whole run or recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// Host name.
    pub host: String,
    /// Boot id of the kernel, as in `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Kernel release, as `uname -r`.
    pub kernel: String,
    /// CPUs online when the run began.
    pub cpus: u32,
    /// Bytes in a page.
    pub page_bytes: u64,
}

/// One reading. The network sensor may be read more often than the others, which are `None` then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// Counts samples of a run from 1.
    pub seq: u64,
    /// When it was read.
    pub now: Now,
    /// Time since the sensor was read before; `None` when it was not read this time or is not available.
    pub elapsed: Elapsed,
    /// The host as a whole.
    pub host: Host,
    /// cgroups, and `other`, in order of scope id: those in which something happened, and those whose limits were read.
    pub scopes: Vec<ScopeSample>,
    /// Every cgroup that has a slot, plus `other`, in order of scope id; what is gone is not in it. In what is not among
    /// `scopes` nothing happened: zeroes for every sensor that was read. Empty where `scopes` are all. A recording has it in
    /// a line of its own, whenever it changed.
    #[serde(skip)]
    #[schemars(skip)]
    pub roster: Arc<Vec<Arc<Scope>>>,
    /// What was lost or missed since the last sample, see `sentinel_common::loss`; only what is not zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Loss>,
}

impl Sample {
    /// Every cgroup that there is, and `other`, whether anything happened in it or not.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Scope>> {
        let listed = self.scopes.iter().map(|part| &part.scope);
        let listed = listed.take(if self.roster.is_empty() { usize::MAX } else { 0 });
        listed.chain(self.roster.iter())
    }

    /// How many that are.
    #[must_use]
    pub fn count(&self) -> usize {
        if self.roster.is_empty() {
            self.scopes.len()
        } else {
            self.roster.len()
        }
    }

    /// What happened in one cgroup, zeroes where nothing did; `None` when there is no such cgroup.
    #[must_use]
    pub fn part(&self, cgroup_id: u64) -> Option<Cow<'_, ScopeSample>> {
        let listed = self.scopes.iter().find(|part| part.scope.cgroup_id == cgroup_id);
        listed.map(Cow::Borrowed).or_else(|| {
            let scope = self.roster.iter().find(|scope| scope.cgroup_id == cgroup_id)?;
            Some(Cow::Owned(self.still(scope)))
        })
    }

    /// A cgroup in which nothing happened.
    fn still(&self, scope: &Arc<Scope>) -> ScopeSample {
        ScopeSample {
            scope: Arc::clone(scope),
            sched: self.elapsed.sched_ns.map(|_| Sched::default()),
            mem: self.elapsed.mem_ns.map(|_| self.still_pages()),
            net: self.elapsed.net_ns.map(|_| Net::default()),
            ..ScopeSample::default()
        }
    }

    /// Pages of a cgroup in which nothing happened: what this kernel does not tell stays unknown.
    #[must_use]
    pub fn still_pages(&self) -> Mem {
        let told = self.host.mem.unwrap_or_default();
        Mem {
            rss_anon_pages: told.rss_anon_pages.map(|_| 0),
            rss_file_pages: told.rss_file_pages.map(|_| 0),
            rss_shmem_pages: told.rss_shmem_pages.map(|_| 0),
            ..Mem::default()
        }
    }
}

/// One kind of loss since the last sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// A name from `sentinel_common::loss::LOSS_NAMES`.
    pub kind: String,
    /// How often.
    pub count: u64,
}

/// Real time covered by each sensor's differences, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Elapsed {
    /// Scheduler sensor.
    pub sched_ns: Option<u64>,
    /// Page-allocation sensor.
    pub mem_ns: Option<u64>,
    /// Network sensor.
    pub net_ns: Option<u64>,
}

/// The host as a whole: sums over all scopes, and what only the host has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Sum over all scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sched: Option<Sched>,
    /// Sum over all scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mem: Option<Mem>,
    /// Sum over all scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net: Option<Net>,
    /// Run-queue lengths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_queue: Option<RunQueue>,
    /// Bytes of memory in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_total_bytes: Option<u64>,
    /// Bytes the kernel could hand out without swapping (`MemAvailable`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_available_bytes: Option<u64>,
}

/// One cgroup's share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScopeSample {
    /// Who it is.
    pub scope: Arc<Scope>,
    /// Scheduler counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sched: Option<Sched>,
    /// Page counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mem: Option<Mem>,
    /// Network counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net: Option<Net>,
    /// Where most of its connection attempts fail. Looked up at most once a second, and only while attempts fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_destination: Option<Destination>,
    /// `memory.max` in bytes, where the memory controller sets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_max_bytes: Option<u64>,
    /// `memory.current` in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_current_bytes: Option<u64>,
    /// `memory.high` in bytes, where the memory controller sets one: above it allocations are held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_high_bytes: Option<u64>,
    /// What reclaim could take of `memory.current` without a loss: page cache and reclaimable slab of `memory.stat`, bytes.
    /// Read only where there is a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_reclaimable_bytes: Option<u64>,
    /// Time throttled by `cpu.max` (`throttled_usec` of `cpu.stat`) since the last sample, nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_ns: Option<u64>,
}

/// What a verdict is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Scope {
    /// `host`, `cgroup` or `other`.
    pub kind: ScopeKind,
    /// cgroup path from the root of the hierarchy, `/` for its root; invalid UTF-8 is escaped as `\xNN`. Empty for
    /// the host; `other` for what belongs to no slot; `?ID` while a cgroup's path is not known.
    pub path: String,
    /// systemd unit, where the path names one.
    pub unit: Option<String>,
    /// Container id, where the path names one.
    pub container: Option<String>,
    /// cgroup v2 id; 0 for the host and `other`.
    pub cgroup_id: u64,
}

impl Scope {
    /// The host as a whole.
    #[must_use]
    pub fn host() -> Self {
        Self::default()
    }

    /// The shortest name a reader knows it by: short container id, unit, last part of the path, or `host`.
    #[must_use]
    pub fn name(&self) -> &str {
        // A container's own unit only repeats its id at full length.
        if let Some(container) = &self.container
            && self.unit.as_ref().is_none_or(|unit| unit.contains(container.as_str()))
        {
            return container.get(..12).unwrap_or(container);
        }
        if let Some(unit) = &self.unit {
            return unit;
        }
        match self.kind {
            ScopeKind::Host => "host",
            ScopeKind::Other => "other",
            ScopeKind::Agent => "sentinel",
            ScopeKind::Cgroup if self.path == "/" => "/",
            ScopeKind::Cgroup => self.path.rsplit('/').next().unwrap_or(&self.path),
        }
    }
}

/// Kind of a scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// The whole host.
    #[default]
    Host,
    /// One cgroup.
    Cgroup,
    /// What belongs to no slot: cgroups beyond `max_cgroups`, interrupts on idle CPUs.
    Other,
    /// The agent, in what it says about itself.
    Agent,
}

/// Scheduler counts, see `sentinel_common::sched::SchedCounters`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sched {
    /// Waits that ended: one per scheduling.
    pub waits: u64,
    /// Their sum, nanoseconds.
    pub wait_ns: u64,
    /// Sum of their squares in units of 1,024 ns.
    pub wait_units_squared: u64,
    /// Time on CPU, nanoseconds.
    pub on_cpu_ns: u64,
    /// Voluntary switches.
    pub voluntary: u64,
    /// Involuntary switches.
    pub involuntary: u64,
    /// Waits by length, see `sentinel_common::histogram`.
    pub buckets: [u32; WAIT_BUCKETS],
}

/// Page counts, see `sentinel_common::mem::MemCounters`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mem {
    /// Pages allocated.
    pub allocated_pages: u64,
    /// Pages freed.
    pub freed_pages: u64,
    /// Net movement of anonymous resident pages; `None` where this kernel does not tell.
    pub rss_anon_pages: Option<i64>,
    /// Net movement of file pages mapped.
    pub rss_file_pages: Option<i64>,
    /// Net movement of shared-memory pages.
    pub rss_shmem_pages: Option<i64>,
    /// Processes killed for lack of memory.
    pub oom_kills: u64,
}

impl Mem {
    /// True when no page moved.
    #[must_use]
    pub fn is_still(&self) -> bool {
        let zero = |moved: Option<i64>| moved.is_none_or(|pages| pages == 0);
        zero(self.rss_anon_pages)
            && zero(self.rss_file_pages)
            && zero(self.rss_shmem_pages)
            && (self.allocated_pages, self.freed_pages, self.oom_kills) == (0, 0, 0)
    }
}

/// Network counts, see `sentinel_common::net::NetCounters`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Net {
    /// Traffic that enters or leaves the host.
    pub external: Traffic,
    /// Loopback traffic.
    pub loopback: Traffic,
    /// Requests sent on opened sockets.
    pub opened_turns_out: u64,
    /// Responses received on opened sockets.
    pub opened_turns_in: u64,
    /// Requests received on accepted sockets.
    pub accepted_turns_in: u64,
    /// Responses sent on accepted sockets.
    pub accepted_turns_out: u64,
    /// Opened sockets that sent their first request.
    pub opened_first_turns: u64,
    /// Accepted sockets that received their first request.
    pub accepted_first_turns: u64,
    /// TCP connection attempts.
    pub connect_attempts: u64,
    /// Attempts that failed.
    pub connect_failures: u64,
    /// Attempts that were established.
    pub connects: u64,
    /// TCP connections accepted.
    pub accepts: u64,
    /// TCP segments retransmitted.
    pub retransmits: u64,
    /// TCP resets received.
    pub resets_in: u64,
    /// TCP resets sent.
    pub resets_out: u64,
    /// UDP packets received.
    pub udp_ingress_packets: u64,
    /// UDP packets sent.
    pub udp_egress_packets: u64,
    /// Opened TCP connections that ended after a request without an answer to it: given up here, or cut off there. Older
    /// recordings do not have it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub given_up: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Net {
    /// Units of work sent on sockets this scope opened, see `sentinel_common::net::work`.
    #[must_use]
    pub fn work_out(&self) -> u64 {
        sentinel_common::net::work(self.connect_attempts, self.opened_turns_out, self.opened_first_turns)
    }

    /// Units of work received on sockets this scope accepted.
    #[must_use]
    pub fn work_in(&self) -> u64 {
        sentinel_common::net::work(self.accepts, self.accepted_turns_in, self.accepted_first_turns)
    }
}

/// A destination that one scope connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Destination {
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Attempts since the agent started, or since it was pushed out of the table.
    pub attempts: u64,
    /// Attempts that failed.
    pub failures: u64,
}

/// Packets and bytes over one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// Packets received.
    pub ingress_packets: u64,
    /// Bytes received.
    pub ingress_bytes: u64,
    /// Packets sent.
    pub egress_packets: u64,
    /// Bytes sent.
    pub egress_bytes: u64,
}

/// Run-queue lengths over all CPUs, sampled at 99 Hz on each. The length counts the running task; 0 is idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunQueue {
    /// Samples taken.
    pub samples: u64,
    /// Sum of lengths.
    pub length: u64,
    /// Sum of squared lengths.
    pub length_squared: u64,
}
