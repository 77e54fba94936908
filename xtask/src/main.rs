//! Everything a developer or CI runs: parses the command line, calls one task, turns its end into an exit code.
//! 0 done, 1 failed, 2 bad usage, 3 this machine lacks something that could not be installed.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod apt;
mod bpf;
mod check;
mod layers;
mod linker;
mod process;
mod report;
mod run;
mod setup;
mod toolchain;
mod workspace;

/// What a developer or CI runs.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Finds or installs what the eBPF half needs, and builds its object.
    Setup,
    /// Format, clippy and layers: what needs no kernel.
    Check,
    /// Checks the order of the stages and the other rules of the house.
    Layers,
    /// Sets up, builds the agent and runs `sentinel run` as root.
    Run {
        /// Arguments for `sentinel run`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match perform(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            let lacking = error.chain().any(|cause| cause.is::<process::Missing>());
            ExitCode::from(if lacking { 3 } else { 1 })
        }
    }
}

fn perform(task: Task) -> Result<ExitCode> {
    let workspace = workspace::Workspace::new();
    match task {
        Task::Setup => setup::setup(&workspace).map(drop)?,
        Task::Check => {
            let tools = setup::setup(&workspace)?;
            let mut report = report::Report::default();
            check::check(&workspace, &tools, &mut report);
            return Ok(report.end());
        }
        Task::Layers => layers::check(workspace.root())?,
        Task::Run { args } => run::run(&workspace, &args)?,
    }
    Ok(ExitCode::SUCCESS)
}
