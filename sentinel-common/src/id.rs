//! Slots: the dense index under which every counter of one cgroup is kept.
//!
//! The kernel side takes a slot from a queue of free ones when it first meets a cgroup, so that no count of a new
//! cgroup is lost while user space looks for its name. User space fills the queue and gives slots back.

use crate::pod;

/// Counts that belong to no slot: cgroups beyond `max_cgroups`, and interrupts taken on an idle CPU.
pub const SLOT_OTHER: u32 = 0;

/// The first slot that is handed out.
pub const SLOT_FIRST: u32 = 1;

/// Entries of the direct-mapped cache from cgroup id to slot. A power of two.
pub const SLOT_CACHE_ENTRIES: u32 = 8192;

/// A free slot on its way to the kernel side.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FreeSlot {
    /// Index of the slot, from [`SLOT_FIRST`].
    pub slot: u32,
    /// How often this slot was handed out before; tells two owners of one slot apart.
    pub generation: u32,
}

/// Who a slot belongs to. Written by the kernel side when it hands the slot out, read by user space.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotOwner {
    /// cgroup v2 id (the inode number of its directory); 0 means never handed out.
    pub cgroup_id: u64,
    /// The generation of the [`FreeSlot`] this came from.
    pub generation: u32,
    /// Padding.
    pub _pad: u32,
}

/// One entry of the direct-mapped cache: the slot last resolved for a cgroup id with this index.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CachedSlot {
    /// cgroup v2 id; 0 means empty.
    pub cgroup_id: u64,
    /// Its slot.
    pub slot: u32,
    /// Padding.
    pub _pad: u32,
}

pod!(FreeSlot, SlotOwner, CachedSlot);
const _: () = assert!(size_of::<FreeSlot>() == 8);
const _: () = assert!(size_of::<SlotOwner>() == 16);
const _: () = assert!(size_of::<CachedSlot>() == 16);
const _: () = assert!(SLOT_CACHE_ENTRIES.is_power_of_two());

/// Index of a cgroup id in the direct-mapped cache.
///
/// Ids are inode numbers handed out in steps of a few dozen (one per file of a cgroup), so the low bits alone would
/// leave most of the cache unused: multiply by 2^64 / golden ratio and keep the top bits (Knuth, TAOCP 6.4).
#[inline(always)]
#[must_use]
pub const fn cache_index(cgroup_id: u64) -> u32 {
    (cgroup_id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SLOT_CACHE_ENTRIES.trailing_zeros())) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_index_is_in_range_and_spreads_ids_that_step_by_forty() {
        let mut used = [false; SLOT_CACHE_ENTRIES as usize];
        let mut collisions = 0;
        for n in 0..1000u64 {
            let index = cache_index(4711 + n * 40) as usize;
            collisions += u32::from(core::mem::replace(&mut used[index], true));
        }
        // 1000 balls into 8192 bins at random would collide about 59 times.
        assert!(collisions < 120, "{collisions} collisions");
    }
}
