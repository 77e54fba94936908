//! `score`: builds the corpus and its judge as they are shipped, and runs them. Needs neither root nor a kernel.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::{process, run, setup, workspace::Workspace};

/// Runs `sentinel-score` with these arguments; its exit code is the task's: 1 when a bound is broken.
pub(crate) fn score(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    // The agent's library carries the eBPF object, though nothing here loads it.
    if std::env::var_os("SENTINEL_BPF_OBJECT").is_none() && !workspace.bpf_object().is_file() {
        setup::setup(workspace)?;
    }
    let mut build = run::cargo(workspace);
    build.args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "sentinel-tests",
        "--bin",
        "sentinel-score",
    ]);
    build.arg("--target-dir").arg(workspace.target());
    process::run(&mut build).context("the corpus could not be built")?;
    let mut command = std::process::Command::new(workspace.target().join("release").join("sentinel-score"));
    let status = command
        .args(args)
        .status()
        .with_context(|| format!("{} could not be started", process::shown(&command)))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
