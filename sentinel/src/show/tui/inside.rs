//! The surface of an agent that runs inside `sentinel top`: the latest document waits to be shown. A screen that is slow misses those in between.

use std::sync::Arc;

use tokio::sync::{mpsc::Sender, watch};

use super::state::News;
use crate::show::{
    Publication, Sink, SinkError,
    state::{Document, MOST_SCOPES},
};

/// The sink.
#[derive(Debug)]
pub struct Inside {
    latest: watch::Sender<Option<Arc<Document>>>,
}

impl Inside {
    /// It, and where the latest document is found.
    #[must_use]
    pub fn new() -> (Self, watch::Receiver<Option<Arc<Document>>>) {
        let (latest, seen) = watch::channel(None);
        (Self { latest }, seen)
    }
}

impl Sink for Inside {
    fn name(&self) -> &'static str {
        "screen"
    }

    fn portraits(&self) -> usize {
        MOST_SCOPES
    }

    fn publish(&mut self, publication: &Publication<'_>) -> Result<(), SinkError> {
        match self.latest.send(publication.document.cloned()) {
            Ok(()) => Ok(()),
            Err(_) => Err(SinkError::Closed { sink: "screen" }),
        }
    }
}

/// Passes the documents on, until the agent or the screen ends.
pub async fn follow(mut latest: watch::Receiver<Option<Arc<Document>>>, news: Sender<News>) {
    while latest.changed().await.is_ok() {
        let Some(document) = latest.borrow_and_update().clone() else {
            continue;
        };
        if news.send(News::State(document)).await.is_err() {
            return;
        }
    }
    let why = "the agent inside this program ended; quit and start again".to_owned();
    let _ = news.send(News::NoState(why)).await;
}
