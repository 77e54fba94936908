//! Lines of a pipe with the time each arrived.

use std::{
    io::{BufRead as _, BufReader, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::wait;

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was read, `CLOCK_MONOTONIC`, nanoseconds.
    pub at_ns: u64,
    /// Its text; what is not UTF-8 is replaced.
    pub text: String,
}

/// Lines as they arrive.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    closed: bool,
}

impl Lines {
    /// Reads a pipe in a thread until it is closed.
    #[must_use]
    pub fn read(pipe: impl Read + Send + 'static) -> Self {
        Self::read_those(pipe, |_| true)
    }

    /// The same, keeping only lines that are wanted.
    #[must_use]
    pub fn read_those(pipe: impl Read + Send + 'static, wanted: impl Fn(&str) -> bool + Send + 'static) -> Self {
        let lines = Self::default();
        let writer = lines.clone();
        thread::spawn(move || writer.fill(pipe, wanted));
        lines
    }

    fn fill(&self, pipe: impl Read, wanted: impl Fn(&str) -> bool) {
        let mut pipe = BufReader::new(pipe);
        let mut buffer = Vec::new();
        while pipe.read_until(b'\n', &mut buffer).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&buffer)
                .trim_end_matches(['\n', '\r'])
                .to_owned();
            let at_ns = wait::now_ns();
            if wanted(&text) {
                self.state().lines.push(Line { at_ns, text });
                self.0.changed.notify_all();
            }
            buffer.clear();
        }
        self.state().closed = true;
        self.0.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything read so far.
    #[must_use]
    pub fn all(&self) -> Vec<Line> {
        self.state().lines.clone()
    }

    /// How many lines there are so far: the number of the next.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state().lines.len()
    }

    /// What was read from line number `from` on.
    #[must_use]
    pub fn since(&self, from: usize) -> Vec<Line> {
        self.state().lines.get(from..).unwrap_or_default().to_vec()
    }

    /// The text of everything read so far.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.state().lines.iter().map(|line| line.text.clone()).collect()
    }

    /// The first line, from line number `from` on, of which `find` makes something. `None` when the time is over or
    /// the pipe was closed without one.
    pub fn find<T>(&self, from: usize, limit: Duration, mut find: impl FnMut(&Line) -> Option<T>) -> Option<T> {
        let start_ns = wait::now_ns();
        let mut next = from;
        let mut state = self.state();
        loop {
            while let Some(line) = state.lines.get(next) {
                if let Some(found) = find(line) {
                    return Some(found);
                }
                next += 1;
            }
            let left = limit.checked_sub(wait::since(start_ns))?;
            if state.closed {
                return None;
            }
            state = self
                .0
                .changed
                .wait_timeout(state, left)
                .map_or_else(|error| error.into_inner().0, |got| got.0);
        }
    }

    /// Waits until the pipe is closed; false when the time is over.
    #[must_use]
    pub fn closed(&self, limit: Duration) -> bool {
        wait::until_true(limit, || self.state().closed)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn a_line_is_found_and_the_end_of_the_pipe_is_seen() {
        let lines = Lines::read(Cursor::new("one\ntwo\nthree"));
        let found = lines.find(1, LIMIT, |line| line.text.contains('t').then(|| line.text.clone()));
        assert_eq!(found.as_deref(), Some("two"));
        assert!(lines.closed(LIMIT));
        assert_eq!(lines.texts(), ["one", "two", "three"]);
        assert_eq!(
            lines.find(0, LIMIT, |line| line.text.contains("four").then_some(())),
            None
        );
    }
}
