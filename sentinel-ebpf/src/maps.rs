//! Every map: key, value, size, writer, and why that size.
//!
//! Counters lie in arrays that user space maps into its memory, banked by CPU: entry `cpu × slots + slot` is written
//! by that CPU only, so no count needs a lock and reading needs no system call. Sizes given as 1 are set before load
//! from the number of CPUs and of cgroups.

#[expect(
    deprecated,
    reason = "what replaces it came with 6.2; this one works from 5.9 on, also on the newest kernels"
)]
use aya_ebpf::maps::CgroupStorage;
use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    btf_maps::{Array as LockedArray, SkStorage},
    macros::{btf_map, map},
    maps::{Array, HashMap, LruHashMap, Queue, RingBuf},
};
use sentinel_common::{
    budget::{Budget, InboundSocket, Policy, SCOPES},
    event::EVENTS_BYTES,
    id::{CachedSlot, FreeSlot, SLOT_CACHE_ENTRIES, SlotOwner},
    mem::{MM_PAGES_ENTRIES, MemCounters, MmPages},
    net::{DESTINATIONS_ENTRIES, Destination, DestinationCounters, NetCounters, SocketState},
    sched::{CpuState, RunQueueCounters, SchedCounters, TASK_WAITS_ENTRIES, TaskWait},
};

/// By CPU. Writers: `sched_switch`; with it `run_queue` and `rss_stat` what is known of pages; `ingress` and `egress` a field each; user
/// space two others, one of them before anything is attached.
#[map]
pub(crate) static CPU_STATE: Array<CpuState> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// By CPU × slots + slot. Writer: `sched_switch`.
#[map]
pub(crate) static SCHED: Array<SchedCounters> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// By thread id, direct-mapped; 8,192 entries (128 KiB) hold the threads of a busy host, and one that is pushed out
/// loses only what it waited before a migration. Writer: `sched_switch`.
#[map]
pub(crate) static TASK_WAITS: Array<TaskWait> = Array::with_max_entries(TASK_WAITS_ENTRIES, 0);
/// By CPU. Writer: `run_queue`.
#[map]
pub(crate) static RUN_QUEUE: Array<RunQueueCounters> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// By CPU × slots + slot. Writers: `sched_switch`, `run_queue` and `rss_stat`, one at a time; `mark_victim` a field of its own.
#[map]
pub(crate) static MEM: Array<MemCounters> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// By address space, direct-mapped (256 KiB). Writer: `rss_stat`.
#[map]
pub(crate) static MM_PAGES: Array<MmPages> = Array::with_max_entries(MM_PAGES_ENTRIES, 0);
/// By CPU × slots + slot; behind the last CPU's follows the bank that all share, for packets that leave while another
/// is being counted. Writers: `ingress`, `egress`, `sock_ops`, each its own fields.
#[map]
pub(crate) static NET: Array<NetCounters> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// By socket; goes with the socket. Writers: `ingress`, `egress`, `sock_ops`.
#[btf_map]
pub(crate) static SOCKETS: SkStorage<SocketState> = SkStorage::new();
/// By destination; those not used longest make room. Writers: `egress`, `sock_ops`.
#[map]
pub(crate) static DESTINATIONS: LruHashMap<Destination, DestinationCounters> =
    LruHashMap::with_max_entries(DESTINATIONS_ENTRIES, 0);
/// As many as there are slots. User space pushes, the programs pop.
#[map]
pub(crate) static FREE_SLOTS: Queue<FreeSlot> = Queue::with_max_entries(1, 0);
/// Slot by cgroup id; as many as there are slots. The programs insert, user space removes.
#[map]
pub(crate) static CGROUP_SLOTS: HashMap<u64, u32> = HashMap::with_max_entries(1, 0);
/// Slot by hashed cgroup id (128 KiB): eight entries for each of the default 1,024 cgroups keep collisions, which
/// cost a look-up in [`CGROUP_SLOTS`], rare. Writers: the programs.
#[map]
pub(crate) static SLOT_CACHE: Array<CachedSlot> = Array::with_max_entries(SLOT_CACHE_ENTRIES, 0);
/// By slot. Writers: the programs, when they hand a slot out.
#[map]
pub(crate) static SLOT_OWNERS: Array<SlotOwner> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// By CPU × kinds + kind. Writers: all programs.
#[map]
pub(crate) static LOSS: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// Rare events. Writers: `cgroup_rmdir`, `mark_victim`.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(EVENTS_BYTES, 0);

/// By cgroup a program is attached to, and hook: a program finds the policy of its own attachment without knowing the
/// cgroup, so what a cgroup below does counts for the one under the policy. No entry costs memory before. Writer: user
/// space, whole records at once.
#[map]
#[expect(deprecated, reason = "see the import")]
pub(crate) static POLICIES: CgroupStorage<Policy> = CgroupStorage::new();
/// By the number a policy names (16 KiB); described by BTF so that the kernel finds the lock in it. Writers:
/// `connect4`, `connect6`, `limit_ingress`, `limit_sock_ops`.
#[btf_map]
pub(crate) static BUDGETS: LockedArray<Budget, { SCOPES as usize }> = LockedArray::new();
/// By socket; goes with the socket. Writers: `limit_ingress`, `limit_sock_ops`.
#[btf_map]
pub(crate) static INBOUND_SOCKETS: SkStorage<InboundSocket> = SkStorage::new();
