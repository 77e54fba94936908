//! `test`: everything that must hold before a change is taken. Knows the order of the steps and nothing of their insides.
//! Never stops at the first failure.

use std::process::ExitCode;

use anyhow::{Result, bail};

pub(crate) mod contracts;
pub(crate) mod libtest;
pub(crate) mod needs;

use crate::{
    check::check,
    fuzz, package, process,
    report::{Report, Tally},
    run, setup, vm,
    workspace::Workspace,
};

/// A short look: long enough for a parser that breaks on what the seeds lead to.
const FUZZ: fuzz::Effort = fuzz::Effort {
    seconds: 5,
    executions: None,
};

/// What to leave out.
pub(crate) struct Choice {
    /// Boot no kernels.
    pub(crate) no_vm: bool,
    /// Only tests whose name contains this; static checks are then left out.
    pub(crate) filter: Option<String>,
}

/// Runs the steps and prints the summary.
pub(crate) fn test(workspace: &Workspace, choice: &Choice) -> Result<ExitCode> {
    let tools = setup::setup(workspace)?;
    let mut report = Report::default();
    let filter = choice.filter.as_deref();
    if !process::is_root() {
        println!("the contracts need root: they are built as this user and run through sudo");
    }
    let purpose = if choice.no_vm {
        needs::For::Contracts
    } else {
        needs::For::All
    };
    report.check("test needs", || needs::find_or_install(purpose));
    if filter.is_none() {
        check(workspace, &tools, &mut report);
    }
    report.step("unit tests", || unit_tests(workspace, filter));
    if filter.is_none_or(|filter| filter.contains("fuzz")) {
        fuzz::fuzz(workspace, &[], FUZZ, &mut report);
    }
    match prepare(workspace, &mut report) {
        Some(programs) => {
            if filter.is_none_or(|filter| "package".contains(filter)) {
                report.check("package", || package::check(workspace, &programs.agent));
            }
            for contract in &programs.contracts {
                report.step(&format!("contract {}", contract.name), || {
                    let ran = contracts::run(contract, &programs.agent, filter)?;
                    Ok((ran.tally, ran.note))
                });
            }
            if choice.no_vm {
                report.skip("kernels", "--no-vm");
            } else {
                // A filter names a test, which any kernel may have, or a guest.
                let named = |guest: &str| filter.is_none_or(|filter| guest.contains(filter));
                let wanted = |guest: &str| match guest {
                    guest if vm::service::SUSPENDED.contains(&guest) => false,
                    guest if vm::service::NAMES.contains(&guest) => named(guest),
                    _ => true,
                };
                vm::steps(workspace, &programs, wanted, filter, &mut report);
            }
        }
        None => report.skip("contracts and kernels", "they could not be built"),
    }
    Ok(report.end())
}

/// Builds the agent and the contracts, as one step.
pub(crate) fn prepare(workspace: &Workspace, report: &mut Report) -> Option<vm::Programs> {
    let mut built = None;
    report.check("build of agent and contracts", || {
        let agent = run::build_agent(workspace)?;
        let contracts = contracts::build(workspace)?;
        println!(
            "contracts: {}",
            contracts
                .iter()
                .map(|one| one.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        );
        built = Some(vm::Programs { agent, contracts });
        Ok(())
    });
    built
}

fn unit_tests(workspace: &Workspace, filter: Option<&str>) -> Result<(Tally, String)> {
    let mut command = run::cargo(workspace);
    command.args(["test", "--quiet"]).args(contracts::WORKSPACE);
    command.args(["--lib", "--bins", "--no-fail-fast"]);
    command.arg("--target-dir").arg(workspace.target());
    command.arg("--").args(filter);
    let (status, output) = contracts::stream(&mut command)?;
    if libtest::tally(&output).is_none() {
        bail!("no unit test ran: {status}");
    }
    Ok(contracts::conclude(&output, status.success(), &status.to_string()))
}
