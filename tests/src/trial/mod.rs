//! Trials: the shipped agent against real faults on the running kernel, repeated, measured and held against bounds.
//!
//! Each file is one trial: what it does to the machine, what it measures and which bound it holds. Whatever it starts
//! lives in cgroups of its own and is gone afterwards.

pub mod figures;
pub mod leak;
pub mod machine;
pub mod overload;
pub mod quiet;
pub mod recording;
pub mod recordings;
pub mod report;
pub mod run_queue;
mod scenes;
pub mod stage;
pub mod storm;
pub mod work;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use report::Report;

/// Real runs on this kernel, each with a measured figure; exit code 1 when a bound is broken.
#[derive(Debug, Parser)]
#[command(name = "sentinel-trial", bin_name = "cargo xtask trial")]
pub struct Cli {
    #[command(subcommand)]
    trial: Trial,
    /// Print one JSON object instead of tables
    #[arg(long, global = true)]
    json: bool,
    /// Keep what the agent measured, compressed, in this directory
    #[arg(long, global = true, value_name = "DIR")]
    record: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Trial {
    /// Onset of a retry storm to its veto
    Storm(storm::Storm),
    /// Transient overload told from one that sustains itself
    Overload(overload::Overload),
    /// Busy tasks: as many as CPUs are silent, more are flagged, in order
    RunQueue(run_queue::RunQueue),
    /// Forecasts of exhaustion against the time it really took, each leak under a `memory.max` of its own
    Leak(leak::Leak),
    /// Ordinary work, about which nothing is to be said
    Quiet(quiet::Quiet),
    /// Scenes for the corpus, each recorded and labelled
    Recordings(recordings::Recordings),
}

impl Cli {
    /// Runs the trial and prints its report; true when every bound held.
    ///
    /// # Errors
    /// What kept it from measuring.
    pub fn run(&self) -> Result<bool> {
        let report = self.trial.run(&stage::Keep {
            dir: self.record.clone(),
        })?;
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            println!("{report}");
        }
        Ok(report.held())
    }
}

impl Trial {
    fn run(&self, keep: &stage::Keep) -> Result<Report> {
        match self {
            Self::Storm(trial) => trial.run(keep),
            Self::Overload(trial) => trial.run(keep),
            Self::RunQueue(trial) => trial.run(keep),
            Self::Leak(trial) => trial.run(keep),
            Self::Quiet(trial) => trial.run(keep),
            Self::Recordings(trial) => trial.run(keep),
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
