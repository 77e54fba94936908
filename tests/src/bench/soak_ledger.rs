//! The books of a soak: what the agent says it saw, added up from the recording that it writes meanwhile.
//!
//! In: the recording, as it grows. Out: sums by cgroup, losses by kind, and who has a slot now. A recording has every sample,
//! and says at its end how many: none can be missing here. What was read is let go of on the disk, so that hours of it take no
//! room. Never asks the agent anything.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{File, OpenOptions},
    io::{self, BufReader, Read},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::fcntl::{FallocateFlags, fallocate};
use sentinel::sense::{
    replay::Replay,
    sample::{Sample, Scope, ScopeKind},
};
use serde::Serialize;

/// Time between two looks whether there is more.
const STEP: Duration = Duration::from_millis(20);
/// What was read is let go of in pieces of so many bytes.
const PIECE_BYTES: u64 = 8 << 20;
/// What belongs to no slot has this id.
const OTHER: u64 = 0;
/// How the path of a cgroup begins whose name is not known.
const NAMELESS: char = '?';

/// Connections, as they were made or as they were counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Connections {
    /// `connect` was called.
    pub attempts: u64,
    /// And was refused.
    pub failures: u64,
    /// And was established.
    pub connects: u64,
    /// Connections that were accepted.
    pub accepts: u64,
}

/// What the agent saw of some cgroups, and what it lost.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// How many of them had a slot.
    pub seen: u64,
    /// How many of them had a name.
    pub named: u64,
    /// Connections of all of them.
    pub counted: Connections,
    /// Connections of whoever had no slot, of the whole host.
    pub other: Connections,
    /// Losses by kind, of the whole host.
    pub losses: BTreeMap<String, u64>,
}

/// The books, which fill while the agent runs.
#[derive(Debug)]
pub struct Ledger {
    sums: Arc<Mutex<Sums>>,
    ended: Arc<AtomicBool>,
    reader: Option<JoinHandle<Result<u64>>>,
}

/// Sums so far.
#[derive(Debug, Default)]
struct Sums {
    /// cgroups that had a slot, and whether they had a name.
    met: HashMap<u64, bool>,
    counted: HashMap<u64, Connections>,
    losses: BTreeMap<String, u64>,
    ticks: u64,
    at_ns: u64,
    roster: Arc<Vec<Arc<Scope>>>,
    most_slots: u64,
}

impl Ledger {
    /// Reads along. The file must be there.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn follow(recording: &Path) -> Result<Self> {
        let opened = OpenOptions::new().read(true).write(true).open(recording);
        let file = opened.with_context(|| format!("opening the recording {}", recording.display()))?;
        let (sums, ended) = (Arc::<Mutex<Sums>>::default(), Arc::<AtomicBool>::default());
        let growing = Growing {
            file,
            read: 0,
            let_go: 0,
            ended: Arc::clone(&ended),
        };
        let into = Arc::clone(&sums);
        let reader = thread::spawn(move || add_up(growing, &into));
        Ok(Self {
            sums,
            ended,
            reader: Some(reader),
        })
    }

    /// Ticks so far.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.sums().ticks
    }

    /// When the last sample that was added up had been read, `CLOCK_MONOTONIC`, nanoseconds. The agent writes in pieces, so
    /// that this may lie seconds back.
    #[must_use]
    pub fn at_ns(&self) -> u64 {
        self.sums().at_ns
    }

    /// Slots that have an owner now.
    #[must_use]
    pub fn slots(&self) -> u64 {
        self.sums().owners().count() as u64
    }

    /// The most slots that had an owner at a time, since the beginning or the last [`Self::forget_most`].
    #[must_use]
    pub fn most_slots(&self) -> u64 {
        self.sums().most_slots
    }

    /// What was most so far does not count from now on.
    pub fn forget_most(&self) {
        self.sums().most_slots = 0;
    }

    /// How many of these cgroups have a slot now.
    #[must_use]
    pub fn held(&self, of: &HashSet<u64>) -> u64 {
        self.sums().owners().filter(|id| of.contains(id)).count() as u64
    }

    /// Losses by kind so far.
    #[must_use]
    pub fn losses(&self) -> BTreeMap<String, u64> {
        self.sums().losses.clone()
    }

    /// What was seen of these cgroups so far.
    #[must_use]
    pub fn of(&self, cgroups: &HashSet<u64>) -> Books {
        self.sums().of(cgroups)
    }

    /// Reads to the end, once the agent has ended; how many samples there were.
    ///
    /// # Errors
    /// The recording is not whole.
    pub fn end(mut self) -> Result<u64> {
        self.ended.store(true, Ordering::Release);
        let reader = self.reader.take().context("the recording was read to its end before")?;
        reader.join().ok().context("who reads the recording panicked")?
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
    }
}

impl Sums {
    /// cgroups that have a slot.
    fn owners(&self) -> impl Iterator<Item = u64> {
        let cgroups = self.roster.iter().filter(|scope| scope.kind == ScopeKind::Cgroup);
        cgroups.map(|scope| scope.cgroup_id)
    }

    fn add(&mut self, sample: &Sample) {
        self.at_ns = sample.now.monotonic_ns;
        self.ticks += u64::from(sample.elapsed.mem_ns.is_some());
        if !Arc::ptr_eq(&self.roster, &sample.roster) {
            self.roster = Arc::clone(&sample.roster);
            for scope in sample.roster.iter().filter(|scope| scope.kind == ScopeKind::Cgroup) {
                *self.met.entry(scope.cgroup_id).or_default() |= !scope.path.starts_with(NAMELESS);
            }
            self.most_slots = self.most_slots.max(self.owners().count() as u64);
        }
        for part in &sample.scopes {
            let Some(net) = part.net else { continue };
            if net.connect_attempts + net.connect_failures + net.connects + net.accepts > 0 {
                let sum = self.counted.entry(part.scope.cgroup_id).or_default();
                sum.attempts += net.connect_attempts;
                sum.failures += net.connect_failures;
                sum.connects += net.connects;
                sum.accepts += net.accepts;
            }
        }
        for loss in &sample.losses {
            *self.losses.entry(loss.kind.clone()).or_default() += loss.count;
        }
    }

