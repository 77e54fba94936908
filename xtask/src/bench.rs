//! `bench`: what sentinel costs on this machine. Builds as the caller; measures as root. Knows which tool each part
//! uses, and nothing of how it measures.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    process, programs, run, setup,
    test::needs::{self, For},
    workspace::Workspace,
};

/// Sets up, builds and measures; exit code 1 when a bound was broken.
pub(crate) fn bench(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    setup::setup(workspace)?;
    let agent = run::build_agent(workspace)?;
    let programs = programs::build(workspace, &["--bins"])?;
    if !args.iter().any(|arg| arg == "--help" || arg == "-h") {
        needs::find_or_install(For::Bench)?;
    }
    let envs = [("SENTINEL_BIN", agent.display().to_string())];
    programs::run(process::as_root(&programs.join("sentinel-bench"), &envs)?, args)
}
