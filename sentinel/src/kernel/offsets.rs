//! Field offsets of the running kernel, and which sensor needs which.

use sentinel_common::mem::{PAGE_EVENTS, PAGE_ZONES};

use super::{Btf, KernelError};

const WORD: u64 = size_of::<u64>() as u64;
/// To be read after "this kernel has no".
const NO_PLACE: &str = "place told for its counts of pages: its type information names no variables, and /proc/kallsyms no addresses. Let the agent start with CAP_SYSLOG (in a unit of systemd also ProtectKernelTunables=no), or boot 5.11 or later";

/// Offsets for `sched_switch`, and of everything that leads from a task to its cgroup.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Task {
    pub(super) pid: u32,
    pub(super) run_delay: u32,
    pub(super) exec: u32,
    pub(super) nvcsw: u32,
    pub(super) cgroups: u32,
    pub(super) css_set_cgroup: u32,
    pub(super) cgroup_kn: u32,
    pub(super) kernfs_id: u32,
}

/// Offsets for the run-queue length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunQueue {
    pub(super) task_cfs_rq: u32,
    pub(super) cfs_rq_rq: u32,
    pub(super) nr_running: u32,
    pub(super) cpu: u32,
    /// Tasks queued and tasks runnable, where sleeping tasks may stay queued.
    pub(super) delayed: Option<(u32, u32)>,
}

/// Where the counts of resident pages lie in `mm_struct`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rss {
    /// Offset of the first kind.
    pub(super) first: u32,
    /// From one kind to the next.
    pub(super) stride: u32,
    /// The counts are atomics in an array, which verifiers of that time do not see through.
    pub(super) by_helper: bool,
}

/// Where each CPU's counts of pages lie.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pages {
    /// From its run-queue to the count of pages allocated in the first zone, modulo 2^64.
    pub(super) from_run_queue: u64,
    /// Zones, each with a count of pages allocated.
    pub(super) zones: u32,
    /// Of the words from the first zone's on, the one that counts pages freed.
    pub(super) freed: u32,
}

impl Rss {
    /// Offset of a kind; [`rss`] has seen that each has one.
    pub(super) const fn kind(&self, kind: usize) -> u32 {
        self.first.saturating_add(self.stride.saturating_mul(kind as u32))
    }
}

fn field(btf: &Btf, structure: &str, path: &str) -> Result<u32, KernelError> {
    btf.offset(structure, path)
        .ok_or_else(|| KernelError::NoField(format!("{structure}.{path}")))
}

pub(super) fn task(btf: &Btf) -> Result<Task, KernelError> {
    let run_delay = btf.offset("task_struct", "sched_info.run_delay").ok_or_else(|| {
        KernelError::NoField(
            "task_struct.sched_info.run_delay: it needs CONFIG_SCHED_INFO (TASK_DELAY_ACCT or SCHEDSTATS)".into(),
        )
    })?;
    Ok(Task {
        pid: field(btf, "task_struct", "pid")?,
        run_delay,
        exec: field(btf, "task_struct", "se.sum_exec_runtime")?,
        nvcsw: field(btf, "task_struct", "nvcsw")?,
        cgroups: field(btf, "task_struct", "cgroups")?,
        css_set_cgroup: field(btf, "css_set", "dfl_cgrp")?,
        cgroup_kn: field(btf, "cgroup", "kn")?,
        kernfs_id: field(btf, "kernfs_node", "id")?,
    })
}

pub(super) fn run_queue(btf: &Btf) -> Result<RunQueue, KernelError> {
    let delayed = btf
        .offset("rq", "cfs.h_nr_queued")
        .zip(btf.offset("rq", "cfs.h_nr_runnable"));
    Ok(RunQueue {
        task_cfs_rq: field(btf, "task_struct", "se.cfs_rq")?,
        cfs_rq_rq: field(btf, "cfs_rq", "rq")?,
        nr_running: field(btf, "rq", "nr_running")?,
        cpu: field(btf, "rq", "cpu")?,
        delayed,
    })
}

