//! The state of a run as one document, schema `sentinel.state/1`: what every viewer shows and the API serves.
//!
//! In: snapshots, in order. Out: a [`Document`], bounded whatever the host does: the most severe scopes, counts of the
//! rest, incidents, the latest entries of the log. Pure: no clock, no I/O; nothing here judges or draws.

mod chronicle;
mod document;
mod log;

pub use self::{
    chronicle::Chronicle,
    document::{
        AgentState, Document, HostState, IncidentState, LevelCounts, Rest, SCHEMA, ScopeState, SignalState,
        SurfaceState, Totals, Unavailable,
    },
    log::{Entry, Kind, Log},
};

use crate::{config::Autonomy, time::Now};

/// Scopes that a document shows one by one; the others are counted.
pub const MOST_SCOPES: usize = 50;
/// Incidents that a document shows, open ones first.
pub const MOST_INCIDENTS: usize = 50;
/// Entries of the log that a document repeats.
pub const MOST_ENTRIES: usize = 20;

/// What holds for the whole run and is not in a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Version of the agent.
    pub version: String,
    /// What the agent may do by itself.
    pub autonomy: Autonomy,
    /// Time between ticks, milliseconds.
    pub interval_ms: u64,
    /// When the run began.
    pub began: Now,
}

impl Facts {
    /// Names the run.
    #[must_use]
    pub fn run(&self) -> String {
        format!("{:x}", self.began.unix_ms)
    }
}

#[cfg(test)]
mod tests;
