//! From samples to verdicts. Pure: no clock, no I/O, no randomness; the same samples give the same verdicts.
#![forbid(unsafe_code)]

pub mod verdict;

pub use verdict::Verdict;
