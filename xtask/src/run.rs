//! `run`: from a fresh clone to a running agent. Builds as the caller; only the agent itself runs as root.

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{process, setup, workspace::Workspace};

/// Sets up, builds, and becomes `sentinel run`; returns only if that fails.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    setup::setup(workspace)?;
    let agent = build_agent(workspace)?;
    let mut command = process::as_root(&agent, &[])?;
    if !process::is_root() {
        println!("sentinel needs root to load eBPF programs: continuing through sudo");
    }
    command.arg("run").args(args);
    let error = command.exec();
    Err(error).with_context(|| format!("{} could not be started", process::shown(&command)))
}

/// Builds the agent as it is shipped.
pub(crate) fn build_agent(workspace: &Workspace) -> Result<PathBuf> {
    println!("agent: building");
    let mut command = cargo(workspace);
    command.args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "sentinel",
        "--bin",
        "sentinel",
        "--target-dir",
    ]);
    process::run(command.arg(workspace.target())).context("the agent could not be built")?;
    Ok(workspace.target().join("release").join("sentinel"))
}

/// The cargo that runs this task, in the workspace's folder.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let cargo = std::env::var_os("CARGO").map_or_else(|| Path::new("cargo").to_path_buf(), PathBuf::from);
    let mut command = Command::new(cargo);
    command.current_dir(workspace.root());
    command
}
