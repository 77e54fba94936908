//! Where memory is counted, and out-of-memory kills.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use aya_log_ebpf::debug;
use sentinel_common::{
    event::{EVENT_OOM_KILL, Event},
    field::TASK_PID,
    id::SLOT_OTHER,
    mem::MemCounters,
    sched::CpuState,
};

use crate::{
    count::{add_atomic, cpu_state},
    emit::emit,
    field::field,
    maps::MEM,
    offsets::VICTIM_IS_TASK,
    slots::of_task,
};

/// A process was chosen to be killed for lack of memory.
#[btf_tracepoint(function = "mark_victim")]
pub fn mark_victim(ctx: BtfTracePointContext) -> i32 {
    if VICTIM_IS_TASK.load() == 0 {
        // Older kernels pass the pid alone: user space finds the cgroup.
        let pid: u32 = ctx.arg(0);
        emit(Event {
            kind: EVENT_OOM_KILL,
            slot: SLOT_OTHER,
            value: u64::from(pid),
        });
        return 0;
    }
    let task: *const u8 = ctx.arg(0);
    // SAFETY: where the constant says so, the first argument is a task; offsets and types are from BTF.
    let (slot, pid): (u32, u32) = unsafe { (of_task(task), field::<_, TASK_PID>(task)) };
    debug!(
        &ctx,
        "process {} of slot {} chosen for an out-of-memory kill", pid, slot
    );
    if let Some(counters) = cpu_state().and_then(|state| counters(state, slot)) {
        add_atomic(&mut counters.oom_kills, 1);
    }
    emit(Event {
        kind: EVENT_OOM_KILL,
        slot,
        value: u64::from(pid),
    });
    0
}

/// Counters of a slot in this CPU's bank.
#[inline(always)]
pub(super) fn counters(state: &CpuState, slot: u32) -> Option<&'static mut MemCounters> {
    let counters = MEM.get_ptr_mut(state.bank + slot)?;
    // SAFETY: the pointer comes from the map, which outlives the program; only this CPU writes this bank.
    Some(unsafe { &mut *counters })
}
