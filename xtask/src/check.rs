//! `check`: format, clippy on both halves, layers, policy. Needs no root and no particular kernel. Never changes a source.

use crate::{bpf, layers, policy, process, report::Report, run, setup::Tools, workspace::Workspace};

/// Runs every static check, each as a step of `report`.
pub(crate) fn check(workspace: &Workspace, tools: &Tools, report: &mut Report) {
    report.check("format", || {
        process::run(run::cargo(workspace).args(["fmt", "--all", "--", "--check"]))
    });
    report.check("layers", || layers::check(workspace.root()));
    report.check("object, twice", || bpf::twice(workspace, tools));
    report.check("policy", || policy::check(workspace));
    match policy::database() {
        Some(_) => report.check("advisories", || policy::advisories(workspace)),
        None => report.skip("advisories", &policy::no_database()),
    }
    report.check("clippy", || {
        let mut command = run::cargo(workspace);
        command.args([
            "clippy",
            "--quiet",
            "--workspace",
            "--exclude",
            "sentinel-ebpf",
            "--features",
            "sentinel-tests/otlp",
            "--all-targets",
        ]);
        process::run(command.args(["--", "-D", "warnings"]))
    });
    if tools.toolchain.has_clippy() {
        report.check("clippy, kernel side", || {
            process::run(&mut bpf::clippy(workspace, tools))
        });
    } else {
        report.skip(
            "clippy, kernel side",
            &format!("no clippy beside {}", tools.toolchain.rustc.display()),
        );
    }
}
