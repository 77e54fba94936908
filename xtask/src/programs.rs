//! The programs of `tests` that `bench`, `storm`, `trial` and `score` run: built as the caller and as they are shipped, with what their
//! command line says. Knows nothing of what they do.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};

use crate::{process, run, workspace::Workspace};

/// Builds the programs named by `which` (`--bins` for all of them and the loads they start); the folder they are in.
pub(crate) fn build(workspace: &Workspace, which: &[&str]) -> Result<PathBuf> {
    // What is measured goes to standard output, also as JSON.
    eprintln!("trials and measurements: building");
    let mut command = run::cargo(workspace);
    command.args(["build", "--quiet", "--release", "--package", "sentinel-tests"]);
    command.args(which).arg("--target-dir").arg(workspace.target());
    process::run(&mut command).context("the trials and measurements could not be built")?;
    Ok(workspace.target().join("release"))
}

/// Runs one of them; its exit code is the task's: 0 and 1 say how the bounds did, 2 that the command line was wrong.
pub(crate) fn run(mut command: Command, args: &[String]) -> Result<ExitCode> {
    let status = command
        .args(args)
        .status()
        .with_context(|| format!("{} could not be started", process::shown(&command)))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
