//! Counters of the page-allocation sensor.

use crate::pod;

/// Words that are read of the kernel's own counts of a CPU, at the most: the pages allocated in each zone, and on to those
/// freed.
pub const PAGE_EVENTS: usize = 24;
/// Zones told apart by the kernel, at the most.
pub const PAGE_ZONES: usize = 6;
/// Pages that one CPU can hardly have allocated or freed between two readings, 4 GiB: they are a hundredth of a second apart where
/// run-queues are sampled, and a switch where not. The kernel moves a CPU's counts to another when it goes offline.
pub const MOST_PAGES: u64 = 1 << 20;

/// Kinds of resident memory, in the order of the kernel's `MM_FILEPAGES`, `MM_ANONPAGES`, `MM_SWAPENTS`, `MM_SHMEMPAGES`.
pub const RSS_KINDS: usize = 4;
/// Index of file pages in [`MemCounters::rss_pages`].
pub const RSS_FILE: usize = 0;
/// Index of anonymous pages.
pub const RSS_ANON: usize = 1;
/// Index of swap entries.
pub const RSS_SWAP: usize = 2;
/// Index of shared-memory pages.
pub const RSS_SHMEM: usize = 3;

/// What one CPU counted for one slot.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemCounters {
    /// Pages allocated.
    pub allocated_pages: u64,
    /// Pages freed.
    pub freed_pages: u64,
    /// Net movement of resident pages by kind, two's complement. Goes both ways.
    pub rss_pages: [u64; RSS_KINDS],
    /// Processes of this slot killed for lack of memory.
    pub oom_kills: u64,
    /// Padding.
    pub _pad: u64,
}

/// What one CPU remembers of the kernel's counts of pages.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PagesRead {
    /// Where the kernel keeps this CPU's counts; 0 until it was found.
    pub address: u64,
    /// Pages allocated as of the last reading.
    pub allocated: u64,
    /// Pages freed as of the last reading.
    pub freed: u64,
    /// Time that tasks were on this CPU since, nanoseconds.
    pub on_cpu_ns: u64,
    /// Slot of the task that was on this CPU last and was not the idle one: whose pages those since the last reading are.
    pub slot: u32,
    /// Not 0 while they are being read here: who comes in between, as an interrupt, does not.
    pub reading: u32,
}

/// What was reported last of resident pages of one kind on a CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// As [`MmPages::mm`].
    pub mm: u32,
    /// How many of that kind the address space has, 2^32 - 1 at the most.
    pub pages: u32,
}

/// Entries of the table of resident pages by address space. A power of two.
pub const MM_PAGES_ENTRIES: u32 = 4096;

/// Resident pages of one address space when it was last seen, by kind. Direct-mapped by address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MmPages {
    /// Low half of the address of the `mm_struct`, an identity only; 0 is empty.
    pub mm: u32,
    /// Slot in which it last grew; what it gives back is taken from there.
    pub slot: u32,
    /// Pages by kind.
    pub pages: [u64; RSS_KINDS],
    /// Which kinds were seen, one bit each.
    pub seen: u64,
    /// Padding.
    pub _pad: [u64; 2],
}

pod!(MemCounters, MmPages, PagesRead, Resident);
const _: () = assert!(size_of::<MemCounters>() == 64);
const _: () = assert!(size_of::<MmPages>() == 64);

/// Index of an address space in the table of resident pages, see [`crate::id::cache_index`] for the method.
#[inline(always)]
#[must_use]
pub const fn mm_index(mm: u32) -> u32 {
    ((mm as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - MM_PAGES_ENTRIES.trailing_zeros())) as u32
}

const _: () = assert!(MM_PAGES_ENTRIES.is_power_of_two());
