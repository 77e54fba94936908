//! What sentinel costs on this machine: `cargo xtask bench`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use sentinel_tests::bench::Cli;

fn main() -> anyhow::Result<ExitCode> {
    let held = Cli::parse().run()?;
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
