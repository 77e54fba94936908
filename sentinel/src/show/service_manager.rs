//! What the service manager is told: ready, alive, reloading, stopping (the protocol of `sd_notify(3)`).
//!
//! Owns a socket that is connected at start and never blocks. In: snapshots; that a tick really happened is what feeds
//! the watchdog, so an agent that hangs or is stopped is not fed. Out: datagrams. Says nothing where nobody asked.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::Arc,
    time::Duration,
};

use libsystemd::daemon::{NotifyState, watchdog_enabled};

use super::{Publication, Sink, SinkError, Snapshot};
use crate::judge::verdict::Level;

/// A message that is longer is cut.
const MOST_STATUS: usize = 200;

/// Says something at any time; clones share the socket.
#[derive(Clone, Debug)]
pub struct Teller(Arc<UnixDatagram>);

/// The sink.
#[derive(Debug)]
pub struct ServiceManager {
    teller: Teller,
    /// How long it waits for a sign of life; `None` where it has no watchdog.
    watchdog_ns: Option<u64>,
    /// Ticks when it was fed last; `None` until ready.
    fed: Option<(u64, u64)>,
    status: String,
}

/// Nothing can be said although somebody asked for it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the service manager cannot be told anything at NOTIFY_SOCKET={socket}: {source}; start the agent without that variable"
)]
pub struct NotifyError {
    socket: String,
    source: io::Error,
}

impl ServiceManager {
    /// For the manager that the environment names; `None` where it names none. `interval`: time between ticks. A
    /// watchdog that is more impatient than three of them is asked to wait so long.
    ///
    /// # Errors
    /// Its socket is not there.
    pub fn from_environment(interval: Duration) -> Result<Option<Self>, NotifyError> {
        let Ok(socket) = env::var("NOTIFY_SOCKET") else {
            return Ok(None);
        };
        let teller = Teller::connect(&socket).map_err(|source| NotifyError { socket, source })?;
        let patience = interval.saturating_mul(3);
        let mut watchdog = watchdog_enabled(false);
        if let Some(watchdog) = watchdog.as_mut().filter(|watchdog| **watchdog < patience) {
            tracing::warn!(
                "the watchdog of the service manager waits {watchdog:?}, and a tick comes every {interval:?}: it is asked to \
                 wait {patience:?}"
            );
            let usec = u64::try_from(patience.as_micros()).unwrap_or(u64::MAX);
            let _ = teller.say(&[NotifyState::WatchdogUsec(usec)]);
            *watchdog = patience;
        }
        Ok(Some(Self {
            teller,
            watchdog_ns: watchdog.map(|watchdog| u64::try_from(watchdog.as_nanos()).unwrap_or(u64::MAX)),
            fed: None,
            status: String::new(),
        }))
    }

    /// A way to say what is no tick.
    #[must_use]
    pub fn teller(&self) -> Teller {
        self.teller.clone()
    }
}

impl Teller {
    fn connect(socket: &str) -> io::Result<Self> {
        let datagrams = UnixDatagram::unbound()?;
        datagrams.set_nonblocking(true)?;
        match socket.strip_prefix('@') {
            Some(name) => datagrams.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
            None => datagrams.connect(socket)?,
        }
        Ok(Self(Arc::new(datagrams)))
    }

    /// The configuration is being read again. To be followed by [`Teller::ready`].
    pub fn reloading(&self, monotonic_ns: u64) {
        let when = NotifyState::Other(format!("MONOTONIC_USEC={}", monotonic_ns / 1000));
        self.said(&[NotifyState::Reloading, when]);
    }

    /// It is ready again.
    pub fn ready(&self) {
        self.said(&[NotifyState::Ready]);
    }

    /// It is ending.
    pub fn stopping(&self) {
        self.said(&[NotifyState::Stopping]);
    }

    fn said(&self, states: &[NotifyState]) {
        if let Err(error) = self.say(states) {
            tracing::warn!("the service manager was not told: {error}");
        }
    }

    fn say(&self, states: &[NotifyState]) -> io::Result<()> {
        let text: String = states.iter().map(|state| format!("{state}\n")).collect();
        self.0.send(text.as_bytes()).map(drop)
    }
}

