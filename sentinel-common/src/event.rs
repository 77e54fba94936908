//! Rare, sharp events: the only records that travel through the ring buffer.

use crate::pod;

/// A cgroup was removed; `value` is its id.
pub const EVENT_CGROUP_REMOVED: u32 = 1;
/// A process was chosen for an out-of-memory kill; `value` is its pid, `slot` its slot or [`crate::id::SLOT_OTHER`].
pub const EVENT_OOM_KILL: u32 = 2;

/// One event.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// One of the `EVENT_` constants.
    pub kind: u32,
    /// Slot it concerns.
    pub slot: u32,
    /// What the kind says.
    pub value: u64,
}

/// Bytes of the ring buffer: a power of two of whole pages. Room for 2,730 events between two reads.
pub const EVENTS_BYTES: u32 = 64 * 1024;

pod!(Event);
const _: () = assert!(size_of::<Event>() == 16);
