//! What lies ready for viewers: the latest document, the latest records, and counts of what was served.
//!
//! The agent puts things here and never waits; the listener's thread takes them. Both sides hold the lock for a moment.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use tokio::sync::watch;

use crate::show::{
    encode::{self, Body, Record},
    state::Document,
};

/// Records kept for viewers that come back.
const MOST_RECORDS: usize = 1024;
/// Bytes of them at the most.
const MOST_BYTES: usize = 4 << 20;
/// Status codes that are answered, and counted.
const CODES: [u16; 15] = [200, 400, 401, 403, 404, 405, 408, 409, 413, 421, 431, 500, 503, 504, 0];

/// A document, and its JSON once somebody asked for it.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) document: Arc<Document>,
    json: OnceLock<Bytes>,
}

impl Published {
    /// One line.
    pub(super) fn json(&self) -> Bytes {
        let write = || {
            encode::object(self.document.as_ref())
                .map_or_else(|_| Bytes::new(), |json| Bytes::copy_from_slice(json.as_bytes()))
        };
        self.json.get_or_init(write).clone()
    }
}

/// One record as the event stream carries it.
#[derive(Debug)]
pub(super) struct Event {
    /// Counts records of a run from 1, as the log does.
    pub(super) seq: u64,
    /// `verdict` or `outcome`.
    pub(super) kind: &'static str,
    /// Exactly the line of standard output.
    pub(super) json: Arc<str>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    last: u64,
}

/// What was served, for the metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests by status code; only codes that occurred.
    pub requests: Vec<(u16, u64)>,
    /// Connections now.
    pub connections: u64,
    /// Viewers of the event stream now.
    pub viewers: u64,
    /// Connections closed before their time, by reason.
    pub closed: Vec<(&'static str, u64)>,
    /// Records that a viewer came too late for.
    pub missed: u64,
}

/// Why a connection was closed before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It took nothing for too long.
    Slow,
    /// There were too many already.
    TooMany,
    /// It did not speak HTTP, or not in time.
    Unreadable,
}

impl Closed {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Slow, "slow"),
        (Self::TooMany, "too_many"),
        (Self::Unreadable, "unreadable"),
    ];
}

/// The desk.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) run: String,
    pub(super) interval_ms: u64,
    latest: watch::Sender<Option<Arc<Published>>>,
    ring: Mutex<Ring>,
    requests: [AtomicU64; CODES.len()],
    closed: [AtomicU64; 3],
    missed: AtomicU64,
    connections: AtomicI64,
    viewers: AtomicI64,
}

/// One more while it lives.
#[derive(Debug)]
pub(super) struct Counted(Arc<Desk>, fn(&Desk) -> &AtomicI64);

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Relaxed);
    }
}

impl Desk {
    pub(super) fn new(run: &str, interval_ms: u64) -> Self {
        Self {
            run: run.to_owned(),
            interval_ms,
            latest: watch::Sender::new(None),
            ring: Mutex::default(),
            requests: [const { AtomicU64::new(0) }; CODES.len()],
            closed: [const { AtomicU64::new(0) }; 3],
            missed: AtomicU64::new(0),
            connections: AtomicI64::new(0),
            viewers: AtomicI64::new(0),
        }
    }

    /// Puts a document and its records here. Wakes whoever waits.
    pub(super) fn publish(&self, document: &Arc<Document>, records: &[Record]) {
        // The log of a document ends with the records of its tick.
        let last = document.log.last().map_or(0, |entry| entry.seq);
        if !records.is_empty() {
            let mut ring = self.ring();
            let first = (last + 1).saturating_sub(records.len() as u64);
            for (seq, record) in (first..).zip(records) {
                let kind = match record.body {
                    Body::Verdict(_) => "verdict",
                    Body::Outcome(_) => "outcome",
                };
                ring.push(Event {
                    seq,
                    kind,
                    json: Arc::clone(&record.json),
                });
            }
        }
        self.latest.send_replace(Some(Arc::new(Published {
            document: Arc::clone(document),
            json: OnceLock::new(),
        })));
    }

    pub(super) fn latest(&self) -> Option<Arc<Published>> {
        self.latest.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.latest.subscribe()
    }

    /// Records after number `seq`, oldest first, at most `most`; and how many there were in between that are gone.
    pub(super) fn since(&self, seq: u64, most: usize) -> (u64, Vec<Arc<Event>>) {
        let ring = self.ring();
        let oldest = ring.events.front().map_or(ring.last + 1, |event| event.seq);
        let gone = oldest.saturating_sub(seq + 1);
        let skip = (seq + 1).saturating_sub(oldest);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        (gone, ring.events.iter().skip(skip).take(most).cloned().collect())
    }

    /// Number of the last record.
    pub(super) fn last(&self) -> u64 {
        self.ring().last
    }

    pub(super) fn answered(&self, code: u16) {
        let index = CODES.iter().position(|known| *known == code).unwrap_or(CODES.len() - 1);
        self.requests[index].fetch_add(1, Relaxed);
    }

    /// Counts a connection that was closed before its time; true for the first of its kind.
    pub(super) fn closed(&self, why: Closed) -> bool {
        self.closed[why as usize].fetch_add(1, Relaxed) == 0
    }

    pub(super) fn missed(&self, records: u64) {
        self.missed.fetch_add(records, Relaxed);
    }

    /// One more connection, unless there are `most`.
    pub(super) fn connection(self: &Arc<Self>, most: usize) -> Option<Counted> {
        self.one_more(most, |desk| &desk.connections)
    }

    /// One more viewer of the event stream, unless there are `most`.
    pub(super) fn viewer(self: &Arc<Self>, most: usize) -> Option<Counted> {
        self.one_more(most, |desk| &desk.viewers)
    }

    fn one_more(self: &Arc<Self>, most: usize, which: fn(&Self) -> &AtomicI64) -> Option<Counted> {
        let before = which(self).fetch_add(1, Relaxed);
        let counted = Counted(Arc::clone(self), which);
        usize::try_from(before)
            .is_ok_and(|before| before < most)
            .then_some(counted)
    }

    /// What was served so far.
    pub(super) fn served(&self) -> Served {
        let requests = CODES.iter().zip(&self.requests);
        let now = |gauge: &AtomicI64| u64::try_from(gauge.load(Relaxed)).unwrap_or(0);
        Served {
            requests: requests
                .map(|(code, count)| (*code, count.load(Relaxed)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            connections: now(&self.connections),
            viewers: now(&self.viewers),
            closed: Closed::ALL
                .iter()
                .map(|(why, name)| (*name, self.closed[*why as usize].load(Relaxed)))
                .collect(),
            missed: self.missed.load(Relaxed),
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, event: Event) {
        self.last = event.seq;
        self.bytes += event.json.len();
        self.events.push_back(Arc::new(event));
        while self.events.len() > MOST_RECORDS || self.bytes > MOST_BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.json.len();
        }
    }
}
