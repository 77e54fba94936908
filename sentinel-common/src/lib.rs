//! What the kernel programs and the agent both say.
//!
//! Owns: the layout of every record in a kernel map, the indices and sentinels in them, the names of maps and
//! programs, and the arithmetic the kernel runs (tested here, on the host). Never allocates, never reads a clock,
//! never judges. Every record is `repr(C)`, integers only, padding written out, size asserted beside it.
#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod budget;
pub mod cost;
pub mod event;
pub mod field;
pub mod histogram;
pub mod id;
pub mod loss;
pub mod mem;
pub mod names;
pub mod net;
pub mod sched;

/// Implements `aya::Pod` for records that hold integers only and no implicit padding.
macro_rules! pod {
    ($($record:ty),+ $(,)?) => {$(
        // SAFETY: the record is `repr(C)`, `Copy`, holds integers only, and every padding byte is a named field.
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $record {}
    )+};
}
pub(crate) use pod;
