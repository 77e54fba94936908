//! Whether the programs of a sensor are to run, and what some of their runs take.
//!
//! User space asks for some runs on each CPU to be timed. What reading the clock takes is taken off: it is measured with each
//! of them, because it depends on the caches as they are then. All other runs pay nothing for that: one look tells that
//! they neither are timed nor switched off.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::bpf_ktime_get_ns;
use sentinel_common::{
    cost::{COUNTED_RUNS, LONGEST_RUN_NS, left, left_byte, off},
    sched::CpuState,
};

use crate::count::{add, cpu_state};

/// What a program does for one event.
pub(crate) trait Program {
    /// Whose it is.
    const SENSOR: usize;
    /// Whether the event is one that the sensor counts.
    const COUNTED: bool = true;
    /// What the kernel gives it.
    type Context;

    /// To be inlined, always: a call costs a third of what the work does.
    fn work(context: *mut Self::Context, state: &mut CpuState);
}

/// Does a program's work for one event; `false` where its sensor is switched off.
#[inline(always)]
pub(crate) fn run<P: Program>(context: *mut P::Context) -> bool {
    cpu_state().is_none_or(|state| run_on::<P>(context, state))
}

/// The same, where what this CPU remembers is known already.
#[inline(always)]
pub(crate) fn run_on<P: Program>(context: *mut P::Context, state: &mut CpuState) -> bool {
    // SAFETY: a read of a reference's target, which user space writes to meanwhile.
    let control = unsafe { read_volatile(&raw const state.control) };
    if control & (off(P::SENSOR) | left(P::SENSOR, u8::MAX)) == 0 {
        count::<P>(state);
        P::work(context, state);
        return true;
    }
    let on = control & off(P::SENSOR) == 0;
    if on {
        count::<P>(state);
        run_timed::<P>(context, state);
    }
    on
}

#[inline(always)]
fn count<P: Program>(state: &mut CpuState) {
    if P::COUNTED {
        let events = &mut state.events[P::SENSOR];
        *events = events.wrapping_add(1);
    }
}

/// A function of its own, so that what is rare takes neither room nor registers where every event passes.
#[cold]
#[inline(never)]
fn run_timed<P: Program>(context: *mut P::Context, state: &mut CpuState) {
    begin(state, P::SENSOR);
    P::work(context, state);
    end(state, P::SENSOR, P::COUNTED);
}

/// One run fewer is left to be timed, and this one begins. If user space asks anew meanwhile it gets some runs fewer, and an
/// interrupt may have had the last one.
#[inline(always)]
fn begin(state: &mut CpuState, sensor: usize) {
    // SAFETY: a byte of a reference's target.
    let remaining = unsafe {
        let left = (&raw mut state.control).cast::<u8>().add(left_byte(sensor));
        let remaining = read_volatile(left).saturating_sub(1);
        write_volatile(left, remaining);
        remaining
    };
    let timed = &mut state.timed[sensor];
    timed.left = u64::from(remaining);
    let asked_ns = clock_ns();
    let began_ns = clock_ns();
    (timed.began_ns, timed.clock_ns) = (began_ns, began_ns.wrapping_sub(asked_ns));
}

#[inline(always)]
fn end(state: &mut CpuState, sensor: usize, counted: bool) {
    let ended_ns = clock_ns();
    let timed = &mut state.timed[sensor];
    let took_ns = ended_ns.wrapping_sub(timed.began_ns);
    if timed.left < COUNTED_RUNS && took_ns <= LONGEST_RUN_NS {
        add(&mut timed.ns, took_ns.wrapping_sub(timed.clock_ns));
        add(&mut timed.events, u64::from(counted));
    }
}

#[inline(always)]
fn clock_ns() -> u64 {
    // SAFETY: the helper takes nothing and only returns a number.
    unsafe { bpf_ktime_get_ns() }
}
