//! Movement of resident pages, by kind: tells memory that a process keeps from page cache it fills.
//!
//! The kernel reports an address space's new count; the movement is the difference to the count before. Kernels from
//! 6.2 on fold the count in batches of some dozen pages per CPU, so a movement may come late by that much.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _, helpers::bpf_probe_read_kernel, macros::btf_tracepoint, programs::BtfTracePointContext,
};
use sentinel_common::{
    cost::OF_MEM,
    field::{MM_RSS_ANON, MM_RSS_FILE, MM_RSS_SHMEM, MM_RSS_SWAP},
    loss,
    mem::{MmPages, RSS_ANON, RSS_FILE, RSS_KINDS, RSS_SWAP, Resident, mm_index},
    sched::CpuState,
};

use super::{mem::counters, pages};
use crate::{
    cost::{self, Program},
    count::{add, lost},
    field::field,
    maps::MM_PAGES,
    offsets::{MM_RSS, MM_RSS_STRIDE, RSS_BY_HELPER, ZONES},
};

/// Movements after which pages are counted too: whoever takes memory and never leaves the CPU is not seen by switches.
const COUNT_AFTER: u32 = 64;

/// A count of resident pages changed.
#[btf_tracepoint(function = "rss_stat")]
pub fn rss_stat(ctx: BtfTracePointContext) -> i32 {
    cost::run::<Movement>(ctx.as_ptr());
    0
}

struct Movement;

impl Program for Movement {
    const SENSOR: usize = OF_MEM;
    type Context = c_void;

    #[inline(always)]
    fn work(ctx: *mut c_void, state: &mut CpuState) {
        let ctx = BtfTracePointContext::new(ctx);
        let mm: *const u8 = ctx.arg(0);
        let kind: u32 = ctx.arg(1);
        if kind as usize >= RSS_KINDS {
            return;
        }
        let Some(pages) = read(mm, kind) else {
            lost(loss::RSS_UNREAD);
            return;
        };
        let now = Resident {
            mm: identity(mm),
            // A batched count may read below zero for a moment.
            pages: pages.clamp(0, i64::from(u32::MAX)) as u32,
        };
        // Of the reports of a count that is folded in batches most tell nothing new.
        if state.resident[kind as usize] != now {
            state.resident[kind as usize] = now;
            moved(state, kind as usize);
        }
    }
}

/// Reads one count. Kernels up to 6.1 wrap it in a type that their verifier does not see through: there the helper
/// reads it.
#[inline(always)]
fn read(mm: *const u8, kind: u32) -> Option<i64> {
    if RSS_BY_HELPER.load() != 0 {
        let offset = MM_RSS.load() + kind * MM_RSS_STRIDE.load();
        // SAFETY: the helper checks the address and reports a fault as an error.
        return unsafe { bpf_probe_read_kernel(mm.add(offset as usize).cast::<i64>()) }.ok();
    }
    // SAFETY: the first argument is an address space; offsets and types are from BTF. Each offset is a constant of its
    // own because the verifier takes no computed one.
    Some(unsafe {
        match kind as usize {
            RSS_FILE => field::<_, MM_RSS_FILE>(mm),
            RSS_ANON => field::<_, MM_RSS_ANON>(mm),
            RSS_SWAP => field::<_, MM_RSS_SWAP>(mm),
            _ => field::<_, MM_RSS_SHMEM>(mm),
        }
    })
}

/// The low half of an address: enough to tell address spaces apart, and the only part of a typed pointer that the
/// verifier lets be used as a number.
#[inline(always)]
fn identity(mm: *const u8) -> u32 {
    let low: u32;
    // SAFETY: copies one register. Written out, because the compiler would shift the pointer, which is not let be.
    unsafe { core::arch::asm!("w0 = w1", out("w0") low, in("r1") mm as usize, options(pure, nomem, nostack)) };
    low
}

/// A function of its own, so that it takes no room where nothing new is told.
#[inline(never)]
fn moved(state: &mut CpuState, kind: usize) {
    state.movements += 1;
    if state.movements >= COUNT_AFTER && ZONES.load() != 0 {
        state.movements = 0;
        pages::add_up(state);
    }
    if kind >= RSS_KINDS {
        return;
    }
    let Resident { mm, pages } = state.resident[kind];
    let pages = u64::from(pages);
    let Some(entry) = MM_PAGES.get_ptr_mut(mm_index(mm)) else {
        return;
    };
    // SAFETY: the pointer comes from the map. Threads of one process may write it at once: a movement is then counted
    // in part, and the next one makes up for it.
    let entry = unsafe { &mut *entry };
    if entry.mm != mm {
        *entry = MmPages {
            mm,
            ..MmPages::default()
        };
    }
    let before = entry.pages[kind];
    entry.pages[kind] = pages;
    if entry.seen & (1 << kind) == 0 {
        entry.seen |= 1 << kind;
        lost(loss::RSS_FIRST_SEEN);
        return;
    }
    if pages > before {
        entry.slot = state.slot;
    }
    if let Some(counters) = counters(state, entry.slot) {
        add(&mut counters.rss_pages[kind], pages.wrapping_sub(before));
    }
}
