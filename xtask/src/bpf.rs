//! Builds the eBPF object. Comes in: a toolchain and a linker; goes out: `target/bpf/sentinel.o`, touched only when it changed.
//! Cargo decides what to rebuild. Never loads the object.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{process, run, setup::Tools, workspace::Workspace};

/// The crate of the kernel side, its binary and its target.
const PACKAGE: &str = "sentinel-ebpf";
const BINARY: &str = "sentinel";
const TARGET: &str = "bpfel-unknown-none";

/// Builds the object and puts it where `sentinel/build.rs` looks for it.
pub(crate) fn build(workspace: &Workspace, tools: &Tools) -> Result<()> {
    let mut command = cargo(workspace, tools, "build");
    command.args(["--quiet", "--release", "--bin", BINARY]);
    process::run(&mut command).context("the eBPF object could not be built")?;
    let built = workspace.bpf_build().join(TARGET).join("release").join(BINARY);
    let object = fs::read(&built).with_context(|| format!("the eBPF object that cargo built, {}", built.display()))?;
    require_btf(&object, &built)?;
    let place = workspace.bpf_object();
    if fs::read(&place).is_ok_and(|before| before == object) {
        println!("object: up to date ({}, {} KiB)", place.display(), object.len() / 1024);
        return Ok(());
    }
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder).with_context(|| format!("the folder {}", folder.display()))?;
    }
    // By renaming, so that a build at the same time reads the old one or the new one.
    let new = place.with_extension("o.new");
    fs::write(&new, &object).with_context(|| format!("writing {}", new.display()))?;
    fs::rename(&new, &place).with_context(|| format!("writing {}", place.display()))?;
    println!("object: built ({}, {} KiB)", place.display(), object.len() / 1024);
    Ok(())
}

/// `cargo clippy` on the kernel side, warnings as errors.
pub(crate) fn clippy(workspace: &Workspace, tools: &Tools) -> Command {
    let mut command = cargo(workspace, tools, "clippy");
    command.args(["--quiet", "--release", "--bin", BINARY, "--", "-D", "warnings"]);
    command
}

/// A cargo command on the kernel side, for the BPF target, that depends on nothing in the caller's environment.
fn cargo(workspace: &Workspace, tools: &Tools, subcommand: &str) -> Command {
    let mut command = tools.toolchain.cargo_command();
    command.current_dir(workspace.root());
    command.env("RUSTC_BOOTSTRAP", "1");
    let sysroot = tools.toolchain.rustc.ancestors().nth(2).map(Path::to_path_buf);
    let flags: Vec<String> = flags(tools)
        .into_iter()
        .chain(run::remapped(workspace, sysroot))
        .collect();
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    // The workspace strips release binaries; this one's debug information is where its BTF comes from.
    command.env("CARGO_PROFILE_RELEASE_STRIP", "none");
    command.args([
        subcommand,
        "--package",
        PACKAGE,
        "--target",
        TARGET,
        "-Z",
        "build-std=core",
        "--target-dir",
    ]);
    command.arg(workspace.bpf_build());
    command
}

fn flags(tools: &Tools) -> Vec<String> {
    vec![
        "--cfg".into(),
        format!("bpf_target_arch=\"{}\"", std::env::consts::ARCH),
        "-Cdebuginfo=2".into(),
        format!("-Clinker={}", tools.linker.display()),
        "-Clink-arg=--btf".into(),
        // 32-bit arithmetic and jumps: every kernel from 5.3 on has them.
        "-Ctarget-cpu=v3".into(),
    ]
}

/// The kernel needs BTF; a linker that left it out is better found here than at load.
fn require_btf(object: &[u8], file: &Path) -> Result<()> {
    let contains = |name: &[u8]| object.windows(name.len()).any(|window| window == name);
    if !object.starts_with(b"\x7fELF") || !contains(b".BTF\0") {
        bail!(
            "{} has no BTF section: was it linked by another linker than bpf-linker?",
            file.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_without_btf_is_refused_by_name() {
        let error = require_btf(b"\x7fELF.text\0", Path::new("x.o")).unwrap_err();
        assert!(error.to_string().starts_with("x.o has no BTF section"), "{error}");
        assert!(require_btf(b"\x7fELF.BTF\0", Path::new("x.o")).is_ok());
    }
}
