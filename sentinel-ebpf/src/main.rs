//! sentinel's kernel programs: they count what passes a hook into maps, hold to a policy where there is one, and never
//! judge.
//!
//! Owns: the maps and the programs. Comes in: field offsets and sizes, set as constants before load, and policies.
//! Goes out: counters that only grow, and rare events. Programs in `sense` never stop, delay or change what they watch;
//! those in `enforce` are loaded only when the agent may act.
#![no_std]
#![no_main]
#![allow(
    internal_features,
    reason = "BPF has no compare-and-swap: core's atomics do not build, the intrinsic does"
)]
#![feature(asm_experimental_arch, core_intrinsics)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![allow(
    unreachable_pub,
    reason = "a program is exported to the kernel by its section, not by its path"
)]

mod cost;
mod count;
mod emit;
mod enforce;
mod field;
mod maps;
mod offsets;
mod sense;
mod slots;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
