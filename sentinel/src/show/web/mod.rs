//! The run in a browser and for programs: page, API, event stream and metrics on one listener.
//!
//! Owns a thread with a runtime of its own, so that no viewer ever delays a tick. In: snapshots and records, over a watch
//! channel and a bounded ring. Out: answers over HTTP. What a person with
//! the token approves or lifts goes to the agent, which decides. It fetches nothing from elsewhere, and a viewer that reads too slowly is dropped and counted.
#![forbid(unsafe_code)]

mod acting;
mod assets;
pub mod client;
mod desk;
mod door;
mod events;
mod in_memory;
mod listener;
mod patient;
mod routes;
mod server;
#[cfg(test)]
mod tests;
mod token;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use self::{desk::Desk, server::Server};
pub use self::{
    desk::{Closed, Served},
    in_memory::InMemory,
    token::{Token, TokenError},
};
use super::{
    Publication, Sink, SinkError,
    state::{Facts, MOST_SCOPES},
};
use crate::{act::control::Line, config::Listen};

/// What the listener needs to know.
#[derive(Debug)]
pub struct Options {
    /// Where.
    pub listen: Listen,
    /// What a viewer must present.
    pub token: Option<Token>,
    /// Name of this host, which a viewer may use as well as an address.
    pub host: String,
    /// What holds for the whole run.
    pub facts: Facts,
    /// The way to the agent, for approving and lifting.
    pub line: Option<Line>,
}

/// The listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// Somebody else has the address.
    #[error(
        "nothing can be served on {listen}: {source}; stop what uses it, or set `listen` to another address or to `off`"
    )]
    Bind {
        /// Where.
        listen: Listen,
        /// Why not.
        source: io::Error,
    },
    /// Something else lies where the socket should be.
    #[error("{path} is in the way of the socket and is none; remove it, or set `listen` to another path", path = .path.display())]
    InTheWay {
        /// Where.
        path: PathBuf,
    },
    /// The system refuses a thread or a runtime.
    #[error("the listener could not be started: {0}")]
    Start(io::Error),
}

/// The listener, which nobody serves yet.
pub struct Opened {
    listener: server::Opened,
    options: Options,
}

impl Opened {
    /// Where it will be served, with the port that the system chose where it was asked to.
    #[must_use]
    pub const fn address(&self) -> &Listen {
        self.listener.address()
    }

    /// Serves from now on.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn serve(self) -> Result<Web, WebError> {
        let Self { listener, options } = self;
        let desk = Arc::new(Desk::new(&options.facts.run(), options.facts.interval_ms));
        let server = listener.serve(options, Arc::clone(&desk))?;
        Ok(Web { desk, server })
    }
}

/// The sink.
#[derive(Debug)]
pub struct Web {
    desk: Arc<Desk>,
    server: Server,
}

impl Web {
    /// Opens the listener and serves from now on.
    ///
    /// # Errors
    /// See [`WebError`].
    pub fn start(options: Options) -> Result<Self, WebError> {
        Self::open(options)?.serve()
    }

    /// Opens the listener and starts no thread yet: who gives up rights does that in between.
    ///
    /// # Errors
    /// See [`WebError`].
    pub fn open(options: Options) -> Result<Opened, WebError> {
        Ok(Opened {
            listener: server::Opened::open(&options.listen)?,
            options,
        })
    }

    /// Where it is served, with the port that the system chose where it was asked to.
    #[must_use]
    pub fn address(&self) -> &Listen {
        self.server.address()
    }

    /// Counts of what it serves, for other surfaces.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts(Arc::clone(&self.desk))
    }
}

/// Counts of what a listener serves.
#[derive(Clone, Debug)]
pub struct Counts(Arc<Desk>);

impl Counts {
    /// What was served so far.
    #[must_use]
    pub fn read(&self) -> Served {
        self.0.served()
    }
}

impl Sink for Web {
    fn name(&self) -> &'static str {
        "web"
    }

    fn portraits(&self) -> usize {
        MOST_SCOPES
    }

    fn publish(&mut self, publication: &Publication<'_>) -> Result<(), SinkError> {
        if let Some(document) = publication.document {
            self.desk.publish(document, publication.records);
        }
        Ok(())
    }

    fn finish(&mut self, patience: Duration) {
        self.server.finish(patience);
    }
}
