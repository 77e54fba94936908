//! From snapshots to surfaces: journald, JSON lines, the terminal.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::{
    act::Outcome,
    judge::{
        Verdict,
        verdict::{Level, Signal},
    },
    sense::sample::{Origin, Sample, Scope},
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
    /// The state of every scope and signal, most severe first.
    pub states: Vec<State>,
    /// Sensors that do not run, with the reason.
    pub unavailable: Arc<Vec<Unavailable>>,
    /// Ticks that began later than half an interval after their time, since the start.
    pub late_ticks: u64,
}

/// The state of one signal of one scope.
#[derive(Clone, Debug)]
pub struct State {
    /// What it is about.
    pub scope: Arc<Scope>,
    /// Which signal.
    pub signal: Signal,
    /// Level now.
    pub level: Level,
    /// Value now, in the signal's unit.
    pub value: Option<f64>,
}

/// A sensor that does not run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// Sensor: `sched`, `mem`, `net` or a part of one, as `sched.run_queue`.
    pub sensor: String,
    /// Why, and what would help.
    pub reason: String,
}

/// A place snapshots are published to.
pub trait Sink {
    /// Its name in messages about it.
    fn name(&self) -> &'static str;

    /// Publishes one snapshot.
    ///
    /// # Errors
    /// What kept it from being published. The agent says so once, and again when it works again.
    fn publish(&mut self, snapshot: &Snapshot) -> Result<(), SinkError>;
}

/// A surface that could not take a snapshot.
#[derive(Debug, thiserror::Error)]
#[error("{sink}: {reason}")]
pub struct SinkError {
    /// Name of the sink.
    pub sink: &'static str,
    /// What happened, and what would help.
    pub reason: String,
}
