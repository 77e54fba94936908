//! `run`: from a fresh clone to a running agent. Builds as the caller; only the agent itself runs as root.
//! Where something was built never reaches what is built.

use std::{
    ffi::OsString,
    fs,
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

/// Builds the agent as it is shipped: the same bytes from the same sources, wherever they lie.
pub(crate) fn build_agent(workspace: &Workspace) -> Result<PathBuf> {
    println!("agent: building");
    let mut command = cargo(workspace);
    let sysroot = process::read(command_of("RUSTC", "rustc").args(["--print", "sysroot"]))?;
    let flags = callers_flags()
        .into_iter()
        .chain(remapped(workspace.root(), Some(sysroot.trim().into())));
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.collect::<Vec<_>>().join("\x1f"));
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
    let mut command = command_of("CARGO", "cargo");
    command.current_dir(workspace.root());
    command
}

/// Flags of the compiler that keep out of what it writes where sources lie: of the workspace, of the crates it uses, and of
/// the standard library under `sysroot`.
pub(crate) fn remapped(root: &Path, sysroot: Option<PathBuf>) -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registries = home
        .into_iter()
        .flat_map(|home| fs::read_dir(home.join("registry/src")));
    let registries = registries
        .flatten()
        .flatten()
        .map(|registry| (registry.path(), "/registry"));
    let sources = sysroot.map(|sysroot| (sysroot.join("lib/rustlib/src/rust"), "/rust"));
    let own = (root.to_path_buf(), "/sentinel");
    let all = registries.chain(sources).chain([own]);
    all.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .collect()
}

/// What the caller asked of the compiler: what this task sets for it would otherwise replace it.
fn callers_flags() -> Vec<String> {
    let words = |name, separator| {
        let text = std::env::var(name).ok()?;
        let words = text.split(separator).filter(|word| !word.is_empty());
        Some(words.map(str::to_owned).collect())
    };
    words("CARGO_ENCODED_RUSTFLAGS", '\x1f')
        .or_else(|| words("RUSTFLAGS", ' '))
        .unwrap_or_default()
}

/// The program that a variable names, or the usual one.
fn command_of(variable: &str, usual: &str) -> Command {
    Command::new(std::env::var_os(variable).unwrap_or_else(|| OsString::from(usual)))
}
