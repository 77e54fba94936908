//! The event stream: records as they come, and the state whenever it changes, to one viewer at its own pace.
//!
//! A viewer that is slow gets the latest state and misses those in between; records wait for it in the ring, and what it
//! comes too late for is told as an event of its own.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::{sync::watch, time::timeout};

use super::desk::{Counted, Desk, Published};

/// A comment is sent after this much silence, so that both sides know the other is there.
const SILENCE: Duration = Duration::from_secs(15);
/// Records sent in one go.
const MOST_AT_ONCE: usize = 64;

/// One viewer.
struct Viewer {
    desk: Arc<Desk>,
    latest: watch::Receiver<Option<Arc<Published>>>,
    /// Number of the last record it got.
    cursor: u64,
    /// Sequence number of the last state it got.
    state: u64,
    waiting: VecDeque<Bytes>,
    _place: Counted,
}

/// From which record on a viewer wants to hear: after the one it names, if that is of this run; else from the start of what
/// is kept when it names one of an earlier run, and from now on when it names none.
pub(super) fn cursor(desk: &Desk, last_event_id: Option<&str>) -> u64 {
    match last_event_id.and_then(|id| id.rsplit_once('-')) {
        Some((run, seq)) if run == desk.run => seq.parse().map_or(0, |seq: u64| seq.min(desk.last())),
        Some(_) => 0,
        None => desk.last(),
    }
}

/// The stream.
pub(super) fn stream(
    desk: &Arc<Desk>,
    cursor: u64,
    place: Counted,
) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let viewer = Viewer {
        latest: desk.watch(),
        desk: Arc::clone(desk),
        cursor,
        state: 0,
        waiting: VecDeque::from([Bytes::from_static(b"retry: 1000\n\n")]),
        _place: place,
    };
    stream::unfold(viewer, |mut viewer| async move {
        let next = viewer.next().await?;
        Some((Ok(next), viewer))
    })
}

impl Viewer {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.waiting.pop_front() {
                return Some(bytes);
            }
            self.collect();
            if !self.waiting.is_empty() {
                continue;
            }
            match timeout(SILENCE, self.latest.changed()).await {
                Ok(Ok(())) => {}
                // The run is over.
                Ok(Err(_)) => return None,
                Err(_) => self.waiting.push_back(Bytes::from_static(b": still here\n\n")),
            }
        }
    }

    fn collect(&mut self) {
        let latest = self.latest.borrow_and_update().clone();
        let (gone, records) = self.desk.since(self.cursor, MOST_AT_ONCE);
        if gone > 0 {
            self.desk.missed(gone);
            self.cursor += gone;
            let event = format!("event: missed\ndata: {{\"records\":{gone}}}\n\n");
            self.waiting.push_back(event.into());
        }
        for record in records {
            self.cursor = record.seq;
            let event = format!(
                "id: {}-{}\nevent: {}\ndata: {}\n\n",
                self.desk.run, record.seq, record.kind, record.json
            );
            self.waiting.push_back(event.into());
        }
        if let Some(published) = latest.filter(|published| published.document.seq > self.state) {
            self.state = published.document.seq;
            self.waiting.push_back(Bytes::from_static(b"event: state\ndata: "));
            self.waiting.push_back(published.json());
            self.waiting.push_back(Bytes::from_static(b"\n\n"));
        }
    }
}
