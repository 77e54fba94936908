//! From counters to samples: differences over elapsed time, per scope.
#![forbid(unsafe_code)]

pub mod cgroups;
pub mod limits;
pub mod mount;
pub mod naming;
pub mod sample;

pub use sample::Sample;
