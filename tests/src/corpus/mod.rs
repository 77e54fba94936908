//! The labelled corpus: hosts that are well and hosts that are not, each with what is true of it.
//!
//! A kind and a seed name one recording for good. Models are physical where it matters: CPU time is shared, waits follow
//! from contention, pages have an owner, retries follow from a policy and a back end. The noise has heavy tails and a
//! memory. Nothing here knows how a judge works, and no model is tuned to one.

pub mod cgroup;
pub mod cpu;
mod crowd;
mod faulty_cpu;
mod faulty_memory;
mod faulty_network;
mod healthy_cpu;
mod healthy_memory;
mod healthy_network;
mod kinds;
pub mod memory;
pub mod model;
pub mod network;
pub mod noise;
pub mod recorded;
pub mod scenario;
pub mod scheduler;
mod shapes;
mod totals;
pub mod truth;
mod turns;
pub mod upstream;
mod waits;

pub use kinds::{KINDS, Kind};
