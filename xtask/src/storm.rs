//! `storm`: the shipped agent against a storm that never ends by itself, with and without. Builds as the caller; the storm
//! runs as root. Knows what the storm needs of the machine, and nothing of what it does.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    apt, process, programs, run, setup,
    test::needs::{self, For},
    workspace::Workspace,
};

/// Sets up, builds and runs it; exit code 1 when a bound was broken.
pub(crate) fn storm(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    setup::setup(workspace)?;
    let agent = run::build_agent(workspace)?;
    let program = programs::build(workspace, &["--bins"])?.join("sentinel-storm");
    needs::find_or_install(For::Contracts)?;
    if args.iter().any(|arg| arg.contains("nginx")) && process::which("nginx").is_none() {
        apt::install(&["nginx-light"], "the gateway of this storm")?;
    }
    let envs = [("SENTINEL_BIN", agent.display().to_string())];
    programs::run(process::as_root(&program, &envs)?, args)
}
