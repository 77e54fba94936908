//! Does nothing. What the kernel says that this program takes is what timing a program takes: the agent subtracts it from
//! what the others take, for as long as it lets the kernel time them.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

/// One task leaves a CPU, another comes.
#[btf_tracepoint(function = "sched_switch")]
pub fn reference(_ctx: BtfTracePointContext) -> i32 {
    0
}
