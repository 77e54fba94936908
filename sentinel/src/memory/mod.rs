//! The memory of an agent: what its judge learned, kept over a restart in a file `state.json`, schema `sentinel.learned/1`.
//!
//! Owns the file and a thread that writes it: at a tick a few scopes are copied, never all, and a slow or full disk delays nobody. In: a
//! judge. Out: the file, replaced as a whole every few minutes and at a clean end, and what an earlier run left in it. Never keeps an alarm.
#![forbid(unsafe_code)]

mod error;
mod file;
mod folder;
#[cfg(test)]
mod tests;
mod writer;

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    config::Account,
    judge::{
        Judge, Key,
        learned::{Remembered, ScopeLearned},
    },
    sense::sample::Origin,
    time::Now,
};

pub use self::{
    error::MemoryError,
    file::{Found, MAX_BYTES, SCHEMA, understood},
};
use self::{folder::Folder, writer::Writer};

/// Scopes copied at a tick, at the most: some tenths of a millisecond.
const AT_ONCE: usize = 64;

/// The folder, opened before rights are given up, and what was in it.
#[derive(Debug)]
pub struct Opened {
    folder: Folder,
    origin: Arc<Origin>,
    found: Option<Found>,
}

impl Opened {
    /// Opens the memory below a state directory, for an agent that becomes `account`, and reads what is there. What cannot be used is said
    /// once, with the remedy, and put aside: an agent without a memory judges all the same.
    #[must_use]
    pub fn open(dir: &std::path::Path, account: Option<&Account>, origin: &Arc<Origin>) -> Option<Self> {
        let folder = match Folder::open(dir, account) {
            Ok(folder) => folder,
            Err(error) => {
                tracing::warn!("{error}");
                return None;
            }
        };
        let found = file::read(&folder).unwrap_or_else(|error| {
            tracing::warn!("{error}");
            // Written over, it would be gone for the one who could still read it.
            if error.is_about_content()
                && let Err(error) = folder.put_aside()
            {
                tracing::warn!("{error}");
            }
            None
        });
        Some(Self {
            folder,
            origin: Arc::clone(origin),
            found,
        })
    }

    /// What Landlock has to leave open for it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.by_descriptor()
    }

    /// Starts the thread that writes, after rights were given up. A picture is begun every `every`.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(self, every: Duration) -> std::io::Result<Memory> {
        let file = self.folder.file();
        Ok(Memory {
            found: self.found,
            file,
            boot_id: self.origin.boot_id.clone(),
            every_ns: u64::try_from(every.as_nanos()).unwrap_or(u64::MAX),
            begun: None,
            after: None,
            gathered: Vec::new(),
            gathering: false,
            told: false,
            writer: Writer::start(self.folder)?,
        })
    }
}

/// A picture of all scopes as of one time.
#[derive(Debug)]
pub(crate) struct Picture {
    boot_id: String,
    taken: Now,
    scopes: Vec<ScopeLearned>,
}

/// The memory of a running agent.
#[derive(Debug)]
pub struct Memory {
    found: Option<Found>,
    file: PathBuf,
    boot_id: String,
    every_ns: u64,
    /// When the last picture was begun.
    begun: Option<Now>,
    /// How far it is.
    after: Option<Key>,
    gathered: Vec<ScopeLearned>,
    gathering: bool,
    /// What was taken over has been said.
    told: bool,
    writer: Writer,
}

impl Memory {
    /// Gives a judge that begins what an earlier run had learned.
    pub fn recall(&mut self, judge: &mut Judge) {
        let Some(found) = self.found.take() else {
            self.told = true;
            return;
        };
        let same_boot = found.boot_id == self.boot_id;
        judge.remember(Remembered::new(found.scopes, found.taken, same_boot));
    }

    /// After a tick: copies some scopes where a picture is due, and hands it to the writer once it is whole.
    pub fn tick(&mut self, judge: &Judge, now: Now) {
        self.tell(judge, now);
        let begun_ns = self.begun.get_or_insert(now).monotonic_ns;
        if !self.gathering {
            if now.monotonic_ns.saturating_sub(begun_ns) < self.every_ns {
                return;
            }
            self.begin(now);
        }
        self.after = judge.learned(self.after, AT_ONCE, &mut self.gathered);
        if self.after.is_none() {
            self.gathering = false;
            let picture = self.picture();
            self.writer.offer(picture);
        }
    }

    /// At a clean end: all of it, and waits at most `patience` until it is on the disk.
    pub fn finish(mut self, judge: &Judge, now: Now, patience: Duration) {
        self.begin(now);
        judge.learned(None, usize::MAX, &mut self.gathered);
        // An agent that was told to end before it learned anything leaves what there is.
        if !self.gathered.is_empty() {
            let picture = self.picture();
            self.writer.offer_patiently(picture, patience);
        }
        self.writer.finish(patience);
    }

    fn begin(&mut self, now: Now) {
        (self.begun, self.after, self.gathering) = (Some(now), None, true);
        self.gathered.clear();
    }

    fn picture(&mut self) -> Picture {
        Picture {
            boot_id: self.boot_id.clone(),
            taken: self.begun.unwrap_or_default(),
            scopes: std::mem::take(&mut self.gathered),
        }
    }

    /// Once, after the first tick: what was taken over, or why nothing was.
    fn tell(&mut self, judge: &Judge, now: Now) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let (remembered, file) = (judge.remembered(), self.file.display());
        match remembered.age_s(now) {
            Some(age_s) => tracing::info!(
                "took over what was learned of {} scopes from {file}, {age_s:.0} s old; {} more are waited for",
                remembered.recalled(),
                remembered.waiting()
            ),
            None => tracing::warn!(
                "{file} is from the future or more than a week old, and was not taken over: the clock may have been set; it is written anew"
            ),
        }
    }
}
