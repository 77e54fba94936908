//! Do nothing. What the kernel says that these programs take is what timing a program takes: the agent subtracts it from
//! what the others take, for as long as it lets the kernel time them. One for each rhythm: timing takes several times as long
//! where it is done so rarely that the caches have forgotten it.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

/// One task leaves a CPU, another comes.
#[btf_tracepoint(function = "sched_switch")]
pub fn empty_switch(_ctx: BtfTracePointContext) -> i32 {
    0
}

/// Pages were asked for.
#[btf_tracepoint(function = "mm_page_alloc")]
pub fn empty_page(_ctx: BtfTracePointContext) -> i32 {
    0
}
