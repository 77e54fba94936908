//! What the agent is made of, as CycloneDX: every crate with version, licence and checksum. Written by `cargo cyclonedx`,
//! which is built under `target/` when it is not there.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{process, run::cargo, workspace::Workspace};

const NAME: &str = "sentinel.cdx.json";
const TOOL: &str = "cargo-cyclonedx";
/// Newer ones may write something else.
const VERSION: &str = "0.5.9";

/// Writes it; returns the file.
pub(super) fn write(workspace: &Workspace) -> Result<PathBuf> {
    let tool = find_or_build(workspace)?;
    let mut command = Command::new(tool);
    command
        .args([
            "cyclonedx",
            "--format",
            "json",
            "--override-filename",
            "sentinel.cdx",
            "--manifest-path",
        ])
        .arg(workspace.root().join("sentinel/Cargo.toml"))
        .current_dir(workspace.root());
    command.env("SOURCE_DATE_EPOCH", super::deb::date(workspace));
    let made = process::read(&mut command);
    // It writes beside each manifest of the workspace; only the agent's is wanted, and none stays in the sources.
    let list = fs::read_to_string(workspace.root().join("sentinel").join(NAME));
    for member in fs::read_dir(workspace.root())?.flatten() {
        let _ = fs::remove_file(member.path().join(NAME));
    }
    made?;
    // Where it was built is nobody's matter, and would make another list of the same sources.
    let root = format!("{}/", workspace.root().display());
    let list = list.context("it wrote no list")?.replace(&root, "");
    let file = workspace.packages().join(NAME);
    fs::create_dir_all(workspace.packages())?;
    fs::write(&file, list).with_context(|| format!("{} cannot be written", file.display()))?;
    println!("sbom: {}", file.display());
    Ok(file)
}

fn find_or_build(workspace: &Workspace) -> Result<PathBuf> {
    let ours = workspace.target().join("tools");
    if let Some(found) = process::which(TOOL).or_else(|| Some(ours.join("bin").join(TOOL)).filter(|file| file.exists()))
    {
        return Ok(found);
    }
    println!("sbom: building {TOOL} (a few minutes, once)");
    let mut command = cargo(workspace);
    command
        .args(["install", "--quiet", "--locked", TOOL, "--version", VERSION, "--root"])
        .arg(&ours);
    process::run(&mut command)
        .with_context(|| format!("{TOOL} could not be built; `--no-sbom` leaves the list out"))?;
    Ok(ours.join("bin").join(TOOL))
}
