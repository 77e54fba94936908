//! Real runs on this kernel, each with a measured figure: `cargo xtask trial`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use sentinel_tests::trial::Cli;

fn main() -> anyhow::Result<ExitCode> {
    let held = Cli::parse().run()?;
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
