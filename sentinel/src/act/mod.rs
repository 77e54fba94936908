//! From verdicts to plans, and from plans to outcomes.
#![forbid(unsafe_code)]

pub mod outcome;

pub use outcome::Outcome;
