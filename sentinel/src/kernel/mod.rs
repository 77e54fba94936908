//! The only user of aya and the only unsafe code of the agent.
//!
//! Owns: the loaded object, its links and its maps. Comes in: options. Goes out: counters as the kernel keeps them.
//! Never judges, never takes a difference, never names a cgroup. Dropping [`Kernel`] detaches everything that counts,
//! dropping an [`enforce::Enforcer`] everything that refuses.

mod attach;
mod btf;
mod counters;
pub mod enforce;
mod error;
mod layout;
mod mapped;
mod object;
mod offsets;
pub mod support;

pub use btf::{Btf, BtfError};
pub use error::{KernelError, describe};
pub use object::{Kernel, Options, ProgramFacts, Sensor};
