//! JSON lines on standard output: one object per verdict and per outcome, nothing else.

use std::{fs::File, io, sync::Arc, time::Duration};

use super::{
    Publication, Sink, SinkError,
    outbox::{Delivery, Outbox},
    output::{BOUNDS, Output, RETRY},
};

/// The sink. A slow reader makes lines wait, up to 16 MiB of them; then the oldest are lost and counted.
pub struct JsonLines {
    outbox: Outbox<Arc<str>>,
}

impl JsonLines {
    /// Writes to standard output.
    ///
    /// # Errors
    /// When the system refuses a descriptor or a thread.
    pub fn stdout() -> io::Result<Self> {
        Self::to(Output::stdout()?)
    }

    /// Writes to `file`.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn to(file: File) -> io::Result<Self> {
        let mut output = Output::new(file);
        let mut line = Vec::new();
        let deliver = move |json: &Arc<str>| -> Delivery {
            line.clear();
            line.extend_from_slice(json.as_bytes());
            line.push(b'\n');
            output.deliver(&line)
        };
        Ok(Self {
            outbox: Outbox::start("sentinel-json", BOUNDS, RETRY, deliver)?,
        })
    }
}

impl Sink for JsonLines {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn publish(&mut self, publication: &Publication<'_>) -> Result<(), SinkError> {
        for record in publication.records {
            self.outbox.push(Arc::clone(&record.json), record.json.len() + 1);
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

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
