//! Installs a package in a copy of this system, uses it, and purges it. The copy is an overlay in a mount namespace of its
//! own: what is written goes to a folder that is thrown away, and this system is not touched. No service manager runs in it.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

use crate::process;

/// What is done in the copy.
const SCRIPT: &str = include_str!("trial.sh");

/// Does all of it.
pub(super) fn install_and_purge(package: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let unshare = process::which("unshare").context("`unshare` (util-linux) is not on PATH")?;
    let mut command = process::as_root(&unshare, &[])?;
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"])
        .arg(fs::canonicalize(package)?)
        .arg(folder.path());
    let said = process::read(&mut command).context("the package could not be installed and purged")?;
    ensure!(said.contains("purged without a trace"), "{}", process::tail(&said, 20));
    println!("trial: installed, used, removed and purged in a copy of this system");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_one_the_shell_takes() {
        assert!(process::run(std::process::Command::new("sh").args(["-n", "-c", SCRIPT])).is_ok());
    }
}
