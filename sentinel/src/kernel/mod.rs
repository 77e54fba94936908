//! The only user of aya and the only unsafe code of the agent.
//!
//! Owns: the loaded object, its links and its maps. Comes in: options. Goes out: counters as the kernel keeps them.
//! Never judges, never takes a difference, never names a cgroup. Dropping [`Kernel`] detaches everything that counts,
//! dropping an [`enforce::Enforcer`] everything that refuses.

mod attach;
mod btf;
mod cost;
mod counters;
pub mod enforce;
mod error;
mod fields;
pub mod footprint;
mod give_back;
mod layout;
mod mapped;
mod object;
mod offsets;
mod pace;
pub mod support;
mod watch;

pub use attach::RUN_QUEUE_HZ;
pub use btf::{Btf, BtfError};
pub use cost::OfCpu;
pub use counters::CpuSamples;
pub use error::{KernelError, describe};
pub use give_back::unused as give_back_unused;
pub use layout::missing;
pub use object::{Kernel, Options, ProgramFacts, Sensor};
pub use pace::Pace;
