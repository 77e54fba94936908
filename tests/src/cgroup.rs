//! cgroups of a test, below one directory, gone with their guard.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use crate::{paths, wait};

const PREFIX: &str = "sentinel-tests-";
/// Moves itself into the cgroup, then becomes the command: the process is never seen elsewhere.
const ENTER: &str = r#"echo 0 > "$0" && exec "$@""#;
const LIMIT: Duration = Duration::from_secs(3);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A directory of cgroups that belongs to this test.
#[derive(Debug)]
pub struct Family {
    dir: Arc<Dir>,
}

/// One cgroup; dropping it kills what runs in it and removes it.
#[derive(Debug)]
pub struct Cgroup {
    dir: Dir,
    _family: Arc<Dir>,
}

#[derive(Debug)]
struct Dir {
    path: PathBuf,
    mount: PathBuf,
}

impl Family {
    /// Makes the directory, and removes those that tests which were killed left behind.
    ///
    /// # Errors
    /// cgroup v2 is not mounted or not writable.
    pub fn new() -> Result<Self> {
        let mount = paths::cgroup2()?;
        sweep(&mount);
        let name = format!(
            "{PREFIX}{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let dir = Arc::new(Dir::make(mount.join(name), mount)?);
        Ok(Self { dir })
    }

    /// Makes a cgroup in it.
    ///
    /// # Errors
    /// It could not be made; it exists already.
    pub fn cgroup(&self, name: &str) -> Result<Cgroup> {
        let dir = Dir::make(self.dir.path.join(name), self.dir.mount.clone())?;
        Ok(Cgroup {
            dir,
            _family: Arc::clone(&self.dir),
        })
    }

    /// Lets the cgroups in it have limits of this controller.
    ///
    /// # Errors
    /// It is not there, or belongs to the old hierarchy.
    pub fn enable(&self, controller: &str) -> Result<()> {
        let file = self.dir.path.join("cgroup.subtree_control");
        fs::write(&file, format!("+{controller}")).with_context(|| {
            format!("the {controller} controller is not on cgroup v2 here: `cargo xtask trial leak` then takes a guest")
        })
    }

    /// Its path as verdicts show it.
    #[must_use]
    pub fn scope(&self) -> String {
        self.dir.scope()
    }
}

impl Cgroup {
    /// Sets a limit or another property, as `memory.max`.
    ///
    /// # Errors
    /// The controller is not enabled, or does not take it.
    pub fn set(&self, file: &str, value: &str) -> Result<()> {
        fs::write(self.dir.path.join(file), value).with_context(|| format!("{file} of {}", self.scope()))
    }

    /// Its path as verdicts show it: from the root of the hierarchy.
    #[must_use]
    pub fn scope(&self) -> String {
        self.dir.scope()
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir.path
    }

    /// cgroup v2 id.
    ///
    /// # Errors
    /// It is gone.
    pub fn id(&self) -> Result<u64> {
        use std::os::unix::fs::MetadataExt as _;
        Ok(fs::metadata(&self.dir.path)?.ino())
    }

    /// A command that runs in it from its first instruction on. Its process id is the one of the child.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", ENTER])
            .arg(self.dir.path.join("cgroup.procs"))
            .arg(program);
        command
    }

    /// Process ids in it.
    #[must_use]
    pub fn pids(&self) -> Vec<i32> {
        self.dir.pids()
    }

    /// Processes in it that the kernel ended for lack of memory.
    ///
    /// # Errors
    /// The kernel does not say: the memory controller is not enabled.
    pub fn oom_kills(&self) -> Result<u64> {
        let text = fs::read_to_string(self.dir.path.join("memory.events"))?;
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Ok(kills.context("no oom_kill in memory.events")?.parse()?)
    }

    /// CPU time its tasks have used.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn cpu_time(&self) -> Result<Duration> {
        let text = fs::read_to_string(self.dir.path.join("cpu.stat"))?;
        let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
        Ok(Duration::from_micros(
            used.context("no usage_usec in cpu.stat")?.parse()?,
        ))
    }
}

impl Dir {
    fn make(path: PathBuf, mount: PathBuf) -> Result<Self> {
        fs::create_dir(&path).with_context(|| format!("making the cgroup {}: run as root", path.display()))?;
        Ok(Self { path, mount })
    }

    fn scope(&self) -> String {
        let path = self.path.strip_prefix(&self.mount).unwrap_or(&self.path);
        format!("/{}", path.display())
    }

    fn pids(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.parse().ok())
            .filter(|pid| *pid > 0)
            .collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let removed = wait::until_true(LIMIT, || {
            for pid in self.pids() {
                // What lives here was started here; it may just have ended by itself.
                let _ = signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            match fs::remove_dir(&self.path) {
                Ok(()) => true,
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            }
        });
        if !removed {
            eprintln!("the cgroup {} could not be removed", self.path.display());
        }
    }
}

/// Removes empty cgroups of tests whose process is gone.
fn sweep(mount: &Path) {
    let Ok(entries) = fs::read_dir(mount) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(owner) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let pid = owner.split('-').next().unwrap_or(owner);
        if Path::new("/proc").join(pid).exists() {
            continue;
        }
        for child in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(child.path());
        }
        let _ = fs::remove_dir(entry.path());
    }
}
