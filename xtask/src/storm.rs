//! `storm`: the shipped agent against a storm that never ends by itself, with and without. Builds as the caller; the storm
//! runs as root. Knows what the storm needs of the machine, and nothing of what it does.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::{
    apt, process, run, setup,
    test::needs::{self, For},
    trial,
    workspace::Workspace,
};

/// Sets up, builds and runs it; exit code 1 when a bound was broken.
pub(crate) fn storm(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    setup::setup(workspace)?;
    let agent = run::build_agent(workspace)?;
    let program = trial::build(workspace)?.join("sentinel-storm");
    needs::find_or_install(For::Contracts)?;
    if args.iter().any(|arg| arg.contains("nginx")) && process::which("nginx").is_none() {
        apt::install(&["nginx-light"], "the gateway of this storm")?;
    }
    let envs = [("SENTINEL_BIN", agent.display().to_string())];
    let mut command = process::as_root(&program, &envs)?;
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
