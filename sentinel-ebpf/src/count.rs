//! The one way to add to a counter.

use core::{
    intrinsics::{AtomicOrdering, atomic_xadd},
    ptr::{read_volatile, write_volatile},
};

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use sentinel_common::{loss::LOSSES, sched::CpuState};

use crate::maps::{CPU_STATE, LOSS};

/// This CPU.
#[inline(always)]
pub(crate) fn cpu() -> u32 {
    // SAFETY: the helper takes nothing and only returns a number.
    unsafe { bpf_get_smp_processor_id() }
}

/// What this CPU remembers.
#[inline(always)]
pub(crate) fn cpu_state() -> Option<&'static mut CpuState> {
    let state = CPU_STATE.get_ptr_mut(cpu())?;
    // SAFETY: the pointer comes from the map, which outlives the program, and only this CPU uses this entry. What may
    // be interrupted touches no field that the interrupt's programs write, but for what [`enter`] guards.
    Some(unsafe { &mut *state })
}

/// Adds where nothing else can run on this CPU between reading and writing, or where one count in a hundred thousand
/// does not matter: the counter is this CPU's own.
#[inline(always)]
pub(crate) fn add(counter: &mut u64, n: u64) {
    *counter = counter.wrapping_add(n);
}

/// Adds where an interrupt on this CPU may add to the same counter in between.
#[inline(always)]
pub(crate) fn add_atomic(counter: &mut u64, n: u64) {
    // SAFETY: the reference is valid and aligned.
    unsafe {
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, n);
    }
}

/// Marks that this CPU begins something during which an interrupt may come that does the same; `false` where it is such an interrupt.
#[inline(always)]
pub(crate) fn enter(taken: &mut u32) -> bool {
    // SAFETY: reads and writes of a reference's target; `volatile` and the barrier keep them where they are.
    unsafe {
        if read_volatile(&raw const *taken) != 0 {
            return false;
        }
        write_volatile(&raw mut *taken, 1);
    }
    barrier();
    true
}

/// It is over.
#[inline(always)]
pub(crate) fn leave(taken: &mut u32) {
    barrier();
    // SAFETY: a write to a reference's target.
    unsafe { write_volatile(&raw mut *taken, 0) };
}

/// Keeps the compiler from moving memory accesses across. The machine's own order does not matter: what comes in between
/// runs on the same CPU.
#[inline(always)]
fn barrier() {
    // SAFETY: no instruction at all.
    unsafe { core::arch::asm!("", options(nostack)) };
}

/// Notes a loss, by its index in [`sentinel_common::loss`]. A function of its own, so that what is rare takes no room
/// where every event passes.
#[cold]
#[inline(never)]
pub(crate) fn lost(kind: usize) {
    if let Some(counter) = LOSS.get_ptr_mut(cpu() * LOSSES as u32 + kind as u32) {
        // SAFETY: the pointer comes from the map and is valid for the run of the program.
        add_atomic(unsafe { &mut *counter }, 1);
    }
}
