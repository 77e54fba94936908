//! Guests with a distribution and systemd as init, in which the package is installed, its service runs, acts, survives what
//! is done to it, and is purged. Comes in: a package and the loads; goes out: counts. Never touches this system's packages.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    KERNELS, Programs,
    initramfs::Initramfs,
    kernels,
    qemu::{self, Size},
    serial::Boot,
};
use crate::{
    package,
    process::{self, Missing},
    report::{Report, Tally},
    workspace::Workspace,
};

/// Kernels on which it is done: those of the two current stable releases of the distribution.
const ON: [&str; 2] = ["6.1", "6.12"];
/// The distribution is unpacked in memory.
const SIZE: Size = Size {
    memory_mb: 2048,
    limit: Duration::from_secs(600),
};
const INIT: &str = include_str!("service-init.sh");
const TRIAL: &str = include_str!("service.sh");
/// What the distribution is made of, beside what every one has.
const PACKAGES: &str = "systemd-sysv,procps";

/// What each is called on the command line.
pub(crate) const NAMES: [&str; 2] = ["service-6.1", "service-6.12"];

/// One step for each kernel that is wanted.
pub(crate) fn steps(workspace: &Workspace, programs: &Programs, wanted: impl Fn(&str) -> bool, report: &mut Report) {
    for (name, kernel) in NAMES.into_iter().zip(ON).filter(|(name, _)| wanted(name)) {
        report.step(name, || on(workspace, programs, kernel));
    }
}

fn on(workspace: &Workspace, programs: &Programs, name: &str) -> Result<(Tally, String)> {
    let kernel = KERNELS
        .iter()
        .find(|kernel| kernel.name == name)
        .with_context(|| format!("{name} is not in the matrix"))?;
    let image = kernels::fetch(workspace, kernel)?;
    let folder = workspace.vm().join("boots").join(format!("service-{name}"));
    let package = package::deb(workspace, &programs.agent, &folder)?;
    let mut system = Initramfs::bare(INIT)?;
    system.content("/payload/root.tar", fs::read(distribution(workspace)?)?);
    system.content("/payload/sentinel.deb", fs::read(package)?);
    system.content("/payload/service.sh", TRIAL.into());
    system.content("/payload/sentinel-workload", fs::read(programs.workload()?)?);
    let (initrd, log) = (folder.join("initrd"), folder.join("serial.log"));
    fs::write(&initrd, system.archive()).with_context(|| format!("writing {}", initrd.display()))?;
    let booted = qemu::boot(kernel, &image, &initrd, &log, SIZE);
    // It is large, and made anew each time.
    let _ = fs::remove_file(&initrd);
    let (boot, times) = booted?;
    let (tally, mut notes) = count(&boot);
    notes.insert(0, format!("off after {:.1} s", times.all.as_secs_f64()));
    if tally.failed > 0 {
        let end = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
        println!(
            "the serial line is in {}; its end:\n{}",
            log.display(),
            process::tail(&end, 60)
        );
    }
    Ok((tally, notes.join("; ")))
}

/// A small distribution as an archive: of this machine's release, so that what was built here runs there.
fn distribution(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.vm().join("systemd");
    let archive = folder.join("root.tar");
    if archive.is_file() {
        return Ok(archive);
    }
    let tool = process::which("mmdebstrap")
        .ok_or_else(|| Missing("mmdebstrap is missing: get it with `apt-get install mmdebstrap`".into()))?;
    let (release, entries) = super::sources::own()?;
    fs::create_dir_all(&folder)?;
    let (sources, new) = (folder.join("own.sources"), folder.join("new.tar"));
    fs::write(&sources, entries)?;
    println!("making a small {release} with systemd (about a minute, once)");
    let mut command = process::as_root(&tool, &[])?;
    command.args(["--quiet", "--variant=minbase", "--mode=root"]);
    command.arg(format!("--include={PACKAGES}"));
    for unneeded in ["doc", "locale", "man", "info"] {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{unneeded}/*"));
    }
    command.arg(&release).args([&new, &sources]);
    process::read(&mut command).context("the distribution of the guest could not be made")?;
    fs::rename(&new, &archive)?;
    Ok(archive)
}

/// Parts that ended with 0 hold.
fn count(boot: &Boot) -> (Tally, Vec<String>) {
    let (mut tally, mut notes) = (Tally::default(), Vec::new());
    for part in &boot.parts {
        let held = part.code == Some(0);
        println!("{} {}", if held { "ok  " } else { "FAIL" }, part.name);
        if !held {
            println!("{}", part.text.trim());
            notes.push(format!("failed: {}", part.name));
        }
        tally.add(if held { Tally::PASSED } else { Tally::FAILED });
    }
    if !boot.complete {
        tally.add(Tally::FAILED);
        notes.push("the guest did not get to its end".into());
    }
    if let Some(crash) = &boot.crash {
        tally.add(Tally::FAILED);
        notes.push(format!("the kernel said: {crash}"));
    }
    (tally, notes)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::vm::serial;

    #[test]
    fn both_scripts_are_ones_the_shell_takes() {
        for script in [INIT, TRIAL] {
            assert!(process::run(Command::new("sh").args(["-n", "-c", script])).is_ok());
        }
    }

    #[test]
    fn every_part_counts_and_a_guest_that_stops_early_fails() {
        let text = "SENTINEL-VM ready 6.1\nSENTINEL-VM begin a\nSENTINEL-VM end a 0\nSENTINEL-VM begin b\nno\nSENTINEL-VM end b 1\n";
        let (tally, notes) = count(&serial::parse(text));
        assert_eq!((tally.passed, tally.failed), (1, 2), "{notes:?}");
        let (tally, _) = count(&serial::parse(&format!(
            "{}SENTINEL-VM done\n",
            text.replace("b 1", "b 0")
        )));
        assert_eq!((tally.passed, tally.failed), (2, 0));
    }
}
