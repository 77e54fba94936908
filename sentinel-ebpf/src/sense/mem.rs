//! Pages allocated and freed, by order, for the cgroup whose task is on the CPU; and out-of-memory kills.
//!
//! Pages allocated in an interrupt count for the task it interrupted, on an idle CPU for `other`. An interrupt that
//! allocates between reading and writing one counter costs one count, about once in a hundred thousand.

use core::ffi::c_void;

use aya_ebpf::{EbpfContext as _, macros::btf_tracepoint, programs::BtfTracePointContext};
use aya_log_ebpf::debug;
use sentinel_common::{
    cost::OF_MEM,
    event::{EVENT_OOM_KILL, Event},
    id::SLOT_OTHER,
    mem::{MemCounters, ORDERS},
    sched::CpuState,
};

use crate::{
    cost::{self, Program},
    count::{add, add_atomic, cpu_state},
    emit::emit,
    maps::MEM,
    offsets::{TASK_PID, VICTIM_IS_TASK},
    slots::{field, of_task},
};

/// Pages were asked for; the page is null when there were none.
#[btf_tracepoint(function = "mm_page_alloc")]
pub fn mm_page_alloc(ctx: BtfTracePointContext) -> i32 {
    cost::run::<Allocation>(ctx.as_ptr());
    0
}

struct Allocation;

impl Program for Allocation {
    const SENSOR: usize = OF_MEM;
    type Context = c_void;

    #[inline(always)]
    fn work(ctx: *mut c_void, state: &mut CpuState) {
        let ctx = BtfTracePointContext::new(ctx);
        let page: u64 = ctx.arg(0);
        let Some(counters) = counters(state, state.slot) else {
            return;
        };
        if page == 0 {
            add(&mut counters.failed, 1);
        } else {
            add_order(&mut counters.allocated, ctx.arg(1));
        }
    }
}

/// Pages were given back.
#[btf_tracepoint(function = "mm_page_free")]
pub fn mm_page_free(ctx: BtfTracePointContext) -> i32 {
    cost::run::<Free>(ctx.as_ptr());
    0
}

struct Free;

impl Program for Free {
    const SENSOR: usize = OF_MEM;
    type Context = c_void;

    #[inline(always)]
    fn work(ctx: *mut c_void, state: &mut CpuState) {
        if let Some(counters) = counters(state, state.slot) {
            add_order(&mut counters.freed, BtfTracePointContext::new(ctx).arg(1));
        }
    }
}

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
    let (slot, pid): (u32, u32) = unsafe { (of_task(task), field(task, TASK_PID.load())) };
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

#[inline(always)]
fn add_order(by_order: &mut [u64; ORDERS], order: u32) {
    if order < ORDERS as u32 {
        add(&mut by_order[order as usize], 1);
    } else {
        // Larger blocks, where a kernel has them, count as several of the largest order told apart.
        add(&mut by_order[ORDERS - 1], 1 << ((order - (ORDERS as u32 - 1)) & 31));
    }
}

/// Counters of a slot in this CPU's bank.
#[inline(always)]
pub(super) fn counters(state: &CpuState, slot: u32) -> Option<&'static mut MemCounters> {
    let counters = MEM.get_ptr_mut(state.bank + slot)?;
    // SAFETY: the pointer comes from the map, which outlives the program; only this CPU writes this bank.
    Some(unsafe { &mut *counters })
}
