//! From counters to samples: differences over elapsed time, per scope.
#![forbid(unsafe_code)]

pub mod record;
pub mod replay;
pub mod sample;

pub use sample::Sample;
