//! Run-queue length of each CPU, sampled by a timer. The length counts the running task; 0 is idle.

use aya_ebpf::{
    helpers::{bpf_get_current_task, bpf_probe_read_kernel},
    macros::perf_event,
    programs::PerfEventContext,
};
use sentinel_common::loss;

use super::pages;
use crate::{
    count::{add, cpu, cpu_state, lost},
    maps::RUN_QUEUE,
    offsets::{CFS_RQ_RQ, RQ_CPU, RQ_HAS_DELAYED, RQ_NR_RUNNING, RQ_QUEUED, RQ_RUNNABLE, TASK_CFS_RQ},
};

/// The timer fired on this CPU.
#[perf_event]
pub fn run_queue(_ctx: PerfEventContext) -> u32 {
    match try_run_queue() {
        Ok(()) => {}
        Err(kind) => lost(kind),
    }
    0
}

#[inline(always)]
fn try_run_queue() -> Result<(), usize> {
    let cpu = cpu();
    let rq = of_cpu(cpu)?;
    let length: u32 = read(rq, RQ_NR_RUNNING.load())?;
    let mut length = u64::from(length);
    if RQ_HAS_DELAYED.load() != 0 {
        // From 6.12 on a sleeping task may stay queued for a while; it is not waiting to run.
        let queued: u32 = read(rq, RQ_QUEUED.load())?;
        let runnable: u32 = read(rq, RQ_RUNNABLE.load())?;
        length = length.saturating_sub(u64::from(queued.saturating_sub(runnable)));
    }
    if let Some(state) = cpu_state() {
        pages::count(state);
    }
    let counters = RUN_QUEUE.get_ptr_mut(cpu).ok_or(loss::RUN_QUEUE_UNREAD)?;
    // SAFETY: the pointer comes from the map, and only this CPU's timer writes this entry.
    let counters = unsafe { &mut *counters };
    add(&mut counters.samples, 1);
    add(&mut counters.length, length);
    add(&mut counters.length_squared, length * length);
    Ok(())
}

/// The run-queue of this CPU.
#[inline(always)]
pub(super) fn of_cpu(cpu: u32) -> Result<*const u8, usize> {
    // SAFETY: the helper takes nothing; what it returns is only read through the checked reads below.
    let task = unsafe { bpf_get_current_task() } as *const u8;
    let cfs_rq: u64 = read(task, TASK_CFS_RQ.load())?;
    let rq: u64 = read(cfs_rq as *const u8, CFS_RQ_RQ.load())?;
    let rq = rq as *const u8;
    let of_cpu: u32 = read(rq, RQ_CPU.load())?;
    if of_cpu != cpu {
        return Err(loss::RUN_QUEUE_OTHER_CPU);
    }
    Ok(rq)
}

#[inline(always)]
fn read<T>(base: *const u8, offset: u32) -> Result<T, usize> {
    // SAFETY: the helper checks the address and reports a fault as an error.
    unsafe { bpf_probe_read_kernel(base.add(offset as usize).cast::<T>()) }.map_err(|_| loss::RUN_QUEUE_UNREAD)
}
