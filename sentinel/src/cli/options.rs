//! Options that several commands share.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, ValueEnum};

use super::{Command, Failure};
use crate::{
    act::{actuator::DEFAULT_JOURNAL, control::server},
    config::{Autonomy, Config, parse_time},
    judge::verdict::Level,
    single::DEFAULT_PATH,
};

/// Watches run-queues, page allocations and sockets through eBPF, and names the service that is about to fail
#[derive(Debug, Parser)]
#[command(
    name = "sentinel",
    version,
    after_help = "Exit codes: 0 done; 1 failed while running; 2 bad usage or configuration; 3 this host cannot; 4 --fail-on was reached."
)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Args)]
pub(super) struct Configured {
    /// Configuration file; without it /etc/sentinel/sentinel.toml, where that exists
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Time between ticks, 100ms to 60s; overrides the file
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) interval: Option<Duration>,
    /// What may be done without asking: observe, approve or auto; overrides the file
    #[arg(long, value_name = "LEVEL")]
    pub(super) autonomy: Option<Autonomy>,
}

impl Configured {
    /// The checked configuration.
    pub(super) fn load(&self) -> Result<Config, Failure> {
        let mut config = Config::load(self.config.as_deref()).map_err(Failure::usage)?;
        if let Some(interval) = self.interval {
            config = config.with_interval(interval).map_err(Failure::usage)?;
        }
        if let Some(autonomy) = self.autonomy {
            config = config.with_autonomy(autonomy);
        }
        Ok(config)
    }
}

/// How long, and beside whom, a command runs on this host.
#[derive(Debug, Args)]
pub(super) struct Running {
    /// End after this time; without it, on Ctrl-C or SIGTERM
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) duration: Option<Duration>,
    /// Lock that keeps a second agent from starting
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub(super) lock: PathBuf,
    /// Print debugging records of the kernel programs
    #[arg(long)]
    pub(super) debug_kernel: bool,
}

/// Where what acts keeps its things.
#[derive(Debug, Args)]
pub(super) struct Acts {
    /// Socket for `sentinel veto`
    #[arg(long, value_name = "FILE", default_value = server::DEFAULT_PATH)]
    pub(super) control: PathBuf,
    /// Record of what was found before each change of a cgroup's file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_JOURNAL)]
    pub(super) journal: PathBuf,
}

/// What is printed.
#[derive(Debug, Args)]
pub(super) struct Printing {
    /// What standard output carries
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
    /// Print a verdict for every signal at every reading, not only for changes of level
    #[arg(long)]
    pub(super) every_tick: bool,
    /// End with exit code 4 when a verdict reaches this level
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(super) fail_on: Option<FailOn>,
}

/// What standard output carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Text for a reader
    Text,
    /// One JSON object per verdict and outcome
    Json,
    /// Nothing; verdicts go to the journal only
    None,
}

/// Levels that can end a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// Worth a look
    Watch,
    /// Worth acting
    Veto,
}

impl From<FailOn> for Level {
    fn from(level: FailOn) -> Self {
        match level {
            FailOn::Watch => Self::Watch,
            FailOn::Veto => Self::Veto,
        }
    }
}
