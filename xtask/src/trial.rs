//! `trial`: the shipped agent against real faults on this machine. Builds as the caller; the trials run as root. Knows
//! which trial needs what of the machine, and nothing of what a trial does.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Result;

use crate::{
    process, programs, run, setup,
    test::needs::{self, For},
    vm,
    workspace::Workspace,
};

/// Words that stand for what needs the memory controller on cgroup v2; where that is not so, it runs in a guest.
const NEEDS_MEMORY_CONTROLLER: [&str; 2] = ["leak", "leak-limit"];

/// Sets up, builds and runs one trial; exit code 1 when a bound was broken.
pub(crate) fn trial(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    setup::setup(workspace)?;
    let agent = run::build_agent(workspace)?;
    let program = programs::build(workspace, &["--bins"])?.join("sentinel-trial");
    let wants = |names: &[&str]| args.iter().any(|arg| names.contains(&arg.as_str()));
    if wants(&NEEDS_MEMORY_CONTROLLER) && !wants(&["--help"]) && !has_memory_controller() {
        println!("the memory controller is not on cgroup v2 here: in a guest");
        return vm::trial(workspace, &agent, &program, args);
    }
    needs::find_or_install(For::Contracts)?;
    let envs = [("SENTINEL_BIN", agent.display().to_string())];
    programs::run(process::as_root(&program, &envs)?, args)
}

/// True where cgroup v2 has the memory controller.
fn has_memory_controller() -> bool {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let controllers = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (_, folder, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then(|| fs::read_to_string(PathBuf::from(folder).join("cgroup.controllers")))
    });
    controllers.is_some_and(|text| text.is_ok_and(|text| text.split_whitespace().any(|name| name == "memory")))
}
