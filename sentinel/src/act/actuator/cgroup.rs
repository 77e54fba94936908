//! Orders on files of cgroups. Owns the leases, each with what it found, and their deadlines; writes the journal first,
//! then the file. Whoever holds it must call [`CgroupActuator::lapse`] in time: the guard does.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
};

use super::{
    Actuator, ActuatorError, Knob,
    directory::{Directory, Hierarchy, not_ours},
    journal::{Change, Journal},
    knob::{Found, wanted},
    restore,
};
use crate::{
    act::{
        action::{Action, LeaseId, Order, Ttl},
        message::{Applied, Ending, PutBack, Why},
    },
    time::Now,
};

/// Its name in messages.
pub(super) const NAME: &str = "cgroup";
/// Leases at a time.
pub const MAX_LEASES: usize = 64;
/// Leases that ended and are still remembered.
const MAX_ENDED: usize = 64;
/// The longest a cgroup may be frozen, however often that is renewed.
const MAX_FREEZE_NS: u64 = 60_000_000_000;
/// Time until what could not be undone is tried again.
const RETRY_NS: u64 = 1_000_000_000;

/// Where it works.
#[derive(Clone, Debug)]
pub struct CgroupOptions {
    /// Where cgroup v2 is mounted.
    pub mount: PathBuf,
    /// Where the journal lies.
    pub journal: PathBuf,
    /// Boot id of the kernel.
    pub boot_id: String,
    /// Whether cgroups may be frozen.
    pub allow_freeze: bool,
}

/// Does orders on files of cgroups.
#[derive(Debug)]
pub struct CgroupActuator {
    hierarchy: Hierarchy,
    journal: Journal,
    allow_freeze: bool,
    held: BTreeMap<LeaseId, Held>,
    ended: VecDeque<PutBack>,
}

#[derive(Debug)]
struct Held {
    change: Change,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    deadline_ns: u64,
    /// No renewal goes beyond it.
    last_ns: u64,
    /// Being undone, and why; tried again at the deadline.
    ending: Option<Why>,
}

impl CgroupActuator {
    /// Takes the journal and puts back at once what it says nobody undid. Returns what came of each.
    ///
    /// # Errors
    /// No hierarchy, or a journal that cannot be used; nothing was touched then.
    pub fn open(options: &CgroupOptions, now: Now) -> Result<(Self, Vec<PutBack>), ActuatorError> {
        let hierarchy = Hierarchy::open(&options.mount)?;
        let (mut journal, left) = Journal::open(&options.journal, &options.boot_id)?;
        let (told, not_yet) = restore::all(&hierarchy, &mut journal, left, Why::FoundAtStart, now);
        let retry_ns = now.monotonic_ns.saturating_add(RETRY_NS);
        let held = not_yet.into_iter().map(|change| {
            let held = Held {
                deadline_ns: retry_ns,
                last_ns: retry_ns,
                ending: Some(Why::FoundAtStart),
                change,
            };
            (held.change.lease.clone(), held)
        });
        let actuator = Self {
            allow_freeze: options.allow_freeze,
            held: held.collect(),
            ended: VecDeque::new(),
            hierarchy,
            journal,
        };
        Ok((actuator, told))
    }

    /// Undoes what was not renewed in time, and tries again what could not be undone.
    pub fn lapse(&mut self, now: Now) -> Vec<PutBack> {
        let due = |held: &&Held| held.deadline_ns <= now.monotonic_ns;
        let due: Vec<LeaseId> = self
            .held
            .values()
            .filter(due)
            .map(|held| held.change.lease.clone())
            .collect();
        due.iter()
            .filter_map(|lease| self.end(lease, Why::Lapsed, now))
            .collect()
    }

    /// When [`Self::lapse`] is next to be called, `CLOCK_MONOTONIC`, nanoseconds; `None` while nothing is held.
    #[must_use]
    pub fn next_ns(&self) -> Option<u64> {
        self.held.values().map(|held| held.deadline_ns).min()
    }

    /// Undoes everything.
    pub fn end_all(&mut self, why: Why, now: Now) -> Vec<PutBack> {
        let all: Vec<LeaseId> = self.held.keys().cloned().collect();
        all.iter().filter_map(|lease| self.end(lease, why, now)).collect()
    }

    /// Undoes one. What cannot be undone yet stays held, without a way to renew it.
    fn end(&mut self, lease: &LeaseId, why: Why, now: Now) -> Option<PutBack> {
        let held = self.held.get_mut(lease)?;
        let why = *held.ending.get_or_insert(why);
        let put_back = restore::one(&self.hierarchy, &mut self.journal, &held.change, why, now);
        if !put_back.is_over() {
            held.deadline_ns = now.monotonic_ns.saturating_add(RETRY_NS);
            return Some(put_back);
        }
        self.held.remove(lease);
        self.ended.truncate(MAX_ENDED - 1);
        self.ended.push_front(put_back.clone());
        Some(put_back)
    }

    fn ended(&self, lease: &LeaseId) -> Option<&PutBack> {
        self.ended.iter().find(|put_back| put_back.lease == *lease)
    }

