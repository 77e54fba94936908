//! Tells user space when a cgroup is removed, so that its slot can be given to another.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use sentinel_common::{
    event::{EVENT_CGROUP_REMOVED, Event},
    id::SLOT_OTHER,
};

use crate::{emit::emit, slots::cgroup_id};

/// A cgroup of any hierarchy was removed.
#[btf_tracepoint(function = "cgroup_rmdir")]
pub fn cgroup_rmdir(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument of this tracepoint is a `struct cgroup`.
    let value = unsafe { cgroup_id(ctx.arg(0)) };
    emit(Event {
        kind: EVENT_CGROUP_REMOVED,
        slot: SLOT_OTHER,
        value,
    });
    0
}
