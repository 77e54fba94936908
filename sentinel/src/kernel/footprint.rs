//! How many entries each map has on a machine, and what memory the kernel takes for them.
//!
//! In: CPUs and cgroups. Out: sizes: the loader makes the maps by them, and whoever asks gets the sum. Never asks the
//! kernel.

use rustix::param::page_size;
use sentinel_common::{
    budget::{Budget, SCOPES},
    event::EVENTS_BYTES,
    id::{CachedSlot, FreeSlot, SLOT_CACHE_ENTRIES, SLOT_FIRST, SlotOwner},
    loss::LOSSES,
    mem::{MM_PAGES_ENTRIES, MemCounters, MmPages},
    names,
    net::{DESTINATIONS_ENTRIES, Destination, DestinationCounters, NetCounters},
    sched::{CpuState, RunQueueCounters, SchedCounters, TASK_WAITS_ENTRIES, TaskWait},
};

/// The kernel's own record of a map, about.
const MAP_BYTES: usize = 320;
/// What the kernel keeps with each entry of a hash, besides key and value.
const HASH_ENTRY_BYTES: usize = 48;
const HASH_BUCKET_BYTES: usize = 16;

/// aya-log's map: as small as can be where nothing is logged.
pub(super) const LOG_RECORDS: &str = "AYA_LOGS";

/// The smallest ring buffer.
pub(super) fn least_ring() -> u32 {
    u32::try_from(page_size()).unwrap_or(EVENTS_BYTES)
}

/// How the kernel lays a map out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Mapped into the agent's memory: whole pages.
    Mapped,
    Array,
    Queue,
    /// With a key of so many bytes; `true` has an entry more for each CPU.
    Hash(usize, bool),
    Ring,
}

/// One map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSize {
    /// Its name.
    pub name: &'static str,
    /// Its entries.
    pub entries: u32,
    value_bytes: usize,
    kind: Kind,
    cpus: u32,
}

/// Every map whose size is known beforehand. Storage of sockets comes on top: 128 bytes for each.
#[must_use]
pub fn maps(cpus: u32, max_cgroups: u32) -> Vec<MapSize> {
    let slots = max_cgroups + SLOT_FIRST;
    let map = |name, entries, value_bytes, kind| MapSize {
        name,
        entries,
        value_bytes,
        kind,
        cpus,
    };
    let destination = Kind::Hash(size_of::<Destination>(), false);
    vec![
        map(names::SCHED, cpus * slots, size_of::<SchedCounters>(), Kind::Mapped),
        map(names::MEM, cpus * slots, size_of::<MemCounters>(), Kind::Mapped),
        // One bank more: the one that all CPUs share.
        map(names::NET, (cpus + 1) * slots, size_of::<NetCounters>(), Kind::Mapped),
        map(names::RUN_QUEUE, cpus, size_of::<RunQueueCounters>(), Kind::Mapped),
        map(names::LOSS, cpus * LOSSES as u32, size_of::<u64>(), Kind::Mapped),
        map(names::SLOT_OWNERS, slots, size_of::<SlotOwner>(), Kind::Mapped),
        map(names::CPU_STATE, cpus, size_of::<CpuState>(), Kind::Mapped),
        map(
            names::TASK_WAITS,
            TASK_WAITS_ENTRIES,
            size_of::<TaskWait>(),
            Kind::Array,
        ),
        map(names::MM_PAGES, MM_PAGES_ENTRIES, size_of::<MmPages>(), Kind::Array),
        map(
            names::SLOT_CACHE,
            SLOT_CACHE_ENTRIES,
            size_of::<CachedSlot>(),
            Kind::Array,
        ),
        map(names::BUDGETS, SCOPES, size_of::<Budget>(), Kind::Array),
        map(names::FREE_SLOTS, slots, size_of::<FreeSlot>(), Kind::Queue),
        map(
            names::CGROUP_SLOTS,
            slots,
            size_of::<u32>(),
            Kind::Hash(size_of::<u64>(), true),
        ),
        map(
            names::DESTINATIONS,
            DESTINATIONS_ENTRIES,
            size_of::<DestinationCounters>(),
            destination,
        ),
        map(names::EVENTS, EVENTS_BYTES, 1, Kind::Ring),
        map(LOG_RECORDS, least_ring(), 1, Kind::Ring),
    ]
}

/// Whether the loader sets the entries of this map; of the others the object knows them.
pub(super) fn follows_the_machine(map: &MapSize) -> bool {
    ![
        names::TASK_WAITS,
        names::MM_PAGES,
        names::SLOT_CACHE,
        names::BUDGETS,
        names::DESTINATIONS,
        names::EVENTS,
        LOG_RECORDS,
    ]
    .contains(&map.name)
}

impl MapSize {
    /// Bytes the kernel takes for it, as it tells in `memlock`.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let entries = self.entries as usize;
        let value = self.value_bytes.next_multiple_of(8);
        let bytes = match self.kind {
            Kind::Mapped => page_size() + (entries * value).next_multiple_of(page_size()),
            Kind::Array => MAP_BYTES + entries * value,
            Kind::Queue => MAP_BYTES + (entries + 1) * self.value_bytes,
            Kind::Hash(key, spare) => {
                let spare = if spare { self.cpus as usize } else { 0 };
                let entry = HASH_ENTRY_BYTES + key.next_multiple_of(8) + value;
                MAP_BYTES + entries.next_power_of_two() * HASH_BUCKET_BYTES + (entries + spare) * entry
            }
            // Its own record, and two pages of positions.
            Kind::Ring => MAP_BYTES + 3 * page_size() + entries,
        };
        bytes as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_with_cpus_times_cgroups() {
        let total = |cpus, cgroups| maps(cpus, cgroups).iter().map(MapSize::bytes).sum::<u64>();
        let counters = (size_of::<SchedCounters>() + size_of::<MemCounters>() + size_of::<NetCounters>()) as u64;
        let (small, large) = (total(64, 1_000), total(64, 10_000));
        let grown = (large - small) as f64 / (64 * 9_000 * counters) as f64;
        assert!((1.0..1.05).contains(&grown), "{grown}");
    }
}
