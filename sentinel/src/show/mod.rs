//! From snapshots to surfaces: journald, JSON lines, the terminal.
//!
//! In: one [`Snapshot`] per tick. Out: text and records. A surface never delays a tick: what it cannot take at once
//! waits in a bounded queue, and what does not fit there is counted. Nothing here reads a sensor or judges.
#![forbid(unsafe_code)]

pub mod check;
pub mod encode;
pub mod escape;
pub mod heartbeat;
pub mod journald;
pub mod json;
pub mod leases;
pub mod needs;
#[cfg(feature = "otlp")]
pub mod otlp;
mod outbox;
mod output;
pub mod own;
pub mod prometheus;
pub mod rights;
pub mod score;
pub mod screen;
pub mod service_manager;
pub mod sinks;
pub mod state;
pub mod status;
pub mod summary;
pub mod terminal;
pub mod tui;
pub mod view;
pub mod web;
pub mod words;

pub use sinks::Sinks;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    act::{LeaseView, Outcome, WaitingView},
    judge::{Portrait, Standing, State, Verdict},
    sense::sample::{Origin, Sample},
    time::Now,
};

/// Everything a surface may show after one tick. Every surface agrees on it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What holds for the whole run.
    pub origin: Arc<Origin>,
    /// When.
    pub now: Now,
    /// The sample of this tick.
    pub sample: Arc<Sample>,
    /// Verdicts of this tick, in order.
    pub verdicts: Vec<Arc<Verdict>>,
    /// Actions that ended since the last tick.
    pub outcomes: Vec<Arc<Outcome>>,
    /// Actions that hold now, the oldest first.
    pub leases: Vec<LeaseView>,
    /// Plans that wait for approval, the oldest first.
    pub waiting: Vec<WaitingView>,
    /// How all scopes stand.
    pub standing: Standing,
    /// The most severe scopes seen closely; empty where no surface asks for them.
    pub portraits: Vec<Portrait>,
    /// Sensors that do not run, with the reason.
    pub unavailable: Arc<Vec<Unavailable>>,
    /// What was lost or missed since the start, by kind, over all readings.
    pub losses: BTreeMap<String, u64>,
    /// Ticks since the start.
    pub ticks: u64,
    /// Ticks that began later than half an interval after their time, since the start.
    pub late_ticks: u64,
    /// What the agent itself uses.
    pub own: own::Own,
}

/// Adds a sample's losses to those of a run.
pub fn add_losses(sum: &mut BTreeMap<String, u64>, sample: &Sample) {
    for loss in &sample.losses {
        match sum.get_mut(&loss.kind) {
            Some(count) => *count += loss.count,
            None => drop(sum.insert(loss.kind.clone(), loss.count)),
        }
    }
}

/// A sensor that does not run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// Sensor: `sched`, `mem`, `net` or a part of one, as `sched.run_queue`.
    pub sensor: String,
    /// Why, and what would help.
    pub reason: String,
}

/// One snapshot in every form that surfaces take. Each form is made once, for all of them.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// Its verdicts and outcomes, encoded.
    pub records: &'a [encode::Record],
    /// How the run stands after it; `None` where no surface asks for it.
    pub document: Option<&'a Arc<state::Document>>,
}

impl<'a> Publication<'a> {
    /// Of a snapshot, for surfaces that do not show how the run stands.
    #[must_use]
    pub const fn new(snapshot: &'a Snapshot, records: &'a [encode::Record]) -> Self {
        Self {
            snapshot,
            records,
            document: None,
        }
    }
}

/// A place snapshots are published to.
pub trait Sink {
    /// Its name in messages about it.
    fn name(&self) -> &'static str;

    /// Publishes one snapshot. Never waits.
    ///
    /// # Errors
    /// What keeps it, or kept it since the last call, from getting through. [`Sinks`] says so once, and again when it
    /// works again.
    fn publish(&mut self, publication: &Publication<'_>) -> Result<(), SinkError>;

    /// How many scopes it wants to see closely in every snapshot. From one on it gets the document too.
    fn portraits(&self) -> usize {
        0
    }

    /// Records that did not get through and never will, since the start.
    fn lost(&self) -> u64 {
        0
    }

    /// Gets through what still waits, for `patience` at the most. Nothing is published after it.
    fn finish(&mut self, patience: Duration) {
        let _ = patience;
    }
}

/// A surface that could not take a snapshot.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// Its reader is gone for good: time to end the run, calmly.
    #[error("{sink} was closed by its reader")]
    Closed {
        /// Name of the sink.
        sink: &'static str,
    },
    /// It may get well again by itself.
    #[error("{sink}: {reason}")]
    Unwell {
        /// Name of the sink.
        sink: &'static str,
        /// What happened.
        reason: String,
    },
}

impl SinkError {
    fn from_health(sink: &'static str, health: outbox::Health) -> Result<(), Self> {
        match health {
            outbox::Health::Well => Ok(()),
            outbox::Health::Unwell(reason) => Err(Self::Unwell { sink, reason }),
            outbox::Health::Closed => Err(Self::Closed { sink }),
        }
    }
}

#[cfg(test)]
mod samples;