    fn of(&self, cgroups: &HashSet<u64>) -> Books {
        let met = || cgroups.iter().filter_map(|id| self.met.get(id));
        let mut books = Books {
            seen: met().count() as u64,
            named: met().filter(|named| **named).count() as u64,
            other: self.counted.get(&OTHER).copied().unwrap_or_default(),
            losses: self.losses.clone(),
            ..Books::default()
        };
        for counted in cgroups.iter().filter_map(|id| self.counted.get(id)) {
            books.counted.attempts += counted.attempts;
            books.counted.failures += counted.failures;
            books.counted.connects += counted.connects;
            books.counted.accepts += counted.accepts;
        }
        books
    }
}

/// Every sample of the recording, to its end.
fn add_up(growing: Growing, into: &Mutex<Sums>) -> Result<u64> {
    let replay = Replay::new(BufReader::with_capacity(1 << 20, growing))?;
    let mut samples = 0;
    for sample in replay {
        let sample = sample.with_context(|| format!("the recording, after {samples} samples"))?;
        into.lock().unwrap_or_else(PoisonError::into_inner).add(&sample);
        samples += 1;
    }
    Ok(samples)
}

/// A file that somebody still writes: its end is the end only once that has ended.
#[derive(Debug)]
struct Growing {
    file: File,
    read: u64,
    let_go: u64,
    ended: Arc<AtomicBool>,
}

impl Read for Growing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            // Asked before reading: what was written before the end is then found.
            let ended = self.ended.load(Ordering::Acquire);
            let read = self.file.read(into)?;
            if read > 0 || ended {
                self.read += read as u64;
                self.let_go();
                return Ok(read);
            }
            thread::sleep(STEP);
        }
    }
}

impl Growing {
    /// Gives back the room of what was read. A file system that cannot keeps it until the file goes.
    fn let_go(&mut self) {
        let length = self.read - self.let_go;
        if length < PIECE_BYTES {
            return;
        }
        let (from, length) = (self.let_go.cast_signed(), length.cast_signed());
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let _ = fallocate(&self.file, flags, from, length);
        self.let_go = self.read;
    }
}

#[cfg(test)]
mod tests {
    use sentinel::{
        sense::{
            cgroups,
            record::{Header, Recorder},
            sample::{Elapsed, Loss, Net, Origin, ScopeSample},
        },
        time::Now,
    };

    use super::*;
    use crate::wait;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A tick in which these cgroups have a slot, and one of them attempted connections.
    fn tick(seq: u64, roster: &[(u64, &str)], attempts: u64) -> Sample {
        let scopes: Vec<_> = roster
            .iter()
            .map(|(id, path)| Arc::new(cgroups::named(*id, path)))
            .collect();
        let part = scopes.first().map(|scope| ScopeSample {
            scope: Arc::clone(scope),
            net: Some(Net {
                connect_attempts: attempts,
                ..Net::default()
            }),
            ..ScopeSample::default()
        });
        Sample {
            seq,
            now: Now {
                monotonic_ns: seq * 1_000,
                ..Now::default()
            },
            elapsed: Elapsed {
                mem_ns: Some(1_000),
                ..Elapsed::default()
            },
            scopes: part.into_iter().collect(),
            roster: Arc::new(scopes),
            losses: vec![Loss {
                kind: "no_free_slot".to_owned(),
                count: 2,
            }],
            ..Sample::default()
        }
    }

    #[test]
    fn a_recording_that_grows_is_added_up_by_cgroup() -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let mut recorder = Recorder::new(file.reopen()?, &Header::new(Origin::default(), STEP, STEP))?;
        let ledger = Ledger::follow(file.path())?;
        recorder.record(&tick(1, &[(7, "/mine"), (8, "?8"), (9, "/foreign")], 5))?;
        assert!(wait::until_true(LIMIT, || ledger.ticks() == 1), "{ledger:?}");
        let mine = HashSet::from([7, 8, 10]);
        assert_eq!((ledger.slots(), ledger.most_slots(), ledger.held(&mine)), (3, 3, 2));
        recorder.record(&tick(2, &[(9, "/foreign")], 100))?;
        recorder.record(&tick(3, &[(7, "/mine"), (9, "/foreign")], 2))?;
        assert!(wait::until_true(LIMIT, || ledger.at_ns() == 3_000), "{ledger:?}");
        let books = ledger.of(&mine);
        assert_eq!((books.seen, books.named, books.counted.attempts), (2, 1, 7));
        assert_eq!(books.losses, BTreeMap::from([("no_free_slot".to_owned(), 6)]));
        assert_eq!((ledger.slots(), ledger.most_slots()), (2, 3));
        recorder.finish()?;
        assert_eq!(ledger.end()?, 3);
        Ok(())
    }

    #[test]
    fn a_recording_that_is_cut_off_is_no_recording() -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let mut recorder = Recorder::new(file.reopen()?, &Header::new(Origin::default(), STEP, STEP))?;
        let ledger = Ledger::follow(file.path())?;
        recorder.record(&tick(1, &[(7, "/mine")], 5))?;
        let error = ledger.end().expect_err("the end is missing");
        assert!(format!("{error:#}").contains("cut off"), "{error:#}");
        Ok(())
    }
}