impl Sink for ServiceManager {
    fn name(&self) -> &'static str {
        "service manager"
    }

    fn publish(&mut self, publication: &Publication<'_>) -> Result<(), SinkError> {
        let snapshot = publication.snapshot;
        let now_ns = snapshot.now.monotonic_ns;
        let mut states = Vec::new();
        match self.fed {
            None => states.push(NotifyState::Ready),
            Some((ticks, _)) if ticks == snapshot.ticks => return Ok(()),
            Some(_) => {}
        }
        // Four times within its patience is often enough, whatever the interval.
        let hungry = |watchdog: &u64| self.fed.is_none_or(|(_, at)| now_ns.saturating_sub(at) >= watchdog / 4);
        let feed = self.watchdog_ns.as_ref().is_some_and(hungry);
        if feed {
            states.push(NotifyState::Watchdog);
        }
        let fed_ns = self.fed.filter(|_| !feed).map_or(now_ns, |(_, at)| at);
        let status = status(snapshot);
        if status != self.status {
            states.push(NotifyState::Status(status.clone()));
        }
        if !states.is_empty() {
            self.teller.say(&states).map_err(|error| SinkError::Unwell {
                sink: self.name(),
                reason: error.to_string(),
            })?;
        }
        self.fed = Some((snapshot.ticks, fed_ns));
        self.status = status;
        Ok(())
    }
}

/// One line for `systemctl status`.
fn status(snapshot: &Snapshot) -> String {
    let standing = &snapshot.standing;
    let at = |level| standing.levels.signals_at(level);
    let mut text = format!("{} veto, {} watch", at(Level::Veto), at(Level::Watch));
    if let Some(worst) = standing.worst.as_ref().filter(|state| state.level >= Level::Watch) {
        text.push_str(&format!(
            "; worst {} of {}",
            worst.signal.name(),
            super::escape::line(&worst.scope.path)
        ));
    }
    text.chars().take(MOST_STATUS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(watchdog_ns: Option<u64>) -> (ServiceManager, UnixDatagram, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let other = UnixDatagram::bind(&path).unwrap();
        other.set_nonblocking(true).unwrap();
        let teller = Teller::connect(path.to_str().unwrap()).unwrap();
        let manager = ServiceManager {
            teller,
            watchdog_ns,
            fed: None,
            status: String::new(),
        };
        (manager, other, dir)
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    fn tick(ticks: u64, seconds: u64) -> Snapshot {
        let mut snapshot = Snapshot {
            ticks,
            ..Snapshot::default()
        };
        snapshot.now.monotonic_ns = seconds * 1_000_000_000;
        snapshot
    }

    #[test]
    fn it_is_ready_once_and_fed_only_by_ticks() {
        let (mut manager, other, _dir) = manager(Some(4_000_000_000));
        manager.publish(&Publication::new(&tick(1, 10), &[])).unwrap();
        assert_eq!(heard(&other), "READY=1\nWATCHDOG=1\nSTATUS=0 veto, 0 watch\n");
        manager.publish(&Publication::new(&tick(1, 15), &[])).unwrap();
        assert_eq!(heard(&other), "", "no tick happened since");
        manager.publish(&Publication::new(&tick(2, 16), &[])).unwrap();
        assert_eq!(heard(&other), "WATCHDOG=1\n");
    }

    #[test]
    fn without_a_watchdog_nothing_is_said_that_is_not_new() {
        let (mut manager, other, _dir) = manager(None);
        manager.publish(&Publication::new(&tick(1, 10), &[])).unwrap();
        assert_eq!(heard(&other), "READY=1\nSTATUS=0 veto, 0 watch\n");
        manager.publish(&Publication::new(&tick(2, 11), &[])).unwrap();
        assert_eq!(heard(&other), "");
    }

    #[test]
    fn a_manager_that_is_gone_is_no_end() {
        let (mut manager, other, _dir) = manager(None);
        drop(other);
        assert!(matches!(
            manager.publish(&Publication::new(&tick(1, 10), &[])),
            Err(SinkError::Unwell { .. })
        ));
        assert!(Teller::connect("/nonexistent/notify").is_err());
    }
}
