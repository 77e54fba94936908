//! The one way to add to a counter.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

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
    // be interrupted touches no field that the interrupt's programs write, but for `sending`, which says why it may.
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
