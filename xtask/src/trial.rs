//! `trial`: the shipped agent against real faults on this machine. Builds as the caller; the trials run as root. Knows
//! which trial needs which program and nothing of what a trial does.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};

use crate::{
    process, run, setup,
    test::needs::{self, For},
    workspace::Workspace,
};

/// Sets up, builds and runs one trial; exit code 1 when a bound was broken.
pub(crate) fn trial(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    setup::setup(workspace)?;
    needs::find_or_install(For::Contracts)?;
    let agent = run::build_agent(workspace)?;
    let program = build(workspace)?;
    let envs = [("SENTINEL_BIN", agent.display().to_string())];
    let mut command = process::as_root(&program, &envs)?;
    let status = command
        .args(args)
        .status()
        .with_context(|| format!("{} could not be started", process::shown(&command)))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Builds the trials and the loads they start; the program.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    println!("trials: building");
    let mut command = run::cargo(workspace);
    command.args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "sentinel-tests",
        "--bins",
        "--target-dir",
    ]);
    process::run(command.arg(workspace.target())).context("the trials could not be built")?;
    Ok(workspace.target().join("release").join("sentinel-trial"))
}
