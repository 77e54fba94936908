//! One trial in a guest: for what the running kernel does not offer. Shows what the trial printed and ends as it did.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

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
/// Where the programs are in the guest, and what it keeps for the host.
const AT: &str = "/trial";
const KEPT: &str = "/tmp/kept";
/// The guest's task that prints what it kept.
const RECORDINGS: &str = "recordings";

/// Boots a guest, runs the trial in it and shows what it said; its exit code.
pub(crate) fn trial(workspace: &Workspace, agent: &Path, trial: &Path, args: &[String]) -> Result<ExitCode> {
    needs::find_or_install(needs::For::Matrix)?;
    let kernel = KERNELS
        .iter()
        .find(|kernel| kernel.name == KERNEL)
        .context("the kernel of trials is in the matrix")?;
    let image = kernels::fetch(workspace, kernel)?;
    let (words, dir) = in_guest(args);
    let mut tasks = vec![Task {
        name: "trial".into(),
        command: format!("{AT}/sentinel-trial {words}"),
        limit_s: u32::try_from(LIMIT.as_secs()).unwrap_or(u32::MAX),
    }];
    if dir.is_some() {
        tasks.push(Task {
            name: RECORDINGS.into(),
            command: format!("tar -C {KEPT} -c . | base64"),
            limit_s: 300,
        });
    }
    let mut system = Initramfs::new(&tasks)?;
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
        suspends: false,
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
    if let (Some(dir), Some(kept)) = (dir, boot.parts.iter().find(|part| part.name == RECORDINGS)) {
        unpack(&kept.text, &dir)?;
    }
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

/// The arguments as the guest gets them, and where the host wants recordings.
fn in_guest(args: &[String]) -> (String, Option<PathBuf>) {
    let mut words: Vec<&str> = args.iter().map(String::as_str).collect();
    let place = words.iter().position(|word| *word == "--record").map(|at| at + 1);
    let dir = place
        .and_then(|place| words.get_mut(place))
        .map(|word| PathBuf::from(std::mem::replace(word, KEPT)));
    (words.join(" "), dir)
}

/// Writes what the guest printed as an archive into a directory.
fn unpack(text: &str, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("the directory {}", dir.display()))?;
    let archive = tempfile::NamedTempFile::new().context("a temporary file")?;
    fs::write(archive.path(), text).context("what the guest kept")?;
    let tar = process::read(
        Command::new("sh")
            .args(["-c", r#"base64 --decode --ignore-garbage "$0" | tar -x -C "$1""#])
            .arg(archive.path())
            .arg(dir),
    );
    tar.map(drop).context("what the guest kept could not be unpacked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_keeps_recordings_in_a_place_of_its_own() {
        let args = ["leak", "--record", "here", "--runs", "2"].map(str::to_owned);
        let (words, dir) = in_guest(&args);
        assert_eq!(words, "leak --record /tmp/kept --runs 2");
        assert_eq!(dir.as_deref(), Some(Path::new("here")));
        assert_eq!(in_guest(&["leak".to_owned()]).1, None);
    }

    #[test]
    fn what_the_guest_printed_is_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(&from).unwrap();
        fs::write(from.join("a"), "kept").unwrap();
        let text = process::read(
            Command::new("sh")
                .args(["-c", r#"tar -C "$0" -c . | base64"#])
                .arg(&from),
        )
        .unwrap();
        unpack(&text, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("a")).unwrap(), "kept");
    }
}
