//! Pages allocated and freed, for the cgroup whose task was on the CPU. No program runs when a page is: the kernel counts them on each
//! CPU anyway (`vm_event_states`), and whoever was on the CPU since the last reading has what was added.
//!
//! Read when another cgroup comes, after some time on CPU, after some movements of resident pages, and with each sample of the run-queue, where the
//! kernel lets it be sampled. Pages allocated in an interrupt count for the task it interrupted, on an idle CPU for the one that was there last.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use sentinel_common::{
    cost::OF_MEM,
    loss,
    mem::{MOST_PAGES, PAGE_EVENTS, PAGE_ZONES},
    sched::CpuState,
};

use super::{mem::counters, run_queue};
use crate::{
    cost::{self, Program},
    count::{add, cpu, enter, leave, lost},
    offsets::{PAGES_FREED, PAGES_FROM_RQ, ZONES},
};

/// Time on CPU after which pages are read although nobody else comes: whoever runs often and briefly is not read each time, and
/// at most some hundred pages wait to be counted.
const READ_AFTER_NS: u64 = 100_000;

/// A task has left this CPU and another has come, or none: reads if there is a reason to.
#[inline(always)]
pub(super) fn switched(state: &mut CpuState) {
    let other = state.pid != 0 && state.slot != state.pages.slot;
    if other || state.pages.on_cpu_ns >= READ_AFTER_NS {
        count(state);
        if other {
            state.pages.slot = state.slot;
        }
    }
}

/// Reads and counts. A function of its own, so that it takes neither room nor registers at switches after which nothing is read.
#[inline(never)]
pub(super) fn count(state: &mut CpuState) {
    // Also where nothing comes of it: once in that time is often enough to find out.
    state.pages.on_cpu_ns = 0;
    if ZONES.load() != 0 && !cost::run_on::<Pages>(core::ptr::null_mut(), state) {
        // What comes until the sensor is switched on again is nobody's.
        state.pages.address = 0;
    }
}

struct Pages;

impl Program for Pages {
    const SENSOR: usize = OF_MEM;
    type Context = ();

    #[inline(always)]
    fn work(_: *mut (), state: &mut CpuState) {
        add_up(state);
    }
}

/// The same, as a part of what a program of the sensor does. A sample of the run-queue comes in an interrupt: where one comes while this
/// goes on, it leaves the counts to it.
#[inline(never)]
pub(super) fn add_up(state: &mut CpuState) {
    if enter(&mut state.pages.reading) {
        if state.pages.address == 0 {
            begin(state);
        } else {
            add_what_came(state);
        }
        leave(&mut state.pages.reading);
    }
}

#[inline(always)]
fn add_what_came(state: &mut CpuState) {
    let Some((allocated, freed)) = read(state.pages.address) else {
        lost(loss::PAGES_UNREAD);
        return;
    };
    let more = (
        allocated.wrapping_sub(state.pages.allocated),
        freed.wrapping_sub(state.pages.freed),
    );
    (state.pages.allocated, state.pages.freed) = (allocated, freed);
    if more.0 > MOST_PAGES || more.1 > MOST_PAGES {
        lost(loss::PAGES_MOVED);
        return;
    }
    if let Some(counters) = counters(state, state.pages.slot) {
        add(&mut counters.allocated_pages, more.0);
        add(&mut counters.freed_pages, more.1);
    }
}

/// Finds this CPU's counts. What they were before is nobody's.
#[cold]
#[inline(always)]
fn begin(state: &mut CpuState) {
    let Ok(rq) = run_queue::of_cpu(cpu()) else {
        return;
    };
    let address = (rq as u64).wrapping_add(PAGES_FROM_RQ.load());
    if let Some((allocated, freed)) = read(address) {
        (state.pages.allocated, state.pages.freed) = (allocated, freed);
        (state.pages.address, state.pages.slot) = (address, state.slot);
    }
}

/// Pages allocated and freed on this CPU since the machine was started.
#[inline(always)]
fn read(address: u64) -> Option<(u64, u64)> {
    let mut events = [const { MaybeUninit::<u64>::uninit() }; PAGE_EVENTS];
    let (zones, freed) = (ZONES.load(), PAGES_FREED.load());
    if zones as usize > PAGE_ZONES || freed as usize >= PAGE_EVENTS {
        return None;
    }
    let bytes = (freed + 1) * size_of::<u64>() as u32;
    // SAFETY: the buffer is as long or longer; the helper checks the address and reports a fault as an error.
    if unsafe { bpf_probe_read_kernel(events.as_mut_ptr().cast(), bytes, address as *const _) } != 0 {
        return None;
    }
    // SAFETY: the helper wrote the words up to `freed`, and the zones come before that; the verifier checks it.
    let word = |index: usize| unsafe { events[index].assume_init() };
    let mut allocated = 0u64;
    for zone in 0..PAGE_ZONES {
        if zone < zones as usize {
            allocated = allocated.wrapping_add(word(zone));
        }
    }
    Some((allocated, word(freed as usize)))
}
