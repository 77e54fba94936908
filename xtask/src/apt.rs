//! Packages of the distribution. Owns the decision when to refresh the package lists (at most once per run).
//! Never removes or upgrades a package, and never changes the machine's package sources.

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, Result};

use crate::process::{self, Missing};

static LISTS_ARE_FRESH: AtomicBool = AtomicBool::new(false);

/// Installs `packages`, saying so first; `why` names what needs them.
pub(crate) fn install(packages: &[&str], why: &str) -> Result<()> {
    let list = packages.join(" ");
    let Some(apt) = process::which("apt-get") else {
        return Err(Missing(format!(
            "{why}: there is no `apt-get` here; install what this distribution calls `{list}`"
        ))
        .into());
    };
    if packages.iter().any(|package| !is_known(package)) {
        refresh(&apt)?;
    }
    println!("  installing {list} from the distribution ({why})");
    let first = attempt(&apt, packages);
    if first.is_err() && !LISTS_ARE_FRESH.load(Ordering::Relaxed) {
        refresh(&apt)?;
        return attempt(&apt, packages).with_context(|| remedy(&list, why));
    }
    first.with_context(|| remedy(&list, why))
}

/// True if the package lists have a version of `package` that can be installed.
fn is_known(package: &str) -> bool {
    process::read(Command::new("apt-cache").args(["policy", package]))
        .is_ok_and(|text| text.contains("Candidate:") && !text.contains("Candidate: (none)"))
}

fn refresh(apt: &Path) -> Result<()> {
    if LISTS_ARE_FRESH.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    println!("  refreshing the distribution's package lists");
    // A list that cannot be fetched matters only if the package then cannot be found.
    process::read(&mut quiet(apt, &["update"])?).map(drop).or_else(|error| {
        println!("  {error:#}");
        Ok(())
    })
}

fn attempt(apt: &Path, packages: &[&str]) -> Result<()> {
    let mut command = quiet(apt, &["install", "--yes", "--no-install-recommends"])?;
    process::read(command.args(packages))?;
    Ok(())
}

fn quiet(apt: &Path, args: &[&str]) -> Result<Command> {
    let mut command = process::as_root(apt, &[("DEBIAN_FRONTEND", "noninteractive".into())])?;
    command.args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(args);
    Ok(command)
}

fn remedy(packages: &str, why: &str) -> Missing {
    Missing(format!(
        "{why}: the distribution would not install it; get it with `apt-get install --no-install-recommends {packages}`"
    ))
}
