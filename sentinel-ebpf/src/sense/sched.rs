//! Run-queue wait per scheduling, switches and on-CPU time, from one hook, with no clock and no hash.
//!
//! The kernel keeps in `sched_info.run_delay` how long a task has waited to run in all, and adds a wait when it ends.
//! At a switch the leaving task's sum is complete: the difference to when it last left is the wait before this run.
//! On-CPU time and voluntary switches come the same way from `se.sum_exec_runtime` and `nvcsw`, both of which the
//! scheduler brings up to date before this tracepoint. Task 0 is idle, shared by all CPUs, and never counted.

use core::ffi::c_void;

use aya_ebpf::{EbpfContext as _, macros::btf_tracepoint, programs::BtfTracePointContext};
use aya_log_ebpf::debug;
use sentinel_common::{
    cost::OF_SCHED,
    field::{TASK_EXEC, TASK_NVCSW, TASK_PID, TASK_RUN_DELAY},
    histogram::wait_bucket,
    loss,
    sched::{CpuState, TaskWait, task_index, wait_ns, wait_units_squared},
};

use super::pages::switched;
use crate::{
    cost::{self, Program},
    count::{add, cpu_state, lost},
    field::field,
    maps::{SCHED, TASK_WAITS},
    slots::of_task,
};

/// One task leaves a CPU, another comes. Interrupts are off.
#[btf_tracepoint(function = "sched_switch")]
pub fn sched_switch(ctx: BtfTracePointContext) -> i32 {
    if let Some(state) = cpu_state() {
        cost::run_on::<Switch>(ctx.as_ptr(), state);
        switched(state);
    }
    0
}

struct Switch;

impl Program for Switch {
    const SENSOR: usize = OF_SCHED;
    type Context = c_void;

    #[inline(always)]
    fn work(ctx: *mut c_void, state: &mut CpuState) {
        let ctx = BtfTracePointContext::new(ctx);
        leave(&ctx, state);
        come(&ctx, state);
    }
}

#[inline(always)]
fn leave(ctx: &BtfTracePointContext, state: &mut CpuState) {
    let prev: *const u8 = ctx.arg(1);
    // SAFETY: the second argument of this tracepoint is the task that leaves; offsets and types are from BTF.
    let pid: u32 = unsafe { field::<_, TASK_PID>(prev) };
    if pid == 0 {
        return;
    }
    if state.pid != pid {
        lost(loss::SWITCH_UNSEEN);
        debug!(
            ctx,
            "thread {} leaves a CPU that thread {} came to last", pid, state.pid
        );
        return;
    }
    // SAFETY: as above.
    let (run_delay, exec, voluntary): (u64, u64, u64) = unsafe {
        (
            field::<_, TASK_RUN_DELAY>(prev),
            field::<_, TASK_EXEC>(prev),
            field::<_, TASK_NVCSW>(prev),
        )
    };
    let wait = wait_ns(run_delay, state.run_delay_ns, exchange(pid, run_delay, state));
    let Some(counters) = SCHED.get_ptr_mut(state.bank + state.slot) else {
        return;
    };
    // SAFETY: the pointer comes from the map, and only this CPU writes this bank, with interrupts off.
    let counters = unsafe { &mut *counters };
    add(&mut counters.waits, 1);
    add(&mut counters.wait_ns, wait);
    add(&mut counters.wait_units_squared, wait_units_squared(wait));
    let on_cpu_ns = exec.wrapping_sub(state.exec_ns);
    add(&mut counters.on_cpu_ns, on_cpu_ns);
    add(&mut state.pages.on_cpu_ns, on_cpu_ns);
    let gave_up = u64::from(voluntary != state.voluntary);
    add(&mut counters.voluntary, gave_up);
    add(&mut counters.involuntary, 1 - gave_up);
    if let Some(bucket) = counters.buckets.get_mut(wait_bucket(wait)) {
        *bucket = bucket.wrapping_add(1);
    }
}

/// Writes down what a task has waited until now, and returns what it had when it last left.
#[inline(always)]
fn exchange(pid: u32, run_delay_ns: u64, state: &CpuState) -> Option<u64> {
    let entry = TASK_WAITS.get_ptr_mut(task_index(pid))?;
    // SAFETY: the pointer comes from the map. A task leaves one CPU at a time; two tasks that share an entry can tear
    // it, which `wait_ns` notices or which costs one wait before a migration.
    let entry = unsafe { &mut *entry };
    let before = (entry.pid == pid).then_some(entry.run_delay_ns);
    *entry = TaskWait {
        run_delay_ns,
        pid,
        _pad: 0,
    };
    if before.is_none() {
        // A task that had never run had never waited before this.
        if state.exec_ns == 0 {
            return Some(0);
        }
        lost(loss::WAIT_FALLBACK);
    }
    before
}

#[inline(always)]
fn come(ctx: &BtfTracePointContext, state: &mut CpuState) {
    let next: *const u8 = ctx.arg(2);
    // SAFETY: the third argument of this tracepoint is the task that comes; offsets and types are from BTF.
    unsafe {
        state.pid = field::<_, TASK_PID>(next);
        if state.pid == 0 {
            state.slot = sentinel_common::id::SLOT_OTHER;
            return;
        }
        state.run_delay_ns = field::<_, TASK_RUN_DELAY>(next);
        state.exec_ns = field::<_, TASK_EXEC>(next);
        state.voluntary = field::<_, TASK_NVCSW>(next);
        state.slot = of_task(next);
    }
}
