//! The agent's own log: standard error, or above the status line of a terminal. `SENTINEL_LOG` sets the level, else the
//! configuration.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, OnceLock},
};

use tracing_subscriber::EnvFilter;

use crate::{config::LogLevel, show::screen::Screen};

/// Sets another level.
type Leveller = Box<dyn Fn(&str) + Send + Sync>;

/// The log, once it is started.
pub(super) struct Log {
    screen: Arc<OnceLock<Screen>>,
    /// `None` where the environment decides.
    leveller: Option<Leveller>,
}

impl Log {
    /// Starts it, on standard error.
    pub(super) fn start(level: LogLevel) -> Self {
        let screen: Arc<OnceLock<Screen>> = Arc::default();
        let from_outside = EnvFilter::try_from_env("SENTINEL_LOG").ok();
        let fixed = from_outside.is_some();
        let shown = Arc::clone(&screen);
        let builder = tracing_subscriber::fmt()
            .with_target(false)
            .without_time()
            .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .with_writer(move || writer(&shown))
            .with_env_filter(from_outside.unwrap_or_else(|| EnvFilter::new(level.name())))
            .with_filter_reloading();
        let handle = builder.reload_handle();
        let set = builder.try_init();
        // A second logger in one process would be a test's.
        drop(set);
        let leveller: Leveller = Box::new(move |level| drop(handle.reload(EnvFilter::new(level))));
        Self {
            screen,
            leveller: (!fixed).then_some(leveller),
        }
    }

    /// Goes on above the status line of this screen, where log and screen are the same terminal.
    pub(super) fn onto(&self, screen: &Screen) {
        let _ = self.screen.set(screen.clone());
    }

    /// Another level from now on; false where the environment decides.
    pub(super) fn set_level(&self, level: LogLevel) -> bool {
        self.leveller.as_ref().map(|set| set(level.name())).is_some()
    }
}

fn writer(screen: &OnceLock<Screen>) -> Box<dyn Write> {
    match screen.get() {
        Some(screen) => Box::new(screen.log_writer()),
        None => Box::new(io::stderr()),
    }
}
