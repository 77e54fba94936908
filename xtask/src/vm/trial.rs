//! One trial in a guest: for what the running kernel does not offer. Shows what the trial printed and ends as it did.

use std::{fs, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::{
    KERNELS,
    initramfs::{Initramfs, Task},
    kernels,
    qemu::{self, Size},
};
use crate::{process, test::needs, workspace::Workspace};

/// The kernel of the matrix that trials run on.
const KERNEL: &str = "6.12";
/// Memory of the guest, megabytes: several loads with limits of their own.
const MEMORY_MB: u32 = 3072;
/// A trial that takes longer is ended.
const LIMIT: Duration = Duration::from_secs(4 * 3600);
/// Where the programs are in the guest.
const AT: &str = "/trial";

/// Boots a guest, runs the trial in it and shows what it said; its exit code.
pub(crate) fn trial(workspace: &Workspace, agent: &Path, trial: &Path, args: &[String]) -> Result<ExitCode> {
    needs::find_or_install(needs::For::Matrix)?;
    let kernel = KERNELS
        .iter()
        .find(|kernel| kernel.name == KERNEL)
        .context("the kernel of trials is in the matrix")?;
    let image = kernels::fetch(workspace, kernel)?;
    let task = Task {
        name: "trial".into(),
        command: format!("{AT}/sentinel-trial {}", args.join(" ")),
        limit_s: u32::try_from(LIMIT.as_secs()).unwrap_or(u32::MAX),
    };
    let mut system = Initramfs::new(&[task])?;
    system.program(agent, "/sentinel")?;
    for name in ["sentinel-trial", "sentinel-workload"] {
        system.program(&trial.with_file_name(name), &format!("{AT}/{name}"))?;
    }
    let folder = workspace.vm().join("boots").join("trial");
    fs::create_dir_all(&folder).with_context(|| format!("the folder {}", folder.display()))?;
    let initrd = folder.join("initrd");
    fs::write(&initrd, system.archive()).with_context(|| format!("writing {}", initrd.display()))?;
    let log = folder.join("serial.log");
    println!("guest: Linux {KERNEL} with {MEMORY_MB} MB; what it says comes at its end");
    let size = Size {
        memory_mb: MEMORY_MB,
        limit: LIMIT,
    };
    let (boot, times) = qemu::boot(kernel, &image, &initrd, &log, size)?;
    let Some(part) = boot.parts.first() else {
        bail!(
            "the guest did not begin the trial; its serial line is in {}",
            log.display()
        );
    };
    println!("{}", part.text.trim());
    println!("guest: off after {:.0} s", times.all.as_secs_f64());
    if let Some(crash) = &boot.crash {
        bail!(
            "the guest's kernel crashed ({crash}); its serial line is in {}",
            log.display()
        );
    }
    match part.code {
        Some(0) => Ok(ExitCode::SUCCESS),
        Some(1) => Ok(ExitCode::FAILURE),
        code => {
            let text = fs::read(&log).unwrap_or_default();
            let end = process::tail(&String::from_utf8_lossy(&text), 20);
            bail!("the trial ended with {code:?}; the end of {}:\n{end}", log.display())
        }
    }
}
