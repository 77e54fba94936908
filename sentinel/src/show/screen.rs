//! Standard output as a reader sees it: lines that stay, and on a terminal one line at the bottom that does not.
//!
//! Owns the cursor. In: whole lines and the status line, from any thread. Out: bytes, from a thread of their own, so
//! that a reader who holds the terminal holds nothing else.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::termios::tcgetwinsize;

use super::{
    outbox::{Health, Outbox},
    output::{BOUNDS, Output, RETRY},
    view::Style,
};

/// Columns of a terminal that does not tell.
const USUAL_COLUMNS: usize = 80;
/// To the first column, and nothing on the line.
const CLEAR: &[u8] = b"\r\x1b[2K";

/// The screen; clones share it.
#[derive(Clone)]
pub struct Screen {
    shared: Arc<Mutex<Shared>>,
    /// The terminal, where it is one that moves its cursor.
    terminal: Option<Arc<OwnedFd>>,
    colour: bool,
}

struct Shared {
    outbox: Outbox<Vec<u8>>,
    status: String,
    finished: bool,
}

impl Screen {
    /// Standard output, as the environment wants it: `NO_COLOR`, `TERM`.
    ///
    /// # Errors
    /// When the system refuses a descriptor or a thread.
    pub fn stdout() -> io::Result<Self> {
        let file = Output::stdout()?;
        let moves = file.is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
        let colour = colour_wanted(moves, env::var_os("NO_COLOR").as_deref());
        Self::on(file, moves, colour)
    }

    fn on(file: File, moves: bool, colour: bool) -> io::Result<Self> {
        let terminal = if moves {
            Some(Arc::new(file.as_fd().try_clone_to_owned()?))
        } else {
            None
        };
        let mut output = Output::new(file);
        let deliver = move |bytes: &Vec<u8>| output.deliver(bytes);
        let outbox = Outbox::start("sentinel-screen", BOUNDS, RETRY, deliver)?;
        Ok(Self {
            shared: Arc::new(Mutex::new(Shared {
                outbox,
                status: String::new(),
                finished: false,
            })),
            terminal,
            colour,
        })
    }

    /// How to draw on it now: terminals change their width.
    #[must_use]
    pub fn style(&self) -> Style {
        let columns = self.terminal.as_ref().map(|terminal| {
            let columns = tcgetwinsize(terminal).map_or(0, |size| usize::from(size.ws_col));
            if columns == 0 { USUAL_COLUMNS } else { columns }
        });
        Style {
            colour: self.colour,
            columns,
        }
    }

    /// Whether it keeps a status line.
    #[must_use]
    pub const fn has_status(&self) -> bool {
        self.terminal.is_some()
    }

    /// Prints whole lines above the status line. Never waits.
    pub fn print(&self, lines: &str) {
        self.put(lines.as_bytes(), None);
    }

    /// Prints whole lines and replaces the status line, where there is one. Never waits.
    pub fn redraw(&self, lines: &str, status: String) {
        self.put(lines.as_bytes(), Some(status));
    }

    /// A writer for the agent's own log: above the status line where log and screen are the same terminal, standard
    /// error otherwise.
    #[must_use]
    pub fn log_writer(&self) -> LogWriter {
        let shown = self.has_status() && io::stderr().is_terminal();
        LogWriter {
            screen: shown.then(|| self.clone()),
        }
    }

    pub(super) fn health(&self, now_ns: u64) -> Health {
        self.lock().outbox.health(now_ns)
    }

    pub(super) fn lost(&self) -> u64 {
        self.lock().outbox.lost()
    }

    pub(super) fn finish(&self, patience: Duration) {
        let mut shared = self.lock();
        shared.finished = true;
        shared.outbox.finish(patience);
    }

    fn put(&self, lines: &[u8], status: Option<String>) {
        let mut shared = self.lock();
        let mut bytes = Vec::with_capacity(lines.len() + 256);
        if self.has_status() {
            let same = status.as_ref().is_none_or(|status| *status == shared.status);
            if same && lines.is_empty() {
                return;
            }
            if !shared.status.is_empty() {
                bytes.extend_from_slice(CLEAR);
            }
            bytes.extend_from_slice(lines);
            if let Some(status) = status {
                shared.status = status;
            }
            bytes.extend_from_slice(shared.status.as_bytes());
        } else {
            bytes.extend_from_slice(lines);
        }
        if !bytes.is_empty() {
            let size = bytes.len();
            shared.outbox.push(bytes, size);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the agent's own log goes, see [`Screen::log_writer`]. Expects whole lines per write.
#[derive(Clone)]
pub struct LogWriter {
    screen: Option<Screen>,
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.screen {
            Some(screen) if !screen.lock().finished => {
                screen.put(bytes, None);
                Ok(bytes.len())
            }
            _ => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Colour is for a terminal, unless `NO_COLOR` is set to anything (<https://no-color.org>).
#[must_use]
pub fn colour_wanted(terminal: bool, no_color: Option<&OsStr>) -> bool {
    terminal && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
