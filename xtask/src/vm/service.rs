//! Guests with a distribution and systemd as init, in which the package is installed, its service runs, acts, survives what
//! is done to it, and is purged. Comes in: a package and the loads; goes out: counts. Never touches this system's packages.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    KERNELS, Kernel, Programs,
    initramfs::Initramfs,
    kernels::{self, Image},
    qemu::{self, Size},
    serial::Boot,
};
use crate::{
    package,
    process::{self, Missing},
    report::Tally,
    workspace::Workspace,
};

/// The distribution is unpacked in memory.
const SIZE: Size = Size {
    memory_mb: 2048,
    limit: Duration::from_secs(900),
    suspends: false,
};
const INIT: &str = include_str!("service-init.sh");
const TRIAL: &str = include_str!("service.sh");
/// What the distribution is made of, beside what every one has.
const PACKAGES: &str = "systemd-sysv,procps";

/// What each is called on the command line: those of the two current stable releases of the distribution.
pub(crate) const NAMES: [&str; 2] = ["service-6.1", "service-6.12"];

/// The same, but the service only starts and the guest is suspended. Only when it is asked for: in this emulator not every kernel comes
/// back from that (6.1 does not with two CPUs).
pub(crate) const SUSPENDED: [&str; 1] = ["suspend-6.12"];

/// One that can be booted.
pub(super) struct Guest {
    name: &'static str,
    kernel: &'static Kernel,
    image: Image,
    initrd: PathBuf,
    log: PathBuf,
}

impl Guest {
    /// Fetches its kernel, and puts distribution, package and loads together.
    pub(super) fn made(workspace: &Workspace, programs: &Programs, name: &'static str) -> Result<Self> {
        let (_, series) = name.split_once('-').context("a guest is named by its kernel")?;
        let kernel = KERNELS
            .iter()
            .find(|kernel| kernel.name == series)
            .with_context(|| format!("{series} is not in the matrix"))?;
        let image = kernels::fetch(workspace, kernel)?;
        let folder = workspace.vm().join("boots").join(name);
        let package = package::deb(workspace, &programs.agent, &folder)?;
        let mut system = Initramfs::bare(INIT)?;
        system.content("/payload/root.tar", fs::read(distribution(workspace)?)?);
        system.content("/payload/sentinel.deb", fs::read(package)?);
        system.content("/payload/service.sh", TRIAL.into());
        let parts = if SUSPENDED.contains(&name) { "suspend" } else { "all" };
        system.content("/payload/parts", parts.into());
        system.content("/payload/sentinel-workload", fs::read(programs.workload()?)?);
        let (initrd, log) = (folder.join("initrd"), folder.join("serial.log"));
        fs::write(&initrd, system.archive()).with_context(|| format!("writing {}", initrd.display()))?;
        Ok(Self {
            name,
            kernel,
            image,
            initrd,
            log,
        })
    }

    /// Boots it once and counts what it says.
    pub(super) fn run(&self) -> Result<(Tally, String)> {
        let suspends = SUSPENDED.contains(&self.name);
        let size = Size { suspends, ..SIZE };
        let booted = qemu::boot(self.kernel, &self.image, &self.initrd, &self.log, size);
        // It is large, and made anew each time.
        let _ = fs::remove_file(&self.initrd);
        let (boot, times) = booted?;
        let (tally, mut notes) = count(self.name, &boot);
        notes.insert(0, format!("off after {:.1} s", times.all.as_secs_f64()));
        if tally.failed > 0 {
            let end = String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned();
            println!(
                "{}: the serial line is in {}; its end:\n{}",
                self.name,
                self.log.display(),
                process::tail(&end, 60)
            );
        }
        Ok((tally, notes.join("; ")))
    }
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
fn count(guest: &str, boot: &Boot) -> (Tally, Vec<String>) {
    let (mut tally, mut notes) = (Tally::default(), Vec::new());
    for part in &boot.parts {
        let held = part.code == Some(0);
        println!("{} {guest}: {}", if held { "ok  " } else { "FAIL" }, part.name);
        if !held {
            println!("{guest}: {}", part.text.trim());
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
        let (tally, notes) = count("service", &serial::parse(text));
        assert_eq!((tally.passed, tally.failed), (1, 2), "{notes:?}");
        let (tally, _) = count(
            "service",
            &serial::parse(&format!("{}SENTINEL-VM done\n", text.replace("b 1", "b 0"))),
        );
        assert_eq!((tally.passed, tally.failed), (2, 0));
    }
}
