//! What the object must be told before it is loaded: this kernel's field offsets, and the sizes of the maps.

use std::{io, path::PathBuf};

use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use sentinel_common::{
    field::{
        CGROUP_KN, CSS_SET_CGROUP, FIELDS, KERNFS_ID, MM_RSS_ANON, MM_RSS_FILE, MM_RSS_SHMEM, MM_RSS_SWAP,
        TASK_CGROUPS, TASK_EXEC, TASK_NVCSW, TASK_PID, TASK_RUN_DELAY,
    },
    id::SLOT_FIRST,
    mem::{RSS_ANON, RSS_FILE, RSS_SHMEM, RSS_SWAP},
};

use super::{Btf, KernelError, Options, error::object, fields, footprint, offsets};

pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("SENTINEL_BPF_OBJECT_PATH"));

/// Where kernels publish their type information.
const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// Where they list their symbols.
const SYMBOLS_PATH: &str = "/proc/kallsyms";

/// Offsets of the running kernel, or why a sensor has none.
pub(super) struct Layout {
    pub(super) task: Result<offsets::Task, KernelError>,
    pub(super) run_queue: Result<offsets::RunQueue, KernelError>,
    pub(super) pages: Result<offsets::Pages, KernelError>,
    pub(super) rss: Result<offsets::Rss, KernelError>,
    victim_is_task: u8,
}

impl Layout {
    pub(super) fn of(btf: &Btf, symbols: impl FnOnce() -> String) -> Self {
        let victim = btf.tracepoint("mark_victim").and_then(|args| args.first().copied());
        Self {
            task: offsets::task(btf),
            run_queue: offsets::run_queue(btf),
            pages: offsets::pages(btf, symbols),
            rss: offsets::rss(btf),
            victim_is_task: u8::from(victim.unwrap_or(false)),
        }
    }
}

/// What sensors would miss in this type information, and why; nothing in that of a kernel on which all of them run.
#[must_use]
pub fn missing(btf: &Btf) -> Vec<KernelError> {
    let Layout {
        task,
        run_queue,
        pages,
        rss,
        ..
    } = Layout::of(btf, String::new);
    [task.err(), run_queue.err(), pages.err(), rss.err()]
        .into_iter()
        .flatten()
        .collect()
}

pub(super) fn load(layout: &Layout, cpus: u32, slots: u32, options: &Options) -> Result<Ebpf, KernelError> {
    let task = layout.task.as_ref().copied().unwrap_or_default();
    let run_queue = layout.run_queue.as_ref().copied().unwrap_or_default();
    let pages = layout
        .pages
        .as_ref()
        .ok()
        .filter(|_| options.mem)
        .copied()
        .unwrap_or_default();
    let rss = layout.rss.as_ref().copied().unwrap_or_default();
    let rss_by_helper = u8::from(rss.by_helper);
    let has_delayed = u8::from(run_queue.delayed.is_some());
    let (queued, runnable) = run_queue.delayed.unwrap_or_default();
    let shared_bank = cpus * slots;
    let constants: [(&'static str, &u32); 9] = [
        ("SHARED_BANK", &shared_bank),
        ("TASK_CFS_RQ", &run_queue.task_cfs_rq),
        ("CFS_RQ_RQ", &run_queue.cfs_rq_rq),
        ("RQ_NR_RUNNING", &run_queue.nr_running),
        ("RQ_CPU", &run_queue.cpu),
        ("ZONES", &pages.zones),
        ("PAGES_FREED", &pages.freed),
        ("MM_RSS", &rss.first),
        ("MM_RSS_STRIDE", &rss.stride),
    ];
    // aya-log's own constant: 0 removes the code, 5 lets every level through.
    let log_level = if options.debug { 5u8 } else { 0 };
    let mut loader = EbpfLoader::new();
    loader.verifier_log_level(VerifierLogLevel::default());
    for (name, value) in constants {
        loader.override_global(name, value, true);
    }
    loader
        .override_global("AYA_LOG_LEVEL", &log_level, false)
        .override_global("PAGES_FROM_RQ", &pages.from_run_queue, true)
        .override_global("RSS_BY_HELPER", &rss_by_helper, true)
        .override_global("RQ_HAS_DELAYED", &has_delayed, true)
        .override_global("RQ_QUEUED", &queued, true)
        .override_global("RQ_RUNNABLE", &runnable, true)
        .override_global("VICTIM_IS_TASK", &layout.victim_is_task, true);
    let sizes = footprint::maps(cpus, slots - SLOT_FIRST);
    for map in sizes.iter().filter(|map| footprint::follows_the_machine(map)) {
        loader.map_max_entries(map.name, map.entries);
    }
    if !options.debug {
        loader.map_max_entries(footprint::LOG_RECORDS, footprint::least_ring());
    }
    let mut fields = [0; FIELDS];
    for (field, offset) in [
        (TASK_PID, task.pid),
        (TASK_RUN_DELAY, task.run_delay),
        (TASK_EXEC, task.exec),
        (TASK_NVCSW, task.nvcsw),
        (TASK_CGROUPS, task.cgroups),
        (CSS_SET_CGROUP, task.css_set_cgroup),
        (CGROUP_KN, task.cgroup_kn),
        (KERNFS_ID, task.kernfs_id),
        (MM_RSS_FILE, rss.kind(RSS_FILE)),
        (MM_RSS_ANON, rss.kind(RSS_ANON)),
        (MM_RSS_SWAP, rss.kind(RSS_SWAP)),
        (MM_RSS_SHMEM, rss.kind(RSS_SHMEM)),
    ] {
        fields[field as usize] = offset;
    }
    let patched = fields::patched(OBJECT, &fields)?;
    loader.load(&patched).map_err(|error| object(&error))
}

/// Reads the kernel's type information; how many bytes it has.
pub(super) fn read_btf() -> Result<(Btf, u64), KernelError> {
    let path = PathBuf::from(BTF_PATH);
    let bytes = std::fs::read(&path).map_err(|source| {
        let path = path.clone();
        match source.kind() {
            io::ErrorKind::NotFound => KernelError::NoBtf { path, source },
            _ => KernelError::UnreadBtf { path, source },
        }
    })?;
    let btf = Btf::parse(&bytes).map_err(|source| KernelError::BadBtf { path, source })?;
    Ok((btf, bytes.len() as u64))
}

/// The kernel's own symbols, with zeros for addresses where the reader has no `CAP_SYSLOG`; nothing where they cannot be read.
pub(super) fn read_symbols() -> String {
    std::fs::read_to_string(SYMBOLS_PATH).unwrap_or_default()
}

/// CPUs that may ever be online; one when the kernel does not say.
pub(super) fn possible_cpus() -> u32 {
    aya::util::nr_cpus().map_or_else(
        |(path, error): (&str, io::Error)| {
            tracing::warn!(path, %error, "the number of CPUs is not known: counting on one");
            1
        },
        |cpus| u32::try_from(cpus).unwrap_or(u32::MAX),
    )
}
