//! The command line: what can be asked for, and with which exit code it ends.
#![forbid(unsafe_code)]

mod acting;
mod actuator;
mod check;
mod check_self;
mod config;
mod descriptors;
mod documents;
mod guard;
mod judge;
mod log;
mod options;
mod record;
mod reload;
mod replay;
mod rights;
mod run;
mod status;
mod top;
mod veto;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use options::Cli;

use crate::kernel::describe;

/// Exit codes.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// Failed while running.
    pub const FAILED: u8 = 1;
    /// Bad usage or configuration.
    pub const USAGE: u8 = 2;
    /// This host cannot.
    pub const HOST: u8 = 3;
    /// `--fail-on` was reached.
    pub const REACHED: u8 = 4;
}

/// Why a command ended early: what to say, and the exit code.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    fn new(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self {
            code,
            error: error.into(),
        }
    }

    fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::new(exit::USAGE, error)
    }

    fn host(error: impl Into<anyhow::Error>) -> Self {
        Self::new(exit::HOST, error)
    }
}

/// What fails without saying more has failed while running.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(exit::FAILED, error)
    }
}

/// Parses the command line and does what it asks for.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match dispatch(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(Failure { code, error }) => {
            say(&describe(error.as_ref()));
            ExitCode::from(code)
        }
    }
}

/// Help and version go to standard output as they are; a mistake becomes one sentence.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        print!("{error}");
        return ExitCode::from(exit::DONE);
    }
    let text = error.to_string();
    let said = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:"))
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let said: Vec<_> = said.map(|line| line.trim_start_matches("error: ")).collect();
    say(&format!("{}; see `sentinel --help`", said.join("; ")));
    ExitCode::from(exit::USAGE)
}

/// One line on standard error, whatever it is made of.
fn say(text: &str) {
    eprintln!("sentinel: {}", crate::show::escape::line(&text.replace('\n', " ")));
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch this host until told to stop
    Run(run::Options),
    /// Say what this host offers, and what is missing
    Check(check::Options),
    /// Ask the running agent how this host is, once
    Status(status::Options),
    /// Show the running agent live on this terminal, with keys; watches by itself where none runs
    Top(top::Options),
    /// Judge a recording again; needs no privileges
    Replay(replay::Options),
    /// Score every point of metric series, from a file or as they come
    Judge(judge::Options),
    /// Write every sample to a file, judging nothing
    Record(record::Options),
    /// Show, approve, lift or apply what is done to cgroups; asks the running agent
    Veto(veto::Options),
    /// Show or check the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Print a JSON schema
    Schema(documents::Schema),
    /// Print completions for a shell
    Completions(documents::Completions),
    /// Print the manual page, or write those of all commands
    Man(documents::Man),
    /// Hold what the agent changes, and put it back when the agent is gone; started by the agent itself
    #[command(hide = true)]
    Guard(guard::Options),
    /// Act for the agent, which has no rights; started by the agent itself
    #[command(hide = true)]
    Actuator(actuator::Options),
}

fn dispatch(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Run(options) => run::run(&options),
        Command::Actuator(options) => actuator::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Status(options) => status::run(&options),
        Command::Top(options) => top::run(&options),
        Command::Replay(options) => replay::run(&options),
        Command::Judge(options) => judge::run(&options),
        Command::Record(options) => record::run(&options),
        Command::Veto(options) => veto::run(&options),
        Command::Config(command) => config::run(&command),
        Command::Schema(schema) => documents::schema(&schema),
        Command::Completions(completions) => documents::completions(&completions),
        Command::Man(options) => documents::man(&options),
        Command::Guard(options) => guard::run(&options),
    }
}
