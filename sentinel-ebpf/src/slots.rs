//! From a cgroup to its slot: a cache that costs one array access, a hash behind it, and a queue of free slots for a
//! cgroup met for the first time.
//!
//! cgroup ids are never used twice while the kernel runs, so a stale cache entry names a cgroup that is gone; its slot
//! may have a new owner, which matters only to sockets that outlive their cgroup: [`owned_by`] tells.

use sentinel_common::{
    field::{CGROUP_KN, CSS_SET_CGROUP, KERNFS_ID, TASK_CGROUPS},
    id::{CachedSlot, SLOT_OTHER, SlotOwner, cache_index},
    loss,
};

use crate::{
    count::lost,
    field::field,
    maps::{CGROUP_SLOTS, FREE_SLOTS, SLOT_CACHE, SLOT_OWNERS},
};

const BPF_NOEXIST: u64 = 1;

/// Id of a cgroup.
///
/// # Safety
/// `cgroup` must be a typed pointer to a `struct cgroup`.
#[inline(always)]
pub(crate) unsafe fn cgroup_id(cgroup: *const u8) -> u64 {
    // SAFETY: the caller's promise, and `field`'s.
    unsafe {
        let node: *const u8 = field::<_, CGROUP_KN>(cgroup);
        field::<_, KERNFS_ID>(node)
    }
}

/// Slot of a task's cgroup.
///
/// # Safety
/// `task` must be a typed pointer to a `struct task_struct`.
#[inline(always)]
pub(crate) unsafe fn of_task(task: *const u8) -> u32 {
    // SAFETY: the caller's promise, and `field`'s.
    let id = unsafe {
        let set: *const u8 = field::<_, TASK_CGROUPS>(task);
        let cgroup: *const u8 = field::<_, CSS_SET_CGROUP>(set);
        cgroup_id(cgroup)
    };
    of(id)
}

/// Slot of a cgroup.
#[inline(always)]
pub(crate) fn of(id: u64) -> u32 {
    if let Some(cached) = SLOT_CACHE.get_ptr(cache_index(id)) {
        // SAFETY: the pointer comes from the map. Two CPUs may write an entry at once and tear it: then its id does
        // not match, or it matches with the slot of an id that hashes alike, for which `find` is asked by the next.
        let cached = unsafe { *cached };
        if cached.cgroup_id == id && id != 0 {
            return cached.slot;
        }
    }
    find(id)
}

/// True while the slot belongs to this cgroup.
#[inline(always)]
pub(crate) fn owned_by(slot: u32, id: u64) -> bool {
    // SAFETY: the pointer comes from the map.
    SLOT_OWNERS
        .get_ptr(slot)
        .is_some_and(|owner| unsafe { (*owner).cgroup_id } == id)
}

/// Looks a slot up behind the cache, or takes a free one.
#[inline(never)]
fn find(id: u64) -> u32 {
    if id == 0 {
        lost(loss::NO_CGROUP_ID);
        return SLOT_OTHER;
    }
    // SAFETY: the value is copied at once; user space removes entries only of cgroups that are gone.
    if let Some(slot) = unsafe { CGROUP_SLOTS.get(id) } {
        let slot = *slot;
        remember(id, slot);
        return slot;
    }
    take(id)
}

#[inline(always)]
fn remember(id: u64, slot: u32) {
    if let Some(cached) = SLOT_CACHE.get_ptr_mut(cache_index(id)) {
        // SAFETY: the pointer comes from the map.
        unsafe {
            *cached = CachedSlot {
                cgroup_id: id,
                slot,
                _pad: 0,
            }
        };
    }
}

#[inline(always)]
fn take(id: u64) -> u32 {
    let free = match FREE_SLOTS.pop() {
        Ok(Some(free)) => free,
        Ok(None) => {
            lost(loss::NO_FREE_SLOT);
            return SLOT_OTHER;
        }
        Err(_) => {
            lost(loss::SLOT_NOT_STORED);
            return SLOT_OTHER;
        }
    };
    if CGROUP_SLOTS.insert(id, free.slot, BPF_NOEXIST).is_err() {
        // Another CPU met the same cgroup first, or the table is busy. The slot goes back; if the queue is busy too,
        // it is lost until the agent starts again, and counted.
        if FREE_SLOTS.push(free, 0).is_err() {
            lost(loss::SLOT_NOT_STORED);
        }
        // SAFETY: as in `find`.
        return match unsafe { CGROUP_SLOTS.get(id) } {
            Some(slot) => *slot,
            None => {
                lost(loss::SLOT_NOT_STORED);
                SLOT_OTHER
            }
        };
    }
    if let Some(owner) = SLOT_OWNERS.get_ptr_mut(free.slot) {
        // SAFETY: the pointer comes from the map; only the CPU that took the slot writes its owner.
        unsafe {
            *owner = SlotOwner {
                cgroup_id: id,
                generation: free.generation,
                _pad: 0,
            }
        };
    }
    remember(id, free.slot);
    free.slot
}
