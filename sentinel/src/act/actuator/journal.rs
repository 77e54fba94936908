//! The journal: what each change found, written and synced before the change is made, and what came of it. One JSON
//! object per line, schema `sentinel.lease/1`, in a file that only root may write and one process may hold.
//!
//! A line without its newline was never completed, so its change was never made: it is dropped. Anything else that is
//! not understood is an error, and nothing is done until somebody has looked. Never touches a cgroup.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{JournalError, Knob};
use crate::act::{
    action::{LeaseId, Target},
    message::{Ending, PutBack, Why},
};

/// Where it lies unless told otherwise.
pub const DEFAULT_PATH: &str = "/var/lib/sentinel/leases.jsonl";
/// The schema name in every line.
const SCHEMA: &str = "sentinel.lease/1";
/// New changes are recorded up to this size, bytes; what came of them may follow.
const MAX_BYTES: u64 = 1 << 20;
/// A file that is longer is none of ours, bytes.
const MAX_READ: u64 = 4 * MAX_BYTES;
/// An empty list of pending changes and a file longer than this: begin anew.
const COMPACT_BYTES: u64 = 64 * 1024;
/// How often the lock is tried, and the time between: a guard whose agent has died is done well within it.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A change of one file of one cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) lease: LeaseId,
    pub(super) target: Target,
    pub(super) knob: Knob,
    /// What the file said before.
    pub(super) found: String,
    /// What is written into it.
    pub(super) wrote: String,
    /// Wall clock, milliseconds since the Unix epoch.
    pub(super) unix_ms: i64,
}

impl Change {
    /// What came of undoing it.
    pub(super) fn put_back(&self, why: Why, ending: Ending, unix_ms: i64) -> PutBack {
        PutBack {
            lease: self.lease.clone(),
            target: self.target.clone(),
            knob: self.knob,
            found: self.found.clone(),
            wrote: self.wrote.clone(),
            why,
            ending,
            unix_ms,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    schema: String,
    boot_id: String,
    record: Record,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Change(Change),
    Undone(PutBack),
}

#[derive(Deserialize)]
struct Header {
    schema: String,
}

/// What was in the journal when it was opened.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Changes of this boot that nobody undid.
    pub(super) pending: Vec<Change>,
    /// Changes of an earlier boot that nobody undid.
    pub(super) rebooted: Vec<Change>,
    /// Changes that were undone without being asked for, so that their agent may not know.
    pub(super) undone: Vec<PutBack>,
}

/// The journal, held as long as this lives.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    boot_id: String,
    /// Length of what is complete, bytes.
    bytes: u64,
    pending: usize,
    /// A line is half written and could not be taken back.
    broken: bool,
}

/// How many changes of this boot a journal with these bytes holds that nobody undid. For who only looks: nothing is opened.
///
/// # Errors
/// See [`JournalError`]; `path` is named in it.
pub fn pending_in(bytes: &[u8], path: &Path, boot_id: &str) -> Result<usize, JournalError> {
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Ok(read_all(path, boot_id, &bytes[..complete])?.pending.len())
}

