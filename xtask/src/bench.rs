//! `bench`: what sentinel costs on this machine. Builds as the caller; measures as root. Knows which tool each part
//! uses, and nothing of how it measures.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::{
    process, run, setup,
    test::needs::{self, For},
    trial,
    workspace::Workspace,
};

/// Sets up, builds and measures; exit code 1 when a bound was broken.
pub(crate) fn bench(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    setup::setup(workspace)?;
    let agent = run::build_agent(workspace)?;
    let programs = trial::build(workspace)?;
    if !args.iter().any(|arg| arg == "--help" || arg == "-h") {
        needs::find_or_install(For::Bench)?;
    }
    let envs = [("SENTINEL_BIN", agent.display().to_string())];
    let mut command = process::as_root(&programs.join("sentinel-bench"), &envs)?;
    let status = command
        .args(args)
        .status()
        .with_context(|| format!("{} could not be started", process::shown(&command)))?;
    // 0 and 1 say how the bounds did, 2 that the command line was wrong.
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}
