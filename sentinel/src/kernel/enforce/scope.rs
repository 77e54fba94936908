//! The cgroup a policy is for: looked at before anything is attached to it. Changes nothing.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs};

use super::EnforceError;

/// A cgroup, by its directory and its id. Both must fit: a path may be used again, an id never is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its directory in the file system.
    pub path: PathBuf,
    /// cgroup v2 id, as in a verdict.
    pub id: u64,
}

impl Scope {
    /// Opens it, if it is a cgroup, still the same, and not the root.
    pub(super) fn open(&self) -> Result<File, EnforceError> {
        let failed = |source: io::Error| match source.kind() {
            ErrorKind::NotFound => self.vanished(None),
            ErrorKind::NotADirectory => EnforceError::NotACgroup(self.path.clone()),
            _ => EnforceError::Unreadable {
                path: self.path.clone(),
                source,
            },
        };
        let dir = File::open(&self.path).map_err(failed)?;
        let system = fstatfs(&dir).map_err(|errno| failed(errno.into()))?;
        let metadata = dir.metadata().map_err(failed)?;
        if system.filesystem_type() != CGROUP2_SUPER_MAGIC || !metadata.is_dir() {
            return Err(EnforceError::NotACgroup(self.path.clone()));
        }
        if metadata.ino() != self.id {
            return Err(self.vanished(Some(metadata.ino())));
        }
        if is_root(&self.path) {
            return Err(EnforceError::Root);
        }
        Ok(dir)
    }

    pub(super) fn vanished(&self, found: Option<u64>) -> EnforceError {
        EnforceError::Vanished {
            path: self.path.clone(),
            id: self.id,
            found,
        }
    }
}

/// Every cgroup but the root tells its events.
fn is_root(dir: &Path) -> bool {
    !dir.join("cgroup.events").exists()
}