impl Journal {
    /// Takes the journal, making it (and its directory) where it is missing. Waits up to two seconds for another
    /// process that is about to end.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub(super) fn open(path: &Path, boot_id: &str) -> Result<(Self, Left), JournalError> {
        let mut file = open(path)?;
        lock(&file, path)?;
        let mut bytes = Vec::new();
        let read = (&mut file).take(MAX_READ + 1).read_to_end(&mut bytes);
        read.map_err(|error| unusable(path, &error))?;
        if bytes.len() as u64 > MAX_READ {
            return Err(foreign(path, 1, "the file is longer than a journal can be"));
        }
        let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let left = read_all(path, boot_id, &bytes[..complete])?;
        let mut journal = Self {
            file,
            path: path.to_owned(),
            boot_id: boot_id.to_owned(),
            bytes: complete as u64,
            pending: left.pending.len(),
            broken: false,
        };
        if complete < bytes.len() {
            journal.cut().map_err(|error| journal.not_written(&error))?;
        }
        Ok((journal, left))
    }

    /// Writes down a change that is about to be made, and waits until it is on the disk.
    ///
    /// # Errors
    /// It is not on the disk: the change must not be made.
    pub(super) fn change(&mut self, change: &Change) -> Result<(), JournalError> {
        if self.bytes > MAX_BYTES {
            self.clear();
        }
        if self.bytes > MAX_BYTES {
            return Err(JournalError::Full {
                path: self.path.display().to_string(),
                bytes: self.bytes,
            });
        }
        self.append(Record::Change(change.clone()))?;
        if let Err(error) = self.file.sync_data() {
            self.take_back(self.bytes);
            return Err(self.not_written(&error));
        }
        self.pending += 1;
        Ok(())
    }

    /// Writes down what came of a change. Not synced: if it is lost with the host, so are the cgroups.
    ///
    /// # Errors
    /// It could not be written; the next start will look at the change once more and find it undone.
    pub(super) fn undone(&mut self, put_back: &PutBack) -> Result<(), JournalError> {
        self.append(Record::Undone(put_back.clone()))?;
        self.pending = self.pending.saturating_sub(1);
        if self.pending == 0 && self.bytes > COMPACT_BYTES && put_back.why == Why::Asked {
            self.clear();
        }
        Ok(())
    }

    /// Begins anew where nothing is pending: what was in it has been told.
    pub(super) fn clear(&mut self) {
        if self.pending == 0 {
            self.take_back(0);
        }
    }

    fn append(&mut self, record: Record) -> Result<(), JournalError> {
        let line = Line {
            schema: SCHEMA.into(),
            boot_id: self.boot_id.clone(),
            record,
        };
        let mut text = serde_json::to_vec(&line).map_err(|error| self.not_written(&error.into()))?;
        text.push(b'\n');
        if self.broken {
            self.cut().map_err(|error| self.not_written(&error))?;
        }
        if let Err(error) = self.file.write_all(&text) {
            self.take_back(self.bytes);
            return Err(self.not_written(&error));
        }
        self.bytes += text.len() as u64;
        Ok(())
    }

    fn take_back(&mut self, bytes: u64) {
        self.bytes = bytes;
        // What could not be cut is tried again before the next line.
        self.broken = self.cut().is_err();
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.bytes)?;
        self.broken = false;
        Ok(())
    }

    fn not_written(&self, error: &io::Error) -> JournalError {
        JournalError::NotWritten {
            path: self.path.display().to_string(),
            reason: error.to_string(),
        }
    }
}

/// Opens the file without following a link, and refuses one that others may write.
fn open(path: &Path) -> Result<File, JournalError> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or(Path::new("."));
    if !dir.exists() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| unusable(path, &error))?;
    }
    let meta = fs::metadata(dir).map_err(|error| unusable(path, &error))?;
    only_ours(path, "its directory", &meta)?;
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| unusable(path, &error))?;
    let meta = file.metadata().map_err(|error| unusable(path, &error))?;
    if !meta.is_file() {
        return Err(unusable(path, &io::Error::other("not a regular file")));
    }
    only_ours(path, "it", &meta)?;
    Ok(file)
}

fn only_ours(path: &Path, what: &str, meta: &fs::Metadata) -> Result<(), JournalError> {
    let ours = meta.uid() == rustix::process::geteuid().as_raw();
    if ours && meta.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(JournalError::Unsafe {
        path: path.display().to_string(),
        reason: format!(
            "{what} belongs to user {} with mode {:o}",
            meta.uid(),
            meta.mode() & 0o7777
        ),
    })
}

fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(unusable(path, &error)),
        }
    }
    Err(JournalError::Locked {
        path: path.display().to_string(),
    })
}

fn read_all(path: &Path, boot_id: &str, bytes: &[u8]) -> Result<Left, JournalError> {
    let mut pending = BTreeMap::new();
    let mut left = Left::default();
    for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        let line = read_line(path, number, line)?;
        match line.record {
            Record::Change(change) if !(change.knob.takes(&change.found) && change.knob.takes(&change.wrote)) => {
                return Err(foreign(path, number, "its values are none of that file's"));
            }
            Record::Change(change) => {
                pending.insert(change.lease.clone(), (line.boot_id, change));
            }
            Record::Undone(put_back) => {
                pending.remove(&put_back.lease);
                if put_back.why != Why::Asked {
                    left.undone.push(put_back);
                }
            }
        }
    }
    for (boot, change) in pending.into_values() {
        if boot == boot_id {
            left.pending.push(change);
        } else {
            left.rebooted.push(change);
        }
    }
    Ok(left)
}

fn read_line(path: &Path, number: usize, line: &[u8]) -> Result<Line, JournalError> {
    let bad = |error: serde_json::Error| foreign(path, number, &error.to_string());
    let header: Header = serde_json::from_slice(line).map_err(bad)?;
    if header.schema != SCHEMA {
        return Err(JournalError::Version {
            path: path.display().to_string(),
            line: number,
            found: header.schema.chars().take(64).collect(),
        });
    }
    serde_json::from_slice(line).map_err(bad)
}

fn unusable(path: &Path, error: &io::Error) -> JournalError {
    JournalError::Unusable {
        path: path.display().to_string(),
        reason: error.to_string(),
    }
}

fn foreign(path: &Path, line: usize, reason: &str) -> JournalError {
    JournalError::Foreign {
        path: path.display().to_string(),
        line,
        reason: reason.into(),
    }
}
