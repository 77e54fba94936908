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
    /// Not now, for this reason, and not before this time is over.
    #[cfg_attr(
        not(any(feature = "otlp", test)),
        expect(dead_code, reason = "only a collector answers so")
    )]
    After(Duration, String),
    /// Never: this record is dropped and counted.
    Lost(String),
    /// It arrived, and the other side refused this many of what it holds, which are counted.
    #[cfg_attr(
        not(any(feature = "otlp", test)),
        expect(dead_code, reason = "only a collector answers so")
    )]
    Partly(u64, String),
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
    pub(super) records: u64,
    /// Bytes of all of them.
    pub(super) bytes: usize,
}

/// What one entry of the queue amounts to.
#[derive(Clone, Copy)]
pub(super) struct Weight {
    /// Records in it.
    pub(super) records: u64,
    /// Bytes of them.
    pub(super) bytes: usize,
}

impl Weight {
    /// One record of this many bytes.
    pub(super) const fn one(bytes: usize) -> Self {
        Self { records: 1, bytes }
    }
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
    queue: VecDeque<(T, Weight)>,
    queued: Weight,
    /// Records in hand; 0 for none.
    in_hand: u64,
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
                queued: Weight { records: 0, bytes: 0 },
                in_hand: 0,
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
            while let Some((record, weight)) = worker.next() {
                worker.see_through(&record, weight, retry, &mut deliver);
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
        self.push_all(record, Weight::one(bytes));
    }

    /// Puts something that holds several records at the end of the queue. Never waits.
    pub(super) fn push_all(&self, records: T, weight: Weight) {
        let mut state = self.shared.lock();
        if state.closed || state.ended {
            state.lost += weight.records;
            return;
        }
        state.queue.push_back((records, weight));
        state.queued.records += weight.records;
        state.queued.bytes += weight.bytes;
        while state.queued.records > self.bounds.records || state.queued.bytes > self.bounds.bytes {
            let Some(dropped) = state.take() else { break };
            state.lost += dropped.1.records;
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
            Some((progress, since_ns)) if state.in_hand > 0 && progress == state.progress => {
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
            state.lost += state.in_hand;
            state.lose_all();
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

impl<T> State<T> {
    /// The oldest entry.
    fn take(&mut self) -> Option<(T, Weight)> {
        let (record, weight) = self.queue.pop_front()?;
        self.queued.records -= weight.records;
        self.queued.bytes -= weight.bytes;
        Some((record, weight))
    }

    /// Drops and counts all that waits.
    fn lose_all(&mut self) {
        self.lost += self.queued.records;
        self.queue.clear();
        self.queued = Weight { records: 0, bytes: 0 };
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<(T, Weight)> {
        let mut state = self.lock();
        loop {
            if let Some((record, weight)) = state.take() {
                state.in_hand = weight.records;
                return Some((record, weight));
            }
            if state.finishing || state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn see_through(&self, record: &T, weight: Weight, retry: Duration, deliver: &mut impl FnMut(&T) -> Delivery) {
        loop {
            // Not under the lock: this may take as long as it likes.
            let (delivery, retry) = match deliver(record) {
                Delivery::After(after, reason) => (Delivery::Later(reason), after),
                delivery => (delivery, retry),
            };
            let mut state = self.lock();
            match delivery {
                Delivery::Done => state.trouble = None,
                Delivery::Lost(reason) => {
                    state.lost += weight.records;
                    state.trouble = Some(reason);
                }
                Delivery::Partly(refused, reason) => {
                    state.lost += refused.min(weight.records);
                    state.trouble = Some(reason);
                }
                Delivery::Later(reason) if !state.finishing => {
                    state.trouble = Some(reason);
                    let waiting = |state: &mut State<T>| !state.finishing;
                    drop(self.changed.wait_timeout_while(state, retry, waiting));
                    continue;
                }
                Delivery::Later(_) | Delivery::After(..) | Delivery::Closed => {
                    state.closed = true;
                    state.lost += weight.records;
                    state.lose_all();
                }
            }
            state.in_hand = 0;
            state.progress += 1;
            return;
        }
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
