//! What sentinel costs, measured on the running kernel: per hook, end to end, the daemon, memory, and over time.
//!
//! Each file is one measurement: what it does to the machine, what it reads, and which bound it holds. Runs with and
//! without alternate, so that what else the machine does falls on both. Whatever it starts is gone afterwards.

pub mod daemon;
pub mod empty;
pub mod hooks;
pub mod loads;
pub mod memory;
pub mod pairs;
pub mod peers;
pub mod run_times;
pub mod soak;
pub mod soak_bounds;
pub mod soak_churn;
pub mod soak_ledger;
pub mod soak_reading;
pub mod spread;
pub mod tools;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::trial::report::Report;

/// What sentinel costs on this machine; exit code 1 when a bound is broken.
#[derive(Debug, Parser)]
#[command(name = "sentinel-bench", bin_name = "cargo xtask bench")]
pub struct Cli {
    #[command(subcommand)]
    part: Part,
    /// Print one JSON object instead of tables
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Nanoseconds per event and hook, above an empty program
    Hooks(hooks::Hooks),
    /// CPU, memory, system calls and start of the agent itself, with few and with many cgroups
    Daemon(daemon::Daemon),
    /// Ordinary loads with and without sentinel, and beside other tools
    Pairs(pairs::Pairs),
    /// Memory of the maps, by CPUs and cgroups
    Memory(memory::Memory),
    /// The agent over an hour in which cgroups come and go and connections are made: nothing grows, leaks or is missing
    Soak(soak::Soak),
}

impl Cli {
    /// Measures and prints; true when every bound held.
    ///
    /// # Errors
    /// What kept it from measuring.
    pub fn run(&self) -> Result<bool> {
        let report = self.part.run()?;
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            println!("{report}");
        }
        Ok(report.held())
    }
}

impl Part {
    fn run(&self) -> Result<Report> {
        match self {
            Self::Hooks(part) => part.run(),
            Self::Daemon(part) => part.run(),
            Self::Pairs(part) => part.run(),
            Self::Memory(part) => part.run(),
            Self::Soak(part) => part.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
