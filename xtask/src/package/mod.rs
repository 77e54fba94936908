//! `package`: what sentinel is installed by. Builds the agent as it is shipped, puts it into a `.deb` with everything beside
//! it and into an image for containers, lists what it is made of (SBOM), and writes checksums; then, as root, installs and purges
//! the one in a copy of this system and runs the other. Never changes the system it runs on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

mod deb;
#[cfg(test)]
mod kubernetes_tests;
mod oci;
mod oci_trial;
mod sbom;
mod trial;

use crate::{process, run, setup, workspace::Workspace};

/// What to leave out.
pub(crate) struct Choice {
    /// Write no SBOM, which takes a program that is built first.
    pub(crate) no_sbom: bool,
    /// Do not install it anywhere.
    pub(crate) no_trial: bool,
}

/// Makes everything, and says where it is.
pub(crate) fn package(workspace: &Workspace, choice: &Choice) -> Result<()> {
    setup::setup(workspace)?;
    let agent = run::build_agent(workspace)?;
    let folder = workspace.packages();
    let mut made = vec![
        deb::build(workspace, &agent, &folder)?,
        oci::build(workspace, &agent, &folder)?,
    ];
    if choice.no_sbom {
        println!("sbom: left out, --no-sbom");
    } else {
        made.push(sbom::write(workspace)?);
    }
    if choice.no_trial {
        println!("trial: left out, --no-trial");
    } else {
        trial::install_and_purge(&made[0])?;
        oci_trial::run(&made[1])?;
    }
    let sums = checksums(workspace, &made)?;
    for file in made.iter().chain([&sums]) {
        println!("made {}", file.display());
    }
    Ok(())
}

/// Builds package and image of an agent that is built, installs and purges the one in a copy of this system, and runs the
/// other: for `test`. What
/// [`package`] made stays as it is.
pub(crate) fn check(workspace: &Workspace, agent: &Path) -> Result<()> {
    let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let package = deb::build(workspace, agent, one.path())?;
    let again = deb::build(workspace, agent, two.path())?;
    let image = oci::build(workspace, agent, one.path())?;
    let image_again = oci::build(workspace, agent, two.path())?;
    for (one, two) in [(&package, &again), (&image, &image_again)] {
        anyhow::ensure!(
            fs::read(one)? == fs::read(two)?,
            "{} is another one when it is made again of the same program",
            one.display()
        );
    }
    trial::install_and_purge(&package)?;
    oci_trial::run(&image)
}

/// Builds the package of an agent that is built, in a folder.
pub(crate) fn deb(workspace: &Workspace, agent: &Path, folder: &Path) -> Result<PathBuf> {
    deb::build(workspace, agent, folder)
}

/// Writes `SHA256SUMS` beside them.
fn checksums(workspace: &Workspace, made: &[PathBuf]) -> Result<PathBuf> {
    let names = made.iter().filter_map(|file| file.file_name());
    let sums = process::read(Command::new("sha256sum").args(names).current_dir(workspace.packages()))?;
    let file = workspace.packages().join("SHA256SUMS");
    fs::write(&file, sums).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(file)
}
