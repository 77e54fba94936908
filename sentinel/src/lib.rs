//! The agent: reads counters from the kernel, judges them, acts on verdicts, and shows what it saw.
//!
//! One direction: `time, single, config < privileges < kernel < sense < judge < memory < act < prove < show < agent < cli`. Plain data with public
//! fields passes between the stages; `agent` alone knows their order.

pub mod act;
pub mod agent;
pub mod cli;
pub mod config;
pub mod judge;
pub mod kernel;
pub mod memory;
pub mod privileges;
pub mod sense;
pub mod show;
pub mod single;
pub mod time;
