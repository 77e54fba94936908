//! The folder of the memory: `learned` in the state directory, which belongs to the agent alone. It is held open and gone to by its
//! descriptor, so that a user who may not pass through the state directory still gets there. What acts keeps its journal beside it, as root.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, fchown},
    },
    path::{Path, PathBuf},
};

use super::MemoryError;
use crate::config::Account;

/// Its name in the state directory.
const FOLDER: &str = "learned";
/// The file in it, the one that is being written, and the one that was not understood.
const FILE: &str = "state.json";
const NEW: &str = ".state.json.new";
const ASIDE: &str = "state.json.unknown";

/// The folder, held open.
#[derive(Debug)]
pub(super) struct Folder {
    held: File,
    path: PathBuf,
    /// Who may have written there: who the agent is, and who it becomes.
    users: Vec<u32>,
}

impl Folder {
    /// Opens it, and makes it where it is missing.
    ///
    /// # Errors
    /// It cannot be opened, or others may write there.
    pub(super) fn open(dir: &Path, account: Option<&Account>) -> Result<Self, MemoryError> {
        let path = dir.join(FOLDER);
        let unusable = |source| MemoryError::Folder {
            path: path.display().to_string(),
            source,
        };
        if !path.is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(unusable)?;
        }
        let held = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(&path)
            .map_err(unusable)?;
        let own = rustix::process::geteuid().as_raw();
        let becomes = account.filter(|account| own == 0 && account.uid != own);
        let users: Vec<u32> = [0, own].into_iter().chain(becomes.map(|account| account.uid)).collect();
        let meta = held.metadata().map_err(unusable)?;
        only_ours(&path, &meta, &users, false)?;
        if let Some(account) = becomes.filter(|account| account.uid != meta.uid()) {
            // Where it may not be given away, the first attempt to write says so.
            let _ = fchown(&held, Some(account.uid), Some(account.gid));
        }
        Ok(Self { held, path, users })
    }

    /// The folder as the process itself gets there, whoever it is.
    pub(super) fn by_descriptor(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.held.as_raw_fd()).into()
    }

    /// The file, for messages.
    pub(super) fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// Opens the file to read it; `None`: there is none.
    ///
    /// # Errors
    /// It cannot be opened, or others may have written it.
    pub(super) fn read(&self) -> Result<Option<File>, MemoryError> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(self.by_descriptor().join(FILE));
        let unreadable = |source| MemoryError::Unreadable {
            path: self.file().display().to_string(),
            source,
        };
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(unreadable)?,
        };
        let meta = file.metadata().map_err(unreadable)?;
        if !meta.is_file() {
            return Err(unreadable(io::Error::other("it is no regular file")));
        }
        only_ours(&self.file(), &meta, &self.users, true)?;
        Ok(Some(file))
    }

    /// Keeps the file under another name, instead of one that was kept before.
    ///
    /// # Errors
    /// It stays where it is.
    pub(super) fn put_aside(&self) -> Result<(), MemoryError> {
        let folder = self.by_descriptor();
        fs::rename(folder.join(FILE), folder.join(ASIDE)).map_err(|source| MemoryError::Stays {
            path: self.file().display().to_string(),
            source,
        })
    }

    /// Writes the file: beside it first, then in its place, each on the disk before the next step. A reader sees one or the other, whole.
    ///
    /// # Errors
    /// What was there before is still there.
    pub(super) fn write(&self, text: &[u8]) -> Result<(), MemoryError> {
        let folder = self.by_descriptor();
        let beside = folder.join(NEW);
        // What a killed agent left is not written into.
        let _ = fs::remove_file(&beside);
        let written = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(text)?;
            file.sync_all()?;
            fs::rename(&beside, folder.join(FILE))?;
            self.held.sync_all()
        })();
        written.map_err(|source| {
            // Half a file takes room that another may need.
            let _ = fs::remove_file(&beside);
            MemoryError::Unwritten {
                path: self.file().display().to_string(),
                source,
            }
        })
    }
}

fn only_ours(path: &Path, meta: &fs::Metadata, users: &[u32], is_file: bool) -> Result<(), MemoryError> {
    if users.contains(&meta.uid()) && meta.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(MemoryError::Unsafe {
        path: path.display().to_string(),
        reason: format!("it belongs to user {} with mode {:o}", meta.uid(), meta.mode() & 0o7777),
        mode: if is_file { "600" } else { "700" },
        is_file,
    })
}
