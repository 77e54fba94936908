//! A storm with and without sentinel, measured: `cargo xtask storm`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use sentinel_tests::storm::Cli;

fn main() -> anyhow::Result<ExitCode> {
    let held = Cli::parse().run()?;
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
