//! All surfaces of a run: each gets every snapshot; what is wrong with one is said once and does not touch the others.

use std::time::Duration;

use tracing::{error, info, warn};

use super::{Sink, SinkError, Snapshot, encode};

/// The surfaces.
#[derive(Default)]
pub struct Sinks {
    surfaces: Vec<Surface>,
    encoding_failed: bool,
}

struct Surface {
    sink: Box<dyn Sink + Send>,
    unwell: bool,
    /// Losses already spoken of.
    lost_told: u64,
}

impl Sinks {
    /// No surface yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn add(&mut self, sink: impl Sink + Send + 'static) {
        self.surfaces.push(Surface {
            sink: Box::new(sink),
            unwell: false,
            lost_told: 0,
        });
    }

    /// Publishes one snapshot everywhere. Never waits.
    ///
    /// # Errors
    /// [`SinkError::Closed`], after every other surface got the snapshot: end the run, calmly.
    pub fn publish(&mut self, snapshot: &Snapshot) -> Result<(), SinkError> {
        let records = encode::records(snapshot).unwrap_or_else(|error| {
            if !std::mem::replace(&mut self.encoding_failed, true) {
                error!("verdicts cannot be written as JSON: {error}");
            }
            Vec::new()
        });
        let mut closed = Ok(());
        for surface in &mut self.surfaces {
            match surface.sink.publish(snapshot, &records) {
                Ok(()) => surface.well(),
                Err(SinkError::Unwell { reason, .. }) => surface.unwell(&reason),
                Err(error @ SinkError::Closed { .. }) => closed = Err(error),
            }
        }
        closed
    }

    /// Lets every surface get through what still waits, each for `patience` at the most, in the order they were added,
    /// and says what was lost for good. Records lost per surface come back, in the same order.
    pub fn finish(mut self, patience: Duration) -> Vec<(&'static str, u64)> {
        let finish = |surface: &mut Surface| {
            surface.sink.finish(patience);
            let (name, lost) = (surface.sink.name(), surface.sink.lost());
            // One that is still unwell has said so, and that what waits is waiting.
            if lost > surface.lost_told && !surface.unwell {
                warn!("{name}: {lost} records in all did not get through");
            }
            (name, lost)
        };
        self.surfaces.iter_mut().map(finish).collect()
    }
}

impl Surface {
    fn unwell(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.unwell, true) {
            warn!("{}: {reason}; records wait until it is back", self.sink.name());
        }
    }

    fn well(&mut self) {
        let lost = self.sink.lost();
        if std::mem::replace(&mut self.unwell, false) {
            let missed = lost - self.lost_told;
            info!("{} works again; {missed} records were lost meanwhile", self.sink.name());
            self.lost_told = lost;
        }
    }
}

#[cfg(test)]
#[path = "sinks_tests.rs"]
mod tests;
