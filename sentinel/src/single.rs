//! One agent per host: an advisory lock on a file. Owns that file and nothing else.
//!
//! The kernel drops the lock with the process, however it ends, so there is nothing stale to clean up. The file stays;
//! removing it would let two agents lock two files of the same name.
#![forbid(unsafe_code)]

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Where the lock lies unless told otherwise.
pub const DEFAULT_PATH: &str = "/run/sentinel/sentinel.lock";

/// The lock, held as long as this lives.
#[derive(Debug)]
pub struct SingleInstance {
    _locked: File,
}

/// This agent may not start beside another, or cannot tell.
#[derive(Debug, thiserror::Error)]
pub enum SingleError {
    /// Another agent holds the lock.
    #[error(
        "another sentinel is running (pid {holder}); stop it with `kill {holder}`, or give this one another --lock"
    )]
    Held {
        /// Its process id.
        holder: u32,
        /// Where the lock lies.
        path: PathBuf,
    },
    /// Another process holds the lock and did not say who it is.
    #[error("{path} is locked by another process; find it with `fuser {path}`", path = .path.display())]
    HeldByUnknown {
        /// Where the lock lies.
        path: PathBuf,
    },
    /// The file cannot be made or locked.
    #[error("cannot lock {path}: {source}; run as root, or give another --lock", path = .path.display())]
    Unusable {
        /// Where the lock should lie.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl SingleInstance {
    /// Takes the lock at `path`, making its directory (0755) where it is missing, and writes down who holds it: pid and
    /// `boot_id`, one line each. Never waits.
    ///
    /// # Errors
    /// See [`SingleError`].
    pub fn acquire(path: &Path, boot_id: &str) -> Result<Self, SingleError> {
        let unusable = |source| SingleError::Unusable {
            path: path.to_owned(),
            source,
        };
        let mut file = open(path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(path, &mut file)),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        write_holder(&mut file, boot_id).map_err(unusable)?;
        Ok(Self { _locked: file })
    }
}

/// Does not follow a link as the last part: whoever may write to the directory must not choose the file.
fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()) {
        DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

fn write_holder(file: &mut File, boot_id: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}\n{boot_id}\n", std::process::id())
}

fn held(path: &Path, file: &mut File) -> SingleError {
    let mut text = String::new();
    let read = file.take(64).read_to_string(&mut text);
    match read.ok().and_then(|_| text.lines().next()?.parse().ok()) {
        Some(holder) => SingleError::Held {
            holder,
            path: path.to_owned(),
        },
        None => SingleError::HeldByUnknown { path: path.to_owned() },
    }
}

/// The pid written into the lock at `path`, whether it is still held or not; `None` where there is none.
#[must_use]
pub fn holder(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.lines().next()?.parse().ok()
}

/// The process that holds the lock at `path` now, as the kernel lists it; `None` where nobody does. Takes no lock, not
/// even for a moment: an agent that starts meanwhile would be refused.
#[must_use]
pub fn running(path: &Path) -> Option<u32> {
    let (pid, inode) = (holder(path)?, fs::metadata(path).ok()?.ino());
    let locks = procfs::locks().ok()?;
    let held = locks
        .iter()
        .any(|lock| lock.inode == inode && lock.pid.and_then(|pid| u32::try_from(pid).ok()) == Some(pid));
    held.then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "9f0c2f2e-0000-4000-8000-000000000001";

    #[test]
    fn a_second_instance_is_told_who_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/sentinel.lock");
        let first = SingleInstance::acquire(&path, BOOT).unwrap();
        let second = SingleInstance::acquire(&path, BOOT).unwrap_err();
        assert!(matches!(second, SingleError::Held { holder, .. } if holder == std::process::id()));
        drop(first);
        SingleInstance::acquire(&path, BOOT).unwrap();
    }

    #[test]
    fn the_file_names_pid_and_boot() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sentinel.lock");
        fs::write(
            &path,
            "a much longer line than what comes, from a holder of long ago, and then some more\n",
        )
        .unwrap();
        let _lock = SingleInstance::acquire(&path, BOOT).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{}\n{BOOT}\n", std::process::id())
        );
        assert_eq!(holder(&path), Some(std::process::id()));
    }

    #[test]
    fn only_a_lock_that_is_held_has_somebody_running() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sentinel.lock");
        assert_eq!(running(&path), None);
        let lock = SingleInstance::acquire(&path, BOOT).unwrap();
        assert_eq!(running(&path), Some(std::process::id()));
        drop(lock);
        assert_eq!((holder(&path), running(&path)), (Some(std::process::id()), None));
    }

    #[test]
    fn a_holder_that_did_not_say_who_it_is_still_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sentinel.lock");
        let other = File::create(&path).unwrap();
        other.try_lock().unwrap();
        let error = SingleInstance::acquire(&path, BOOT).unwrap_err();
        assert!(matches!(error, SingleError::HeldByUnknown { .. }));
        assert!(error.to_string().contains("fuser"));
    }

    #[test]
    fn a_link_or_a_directory_in_its_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("precious");
        fs::write(&target, "keep me").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        for path in [link.as_path(), dir.path()] {
            assert!(matches!(
                SingleInstance::acquire(path, BOOT),
                Err(SingleError::Unusable { .. })
            ));
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "keep me");
    }
}
