//! A bounded queue with a thread of its own behind it: what a surface does with a record never delays a tick.
//!
//! Owns the queue, the thread, and the count of what was lost. In: records, in order. Out: each record to `deliver`, in
//! order, one at a time, until it is done. When the queue is full its oldest record is dropped and counted.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// What became of one attempt to deliver a record.
pub(super) enum Delivery {
    /// It arrived.
    Done,
    /// Not now, for this reason: the same record is tried again.
    Later(String),
    /// Never: this record is dropped and counted.
    Lost(String),
    /// Nobody will ever read this again.
    Closed,
}

/// How the other side is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It takes what it is given.
    Well,
    /// It does not, for this reason.
    Unwell(String),
    /// It is gone for good.
    Closed,
}

/// How much may wait.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Records.
    pub(super) records: usize,
    /// Bytes of all of them.
    pub(super) bytes: usize,
}

/// A record in hand for longer than this without any progress means the other side takes nothing.
const STALLED_NS: u64 = 2_000_000_000;

/// The queue, as the publishing side sees it. Dropping it does not wait: see [`Outbox::finish`].
pub(super) struct Outbox<T> {
    shared: Arc<Shared<T>>,
    bounds: Bounds,
    /// Progress when last looked at, and since when it is that.
    seen: Option<(u64, u64)>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    queue: VecDeque<(T, usize)>,
    queued_bytes: usize,
    in_hand: bool,
    /// Records that left the thread, delivered or not.
    progress: u64,
    lost: u64,
    trouble: Option<String>,
    closed: bool,
    finishing: bool,
    ended: bool,
}

impl<T: Send + 'static> Outbox<T> {
    /// Starts the thread. A record that `deliver` put off is tried again after `retry`.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn start(
        name: &str,
        bounds: Bounds,
        retry: Duration,
        mut deliver: impl FnMut(&T) -> Delivery + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                queued_bytes: 0,
                in_hand: false,
                progress: 0,
                lost: 0,
                trouble: None,
                closed: false,
                finishing: false,
                ended: false,
            }),
            changed: Condvar::new(),
        });
        let worker = Arc::clone(&shared);
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(record) = worker.next() {
                worker.see_through(&record, retry, &mut deliver);
            }
            worker.lock().ended = true;
            worker.changed.notify_all();
        })?;
        Ok(Self {
            shared,
            bounds,
            seen: None,
        })
    }

    /// Puts a record of `bytes` bytes at the end of the queue. Never waits.
    pub(super) fn push(&self, record: T, bytes: usize) {
        let mut state = self.shared.lock();
        if state.closed || state.ended {
            state.lost += 1;
            return;
        }
        state.queue.push_back((record, bytes));
        state.queued_bytes += bytes;
        while state.queue.len() > self.bounds.records || state.queued_bytes > self.bounds.bytes {
            let Some((_, bytes)) = state.queue.pop_front() else {
                break;
            };
            state.queued_bytes -= bytes;
            state.lost += 1;
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// How the other side is. `now_ns` is `CLOCK_MONOTONIC`.
    pub(super) fn health(&mut self, now_ns: u64) -> Health {
        let state = self.shared.lock();
        if state.closed {
            return Health::Closed;
        }
        if let Some(reason) = &state.trouble {
            return Health::Unwell(reason.clone());
        }
        match self.seen {
            Some((progress, since_ns)) if state.in_hand && progress == state.progress => {
                if now_ns.saturating_sub(since_ns) > STALLED_NS {
                    return Health::Unwell("it is there but takes nothing".to_owned());
                }
            }
            _ => self.seen = Some((state.progress, now_ns)),
        }
        Health::Well
    }

    /// Records lost since the start.
    pub(super) fn lost(&self) -> u64 {
        self.shared.lock().lost
    }

    /// Takes no more records and waits until those that wait are delivered, `patience` at the most. A record that is
    /// put off now is lost, and all behind it.
    pub(super) fn finish(&self, patience: Duration) {
        let mut state = self.shared.lock();
        state.finishing = true;
        self.shared.changed.notify_all();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, patience, |state| !state.ended);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if !state.ended {
            state.lost += state.queue.len() as u64 + u64::from(state.in_hand);
            state.queue.clear();
            state.closed = true;
        }
    }
}

impl<T> Drop for Outbox<T> {
    fn drop(&mut self) {
        self.shared.lock().finishing = true;
        self.shared.changed.notify_all();
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some((record, bytes)) = state.queue.pop_front() {
                state.queued_bytes -= bytes;
                state.in_hand = true;
                return Some(record);
            }
            if state.finishing || state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn see_through(&self, record: &T, retry: Duration, deliver: &mut impl FnMut(&T) -> Delivery) {
        loop {
            // Not under the lock: this may take as long as it likes.
            let delivery = deliver(record);
            let mut state = self.lock();
            match delivery {
                Delivery::Done => state.trouble = None,
                Delivery::Lost(reason) => {
                    state.lost += 1;
                    state.trouble = Some(reason);
                }
                Delivery::Later(reason) if !state.finishing => {
                    state.trouble = Some(reason);
                    let waiting = |state: &mut State<T>| !state.finishing;
                    drop(self.changed.wait_timeout_while(state, retry, waiting));
                    continue;
                }
                Delivery::Later(_) | Delivery::Closed => {
                    state.closed = true;
                    state.lost += 1 + state.queue.len() as u64;
                    state.queue.clear();
                }
            }
            state.in_hand = false;
            state.progress += 1;
            return;
        }
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
