//! All surfaces of a run: each gets every snapshot; what is wrong with one is said once and does not touch the others.

use std::{sync::Arc, time::Duration};

use tracing::{error, info, warn};

use super::{
    Publication, Sink, SinkError, Snapshot, encode, escape,
    state::{Chronicle, Document, Facts, SurfaceState},
};

/// The surfaces.
#[derive(Default)]
pub struct Sinks {
    surfaces: Vec<Surface>,
    /// How the run stands, where a surface may ask for it.
    chronicle: Option<Chronicle>,
    encoding_failed: bool,
}

struct Surface {
    sink: Box<dyn Sink + Send>,
    /// What keeps it from getting through.
    unwell: Option<String>,
    /// Losses already spoken of.
    lost_told: u64,
}

impl Sinks {
    /// No surface yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No surface yet, of a run that is told from its beginning.
    #[must_use]
    pub fn of(facts: Facts) -> Self {
        Self {
            chronicle: Some(Chronicle::new(facts)),
            ..Self::default()
        }
    }

    /// Adds one.
    pub fn add(&mut self, sink: impl Sink + Send + 'static) {
        self.surfaces.push(Surface {
            sink: Box::new(sink),
            unwell: None,
            lost_told: 0,
        });
    }

    /// How many scopes a snapshot should show closely: what the surface that wants most asks for.
    #[must_use]
    pub fn portraits(&self) -> usize {
        let wanted = self.surfaces.iter().map(|surface| surface.sink.portraits());
        wanted.max().unwrap_or(0)
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
        let document = self.document(snapshot);
        let publication = Publication {
            snapshot,
            records: &records,
            document: document.as_ref(),
        };
        let mut closed = Ok(());
        for surface in &mut self.surfaces {
            match surface.sink.publish(&publication) {
                Ok(()) => surface.well(),
                Err(SinkError::Unwell { reason, .. }) => surface.unwell(&reason),
                Err(error @ SinkError::Closed { .. }) => closed = Err(error),
            }
        }
        closed
    }

    /// How the run stands after a snapshot, for the surfaces that ask.
    fn document(&mut self, snapshot: &Snapshot) -> Option<Arc<Document>> {
        if self.portraits() == 0 {
            return None;
        }
        let mut document = self.chronicle.as_mut()?.record(snapshot);
        document.agent.surfaces = self.surfaces.iter().map(Surface::state).collect();
        Some(Arc::new(document))
    }

    /// Lets every surface get through what still waits, each for `patience` at the most, in the order they were added,
    /// and says what was lost for good. Records lost per surface come back, in the same order.
    pub fn finish(mut self, patience: Duration) -> Vec<(&'static str, u64)> {
        let finish = |surface: &mut Surface| {
            surface.sink.finish(patience);
            let (name, lost) = (surface.sink.name(), surface.sink.lost());
            // One that is still unwell has said so, and that what waits is waiting.
            if lost > surface.lost_told && surface.unwell.is_none() {
                warn!("{name}: {lost} records in all did not get through");
            }
            (name, lost)
        };
        self.surfaces.iter_mut().map(finish).collect()
    }
}

impl Surface {
    fn state(&self) -> SurfaceState {
        SurfaceState {
            name: self.sink.name().to_owned(),
            lost: self.sink.lost(),
            unwell: self.unwell.as_deref().map(escape::line),
        }
    }

    fn unwell(&mut self, reason: &str) {
        if self.unwell.replace(reason.to_owned()).is_none() {
            warn!("{}: {reason}; records wait until it is back", self.sink.name());
        }
    }

    fn well(&mut self) {
        let lost = self.sink.lost();
        if self.unwell.take().is_some() {
            let missed = lost - self.lost_told;
            info!("{} works again; {missed} records were lost meanwhile", self.sink.name());
            self.lost_told = lost;
        }
    }
}

#[cfg(test)]
#[path = "sinks_tests.rs"]
mod tests;