    /// What does not depend on the cgroup.
    fn admit(&self, order: &Order) -> Result<Knob, ActuatorError> {
        let path = || order.target().path().to_owned();
        let knob = Knob::of(order.action());
        if !knob.is_file() {
            return Err(ActuatorError::NotMine {
                actuator: NAME.into(),
                action: order.action().name().into(),
            });
        }
        if knob == Knob::Freeze && !self.allow_freeze {
            return Err(ActuatorError::FreezeNotAllowed { path: path() });
        }
        let lease = order.lease();
        if self.held.contains_key(lease) || self.ended(lease).is_some() {
            return Err(ActuatorError::LeaseTaken { lease: lease.clone() });
        }
        let id = order.target().cgroup_id();
        let mut held = self.held.values().map(|held| &held.change);
        if let Some(other) = held.find(|other| other.knob == knob && other.target.cgroup_id() == id) {
            return Err(ActuatorError::Held {
                path: path(),
                file: knob.file().into(),
                holder: other.lease.clone(),
            });
        }
        if self.held.len() >= MAX_LEASES {
            return Err(ActuatorError::TooMany { most: MAX_LEASES });
        }
        not_ours(order.target())?;
        Ok(knob)
    }

    /// The change an order makes, from what the cgroup says now.
    fn change(&self, order: &Order, knob: Knob, directory: &Directory, now: Now) -> Result<Change, ActuatorError> {
        let path = order.target().path();
        let read = |file: &str| {
            let text = directory.read(file).map_err(|error| ActuatorError::Unusable {
                path: path.into(),
                reason: format!("{file} cannot be read: {error}"),
            })?;
            text.ok_or_else(|| self.hierarchy.no_file(order.target(), knob))
        };
        let text = read(knob.file())?;
        let memory_bytes = match order.action() {
            Action::MemoryHigh { .. } => read("memory.current")?.parse().ok(),
            _ => None,
        };
        let found = Found {
            path,
            text: &text,
            memory_bytes,
            page_bytes: rustix::param::page_size() as u64,
        };
        Ok(Change {
            lease: order.lease().clone(),
            target: order.target().clone(),
            knob,
            wrote: wanted(order.action(), found)?,
            found: text,
            unix_ms: now.unix_ms,
        })
    }

    /// Writes a recorded change; where the kernel takes it otherwise than meant, undoes it.
    fn write(&mut self, change: &Change, directory: &Directory, now: Now) -> Result<(), ActuatorError> {
        let file = change.knob.file();
        let written = directory.write(file, &change.wrote).and_then(|_| directory.read(file));
        let reason = match written {
            Ok(Some(text)) if text == change.wrote => return Ok(()),
            Ok(Some(text)) => format!("it says {text:?} then"),
            Ok(None) => "it is gone".into(),
            Err(error) => error.to_string(),
        };
        // Whatever it says now is our own doing: what was found is written without asking.
        let ending = restore::write(directory, change.knob, &change.found);
        if let Ending::NotYet { .. } = ending {
            let deadline_ns = now.monotonic_ns.saturating_add(RETRY_NS);
            let held = Held {
                change: change.clone(),
                deadline_ns,
                last_ns: deadline_ns,
                ending: Some(Why::Failed),
            };
            self.held.insert(change.lease.clone(), held);
        } else {
            // Without this line the next start looks once more and finds it undone.
            let _ = self.journal.undone(&change.put_back(Why::Failed, ending, now.unix_ms));
        }
        Err(ActuatorError::Kernel {
            path: change.target.path().into(),
            file: file.into(),
            value: change.wrote.clone(),
            reason,
        })
    }
}

impl Actuator for CgroupActuator {
    fn name(&self) -> &'static str {
        NAME
    }

    fn apply(&mut self, order: &Order, now: Now) -> Result<Applied, ActuatorError> {
        let knob = self.admit(order)?;
        let directory = self.hierarchy.cgroup(order.target())?;
        let change = self.change(order, knob, &directory, now)?;
        self.journal.change(&change)?;
        self.write(&change, &directory, now)?;
        let start_ns = now.monotonic_ns;
        let last_ns = match knob {
            Knob::Freeze => start_ns.saturating_add(MAX_FREEZE_NS),
            _ => u64::MAX,
        };
        let applied = Applied {
            lease: change.lease.clone(),
            knob,
            found: change.found.clone(),
            wrote: change.wrote.clone(),
        };
        let held = Held {
            deadline_ns: start_ns.saturating_add(order.ttl().ns()).min(last_ns),
            last_ns,
            ending: None,
            change,
        };
        self.held.insert(held.change.lease.clone(), held);
        Ok(applied)
    }

    fn renew(&mut self, lease: &LeaseId, ttl: Ttl, now: Now) -> Result<(), ActuatorError> {
        let lapsed = self.ended(lease).is_some();
        let lapsed = lapsed || self.held.get(lease).is_some_and(|held| held.ending.is_some());
        if lapsed {
            return Err(ActuatorError::Lapsed { lease: lease.clone() });
        }
        let Some(held) = self.held.get_mut(lease) else {
            return Err(ActuatorError::Unknown { lease: lease.clone() });
        };
        if held.deadline_ns == held.last_ns {
            return Err(ActuatorError::FreezeTooLong {
                lease: lease.clone(),
                seconds: MAX_FREEZE_NS / 1_000_000_000,
            });
        }
        held.deadline_ns = now.monotonic_ns.saturating_add(ttl.ns()).min(held.last_ns);
        Ok(())
    }

    fn revert(&mut self, lease: &LeaseId, now: Now) -> Result<PutBack, ActuatorError> {
        if let Some(put_back) = self.ended(lease) {
            return Ok(put_back.clone());
        }
        let unknown = || ActuatorError::Unknown { lease: lease.clone() };
        self.end(lease, Why::Asked, now).ok_or_else(unknown)
    }
}
