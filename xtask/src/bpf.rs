//! Builds the eBPF object. Comes in: a toolchain and a linker; goes out: `target/bpf/sentinel.o`, touched only when it changed.
//! Cargo decides what to rebuild. Never loads the object. Builds it a second time, elsewhere, to see that it is the same.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use crate::{process, run, setup::Tools, workspace::Workspace};

/// The crate of the kernel side, its binary and its target.
const PACKAGE: &str = "sentinel-ebpf";
const BINARY: &str = "sentinel";
const TARGET: &str = "bpfel-unknown-none";
/// What the object is built from, in the workspace: cargo wants the manifest and the sources of every member.
const SOURCES: [&str; 7] = [
    "Cargo.toml",
    "Cargo.lock",
    "sentinel-common",
    "sentinel-ebpf",
    "sentinel",
    "tests",
    "xtask",
];

/// Builds the object and puts it where `sentinel/build.rs` looks for it.
pub(crate) fn build(workspace: &Workspace, tools: &Tools) -> Result<()> {
    let (object, built) = build_in(workspace.root(), &workspace.bpf_build(), tools)?;
    require_btf(&object, &built)?;
    let place = workspace.bpf_object();
    if fs::read(&place).is_ok_and(|before| before == object) {
        println!("object: up to date ({}, {})", place.display(), described(&object));
        return Ok(());
    }
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder).with_context(|| format!("the folder {}", folder.display()))?;
    }
    // By renaming, so that a build at the same time reads the old one or the new one.
    let new = place.with_extension("o.new");
    fs::write(&new, &object).with_context(|| format!("writing {}", new.display()))?;
    fs::rename(&new, &place).with_context(|| format!("writing {}", place.display()))?;
    println!("object: built ({}, {})", place.display(), described(&object));
    Ok(())
}

/// Builds the object again from a copy of the sources under another path, and wants the bytes that are in place.
pub(crate) fn twice(workspace: &Workspace, tools: &Tools) -> Result<()> {
    // What is compiled stays, so that the next time only the copy is; the copy itself is always of now.
    let folder = workspace.target().join("twice");
    let copy = folder.join("sources/of another length");
    copied(workspace.root(), &copy).with_context(|| format!("copying the sources to {}", copy.display()))?;
    let (again, built) = build_in(&copy, &folder.join("build"), tools)?;
    let place = workspace.bpf_object();
    let first = fs::read(&place).with_context(|| format!("the eBPF object {}", place.display()))?;
    compare((&first, &place), (&again, &built))?;
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .filter(|home| home.parent().is_some());
    for path in [workspace.root(), &copy].into_iter().chain(home.as_deref()) {
        ensure!(
            !contains(&again, path.as_os_str().as_encoded_bytes()),
            "{} names a path of this machine, {}: `remapped` in xtask/src/run.rs is what leaves them out",
            built.display(),
            path.display()
        );
    }
    println!("object, twice: the same bytes ({})", described(&again));
    Ok(())
}

/// Builds the object of the workspace in `root`; gives it and where it is.
fn build_in(root: &Path, build: &Path, tools: &Tools) -> Result<(Vec<u8>, PathBuf)> {
    let mut command = cargo(root, build, tools, "build");
    command.args(["--quiet", "--release", "--bin", BINARY]);
    process::run(&mut command).context("the eBPF object could not be built")?;
    let built = build.join(TARGET).join("release").join(BINARY);
    let object = fs::read(&built).with_context(|| format!("the eBPF object that cargo built, {}", built.display()))?;
    Ok((object, built))
}

/// Puts the sources of the object, as they are now, into an empty folder.
fn copied(root: &Path, copy: &Path) -> Result<()> {
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    for name in SOURCES {
        for entry in WalkDir::new(root.join(name)) {
            let entry = entry?;
            let to = copy.join(entry.path().strip_prefix(root)?);
            if entry.file_type().is_dir() {
                fs::create_dir_all(to)?;
            } else {
                fs::create_dir_all(to.parent().unwrap_or(copy))?;
                fs::copy(entry.path(), to)?;
            }
        }
    }
    Ok(())
}

/// Two builds of one source must be one object.
fn compare(first: (&[u8], &Path), again: (&[u8], &Path)) -> Result<()> {
    let differs = first.0.iter().zip(again.0).position(|(one, two)| one != two);
    ensure!(
        first.0 == again.0,
        "two builds of one source differ from byte {} on: {} ({}) and {} ({}); compare them with `llvm-objdump -s`",
        differs.unwrap_or(first.0.len().min(again.0.len())),
        first.1.display(),
        described(first.0),
        again.1.display(),
        described(again.0)
    );
    Ok(())
}

/// Size and hash, as `sha256sum` writes it.
fn described(object: &[u8]) -> String {
    let hash: String = Sha256::digest(object)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{} KiB, sha256 {hash}", object.len() / 1024)
}

/// `cargo clippy` on the kernel side, warnings as errors.
pub(crate) fn clippy(workspace: &Workspace, tools: &Tools) -> Command {
    let mut command = cargo(workspace.root(), &workspace.bpf_build(), tools, "clippy");
    command.args(["--quiet", "--release", "--bin", BINARY, "--", "-D", "warnings"]);
    command
}

/// A cargo command on the kernel side, for the BPF target, that depends on nothing in the caller's environment.
fn cargo(root: &Path, build: &Path, tools: &Tools, subcommand: &str) -> Command {
    let mut command = tools.toolchain.cargo_command();
    command.current_dir(root);
    command.env("RUSTC_BOOTSTRAP", "1");
    let sysroot = tools.toolchain.rustc.ancestors().nth(2).map(Path::to_path_buf);
    let flags: Vec<String> = flags(tools).into_iter().chain(run::remapped(root, sysroot)).collect();
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
    command.arg(build);
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
    if !object.starts_with(b"\x7fELF") || !contains(object, b".BTF\0") {
        bail!(
            "{} has no BTF section: was it linked by another linker than bpf-linker?",
            file.display()
        );
    }
    Ok(())
}

fn contains(object: &[u8], name: &[u8]) -> bool {
    object.windows(name.len()).any(|window| window == name)
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

    #[test]
    fn one_other_byte_is_told_with_its_place_and_both_hashes() {
        let (one, two) = (Path::new("one.o"), Path::new("two.o"));
        assert!(compare((b"same", one), (b"same", two)).is_ok());
        let error = compare((b"same", one), (b"sane", two)).unwrap_err().to_string();
        assert!(
            error.contains("from byte 2 on: one.o (0 KiB, sha256 0967115f"),
            "{error}"
        );
        let error = compare((b"same", one), (b"same and more", two))
            .unwrap_err()
            .to_string();
        assert!(error.contains("from byte 4 on"), "{error}");
    }
}
