//! Verdicts and outcomes in the journal, by its native protocol.
//!
//! Owns the records that wait for journald. `libsystemd` sends on a blocking socket, so it does that on a thread of its
//! own: a journald that is absent, full, stopped or restarting delays no tick. What comes meanwhile waits, up to 4,096
//! records or 4 MiB, and is delivered in order when it is back; beyond that the oldest are lost and counted.

use std::{io, os::unix::net::UnixDatagram, sync::Arc, time::Duration};

use libsystemd::logging::{Priority, SD_JOURNAL_SOCK_PATH, journal_send};

use super::{
    Publication, Sink, SinkError,
    encode::{Body, Record},
    escape,
    outbox::{Bounds, Delivery, Outbox},
    words,
};
use crate::judge::verdict::{Level, Signal};

/// `MESSAGE_ID` of a verdict: `journalctl MESSAGE_ID=…` finds them all.
pub const VERDICT_MESSAGE_ID: &str = "75b9c67ba1434d3b8aa1f75374e15dd0";
/// `MESSAGE_ID` of an outcome.
pub const OUTCOME_MESSAGE_ID: &str = "7df57855dd16467b858fc9df172d8df7";

const BOUNDS: Bounds = Bounds {
    records: 4096,
    bytes: 4 * 1024 * 1024,
};
const RETRY: Duration = Duration::from_millis(500);
/// Attempts after which a record that a present journald does not take is given up.
const ATTEMPTS: u32 = 10;

/// One record of the journal.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `PRIORITY`.
    pub priority: Priority,
    /// `MESSAGE`.
    pub message: String,
    /// All other fields.
    pub fields: Vec<(&'static str, Arc<str>)>,
}

/// The sink.
pub struct Journald {
    outbox: Outbox<Entry>,
}

impl Journald {
    /// Starts, whether journald is there or not.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start() -> io::Result<Self> {
        let mut attempts = 0;
        let outbox = Outbox::start("sentinel-journal", BOUNDS, RETRY, move |entry: &Entry| {
            let delivery = send(entry, attempts);
            attempts = if matches!(delivery, Delivery::Later(_)) {
                attempts + 1
            } else {
                0
            };
            delivery
        })?;
        Ok(Self { outbox })
    }
}

impl Sink for Journald {
    fn name(&self) -> &'static str {
        "journald"
    }

    fn publish(&mut self, publication: &Publication<'_>) -> Result<(), SinkError> {
        for record in publication.records {
            let entry = entry(record);
            // The fields beside the JSON are about as long as their names.
            self.outbox.push(entry, record.json.len() + 512);
        }
        SinkError::from_health(self.name(), self.outbox.health(publication.snapshot.now.monotonic_ns))
    }

    fn lost(&self) -> u64 {
        self.outbox.lost()
    }

    fn finish(&mut self, patience: Duration) {
        self.outbox.finish(patience);
    }
}

/// Whether something listens where journald should.
#[must_use]
pub fn is_there() -> bool {
    UnixDatagram::unbound().is_ok_and(|socket| socket.connect(SD_JOURNAL_SOCK_PATH).is_ok())
}

fn send(entry: &Entry, attempts: u32) -> Delivery {
    let fields = entry.fields.iter().map(|(name, value)| (*name, value.as_ref()));
    match journal_send(entry.priority, &entry.message, fields) {
        Ok(()) => Delivery::Done,
        Err(_) if !is_there() => Delivery::Later(format!("nothing listens at {SD_JOURNAL_SOCK_PATH}")),
        Err(error) if attempts >= ATTEMPTS => Delivery::Lost(format!("{error}; this record was given up")),
        Err(error) => Delivery::Later(error.to_string()),
    }
}

/// What the journal gets for a record.
#[must_use]
pub fn entry(record: &Record) -> Entry {
    let mut fields: Vec<(&'static str, Arc<str>)> = vec![("SYSLOG_IDENTIFIER", "sentinel".into())];
    match &record.body {
        Body::Verdict(verdict) => {
            fields.extend([
                ("MESSAGE_ID", VERDICT_MESSAGE_ID.into()),
                ("SENTINEL_VERDICT", Arc::clone(&record.json)),
                ("SENTINEL_VERDICT_ID", escape::line(&verdict.id).into()),
                ("SENTINEL_SIGNAL", verdict.signal.name().into()),
                ("SENTINEL_LEVEL", verdict.level.name().into()),
                ("SENTINEL_SCOPE", words::scope(&verdict.scope).into()),
                ("SENTINEL_CAUSE", verdict.cause.name().into()),
            ]);
            fields.extend(
                verdict
                    .incident
                    .as_ref()
                    .map(|incident| ("SENTINEL_INCIDENT", escape::line(&incident.id).into())),
            );
            Entry {
                priority: priority(verdict.level, verdict.previous),
                message: escape::line(&verdict.summary),
                fields,
            }
        }
        Body::Outcome(outcome) => {
            fields.extend([
                ("MESSAGE_ID", OUTCOME_MESSAGE_ID.into()),
                ("SENTINEL_OUTCOME", Arc::clone(&record.json)),
                ("SENTINEL_SCOPE", escape::line(&outcome.scope).into()),
            ]);
            let named = [
                ("SENTINEL_VERDICT_ID", outcome.verdict_id.as_deref()),
                ("SENTINEL_LEASE", outcome.lease.as_deref()),
                ("SENTINEL_SIGNAL", outcome.signal.map(Signal::name)),
            ];
            fields.extend(
                named
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, escape::line(value?).into()))),
            );
            Entry {
                priority: if words::ended_well(outcome) {
                    Priority::Notice
                } else {
                    Priority::Warning
                },
                message: words::outcome(outcome),
                fields,
            }
        }
    }
}

/// Veto is an error, watch a warning, the way back from either a notice; all else is information.
fn priority(level: Level, previous: Level) -> Priority {
    match level {
        Level::Veto => Priority::Error,
        Level::Watch => Priority::Warning,
        Level::Nominal if previous >= Level::Watch => Priority::Notice,
        Level::Nominal | Level::Unknown => Priority::Info,
    }
}

#[cfg(test)]
#[path = "journald_tests.rs"]
mod tests;
