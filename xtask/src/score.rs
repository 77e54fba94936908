//! `score`: builds the corpus and its judge as they are shipped, and runs them. Needs neither root nor a kernel.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{programs, setup, workspace::Workspace};

/// Runs `sentinel-score` with these arguments; its exit code is the task's: 1 when a bound is broken.
pub(crate) fn score(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    // The agent's library carries the eBPF object, though nothing here loads it.
    if std::env::var_os("SENTINEL_BPF_OBJECT").is_none() && !workspace.bpf_object().is_file() {
        setup::setup(workspace)?;
    }
    let folder = programs::build(workspace, &["--bin", "sentinel-score"])?;
    programs::run(Command::new(folder.join("sentinel-score")), args)
}
