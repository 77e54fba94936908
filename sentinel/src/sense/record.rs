//! Writes samples to a file, so that they can be judged again anywhere. Comes in: samples. Goes out: JSON lines.
//!
//! The first line is a [`Header`], then one sample per line, and `{"end":{"samples":N}}` as the last one: a file without
//! it was cut off. Before a sample whose cgroups are not those of the sample before stands `{"roster":[…]}`: all there are.
//! Schema `sentinel.recording/2`.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::sample::{Origin, Sample, Scope};

/// The schema name in the first line.
pub const SCHEMA: &str = "sentinel.recording/2";

/// First line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Where it was recorded.
    pub origin: Origin,
    /// Time between ticks, milliseconds.
    pub interval_ms: u64,
    /// Time between readings of the network sensor, milliseconds.
    pub network_interval_ms: u64,
}

impl Header {
    /// Of a recording made with these intervals.
    #[must_use]
    pub fn new(origin: Origin, interval: Duration, network_interval: Duration) -> Self {
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            schema: SCHEMA.to_owned(),
            origin,
            interval_ms: milliseconds(interval),
            network_interval_ms: milliseconds(network_interval),
        }
    }
}

/// Last line of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trailer {
    pub(super) end: End,
}

/// The cgroups of the samples that follow.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RosterLine<T> {
    pub(super) roster: T,
}

/// How many samples there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) samples: u64,
}

/// Writes a recording. It is complete only after [`Recorder::finish`].
#[derive(Debug)]
pub struct Recorder<W: Write> {
    to: W,
    samples: u64,
    roster: Arc<Vec<Arc<Scope>>>,
}

impl<W: Write> Recorder<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// What writing fails with.
    pub fn new(to: W, header: &Header) -> io::Result<Self> {
        let mut recorder = Self {
            to,
            samples: 0,
            roster: Arc::default(),
        };
        recorder.line(header)?;
        Ok(recorder)
    }

    /// Adds a sample.
    ///
    /// # Errors
    /// What writing fails with.
    pub fn record(&mut self, sample: &Sample) -> io::Result<()> {
        if !Arc::ptr_eq(&self.roster, &sample.roster) && self.roster != sample.roster {
            self.line(&RosterLine {
                roster: &*sample.roster,
            })?;
        }
        self.roster = Arc::clone(&sample.roster);
        self.line(sample)?;
        self.samples += 1;
        Ok(())
    }

    /// Samples written so far.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// Writes the last line and flushes; gives back what was written to.
    ///
    /// # Errors
    /// What writing fails with.
    pub fn finish(mut self) -> io::Result<W> {
        self.line(&Trailer {
            end: End { samples: self.samples },
        })?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.to, value)?;
        self.to.write_all(b"\n")
    }
}