/// The kernel counts pages on each CPU (`CONFIG_VM_EVENT_COUNTERS`). It lets nobody see that variable by its name, but all that a CPU has
/// lies in one area, and where its run-queue is can be found out: the distance between them is the same on every CPU. `symbols` are the
/// kernel's own, asked for where its type information names no variables.
pub(super) fn pages(btf: &Btf, symbols: impl FnOnce() -> String) -> Result<Pages, KernelError> {
    const COUNTS: &str = "vm_event_states";
    const RUN_QUEUE: &str = "runqueues";
    let missing = || KernelError::NoField("vm_event_item.PGALLOC_ and PGFREE, for each zone and as expected".into());
    let events = || btf.enumerators("vm_event_item");
    let zones = || events().filter(|(name, _)| name.starts_with("PGALLOC_"));
    let (_, first) = zones().next().ok_or_else(missing)?;
    let freed = events().find(|(name, _)| *name == "PGFREE");
    let freed = freed
        .and_then(|(_, freed)| freed.checked_sub(first))
        .ok_or_else(missing)?;
    let zones = zones().count();
    if zones > PAGE_ZONES || (freed as usize) < zones || freed as usize >= PAGE_EVENTS {
        return Err(missing());
    }
    let within = u64::from(field(btf, "vm_event_state", "event")?) + u64::from(first) * WORD;
    let from_area = btf.per_cpu(COUNTS).zip(btf.per_cpu(RUN_QUEUE));
    let (counts, run_queue) = match from_area {
        Some((counts, run_queue)) => (counts.into(), run_queue.into()),
        None => {
            let symbols = symbols();
            let found = address(&symbols, COUNTS).zip(address(&symbols, RUN_QUEUE));
            found.ok_or_else(|| KernelError::NoField(NO_PLACE.into()))?
        }
    };
    Ok(Pages {
        from_run_queue: counts.wrapping_add(within).wrapping_sub(run_queue),
        zones: zones as u32,
        freed,
    })
}

/// Where a variable lies, by the kernel's list of symbols: `ffffffff81000000 T name`. `None` where that is kept from the reader: zero,
/// where not even the first variable of a CPU lies.
fn address(symbols: &str, wanted: &str) -> Option<u64> {
    let address = symbols.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (address, _kind, name) = (words.next()?, words.next()?, words.next()?);
        (name == wanted).then_some(address)
    })?;
    u64::from_str_radix(address, 16).ok().filter(|address| *address != 0)
}

/// Up to 6.1 the counts lie in `struct mm_rss_stat`, from 6.2 on each is a `percpu_counter`.
pub(super) fn rss(btf: &Btf) -> Result<Rss, KernelError> {
    let by_helper = btf.has_struct("mm_rss_stat");
    let (first, stride) = if by_helper {
        let counts = field(btf, "mm_struct", "rss_stat")?.checked_add(field(btf, "mm_rss_stat", "count")?);
        (counts, btf.element_bytes("mm_rss_stat", "count"))
    } else {
        let counters = field(btf, "mm_struct", "rss_stat")?.checked_add(field(btf, "percpu_counter", "count")?);
        (counters, btf.element_bytes("mm_struct", "rss_stat"))
    };
    first
        .zip(stride)
        .filter(|(first, (bytes, counts))| four(*first, *bytes, *counts).is_some())
        .map(|(first, (stride, _))| Rss {
            first,
            stride,
            by_helper,
        })
        .ok_or_else(|| KernelError::NoField("mm_struct.rss_stat with four counts".into()))
}

/// Offsets of the first four counts; `None` where there are fewer, or one would lie beyond what an offset can say.
fn four(first: u32, bytes: u32, counts: u32) -> Option<[u32; 4]> {
    let at = |kind: u32| first.checked_add(kind.checked_mul(bytes)?);
    (counts >= 4).then_some([at(0)?, at(1)?, at(2)?, at(3)?])
}

#[cfg(test)]
mod tests {
    use super::{address, four};

    #[test]
    fn an_address_is_that_of_the_whole_name_and_unknown_where_it_is_kept_secret() {
        let symbols =
            "0000000000000000 A fixed\n000000000001a2c0 D runqueues_other\n000000000001b300 D runqueues\nbad\n";
        assert_eq!(address(symbols, "runqueues"), Some(0x1_b300));
        for unknown in ["fixed", "queues", "bad", ""] {
            assert_eq!(address(symbols, unknown), None, "{unknown}");
        }
    }

    #[test]
    fn counts_that_no_offset_reaches_are_no_counts() {
        assert_eq!(four(8, 16, 4), Some([8, 24, 40, 56]));
        assert_eq!(four(8, 16, 3), None);
        assert_eq!(four(u32::MAX - 8, 4, 4), None);
        assert_eq!(four(0, u32::MAX, 4), None);
    }
}
