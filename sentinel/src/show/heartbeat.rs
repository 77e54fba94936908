//! A file for monitors outside: that the agent lives, as of when, and how the host is. Schema `sentinel.heartbeat/1`.
//!
//! Owns the file and a thread that writes it, so that a slow disk delays no tick. In: snapshots. Out: the file, replaced
//! as a whole, at each tick and at most once a second. A monitor looks at `time`: an agent that hangs writes nothing.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Publication, Sink, SinkError,
    outbox::{Bounds, Delivery, Outbox},
};
use crate::judge::verdict::Level;

/// The schema name in the file.
pub const SCHEMA: &str = "sentinel.heartbeat/1";
/// Only the last one counts.
const BOUNDS: Bounds = Bounds {
    records: 1,
    bytes: 64 * 1024,
};
const RETRY: Duration = Duration::from_secs(1);
/// Shortest time between two.
const GAP_NS: u64 = 1_000_000_000;

/// What is in the file: one JSON object and a line break.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beat {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// `running`, or `ended` when the agent ended as it should.
    pub state: String,
    /// Version of the agent.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// This boot of the host: a file of an earlier one says nothing about now.
    pub boot_id: String,
    /// When the tick was, RFC 3339.
    pub time: String,
    /// The same by `CLOCK_MONOTONIC`, nanoseconds: does not move when somebody sets the clock.
    pub monotonic_ns: u64,
    /// Time between ticks as configured, milliseconds: older than a few of these is late.
    pub interval_ms: u64,
    /// Ticks since the start.
    pub ticks: u64,
    /// Those that were late.
    pub late_ticks: u64,
    /// Signals of scopes by level: `unknown`, `nominal`, `watch`, `veto`.
    pub signals: [u64; 4],
}

/// The sink.
pub struct Heartbeat {
    outbox: Outbox<Vec<u8>>,
    beat: Beat,
    /// Ticks when a snapshot was last seen: one between ticks says nothing new.
    seen: u64,
}

impl Heartbeat {
    /// Writes `path` from the first tick on.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(path: PathBuf, boot_id: &str, interval: Duration) -> io::Result<Self> {
        let told = path.clone();
        let outbox = Outbox::start("sentinel-beat", BOUNDS, RETRY, move |text: &Vec<u8>| {
            match write(&path, text) {
                Ok(()) => Delivery::Done,
                Err(error) => Delivery::Lost(format!("{} cannot be written: {error}", told.display())),
            }
        })?;
        Ok(Self {
            outbox,
            beat: Beat {
                schema: SCHEMA.into(),
                state: "running".into(),
                version: env!("CARGO_PKG_VERSION").into(),
                pid: std::process::id(),
                boot_id: boot_id.into(),
                time: String::new(),
                monotonic_ns: 0,
                interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
                ticks: 0,
                late_ticks: 0,
                signals: [0; 4],
            },
            seen: 0,
        })
    }

    fn push(&self) {
        let mut text = serde_json::to_vec(&self.beat).unwrap_or_default();
        text.push(b'\n');
        let size = text.len();
        self.outbox.push(text, size);
    }
}

impl Sink for Heartbeat {
    fn name(&self) -> &'static str {
        "heartbeat"
    }

    fn publish(&mut self, publication: &Publication<'_>) -> Result<(), SinkError> {
        let snapshot = publication.snapshot;
        let now_ns = snapshot.now.monotonic_ns;
        let ticked = std::mem::replace(&mut self.seen, snapshot.ticks) < snapshot.ticks;
        let beat = &mut self.beat;
        let first = beat.ticks == 0;
        // A little less than the gap: a tick of a second may come a little early.
        let due = now_ns.saturating_sub(beat.monotonic_ns) >= GAP_NS * 9 / 10;
        if ticked && (first || due) {
            beat.time = snapshot.now.rfc3339();
            beat.monotonic_ns = now_ns;
            (beat.ticks, beat.late_ticks) = (snapshot.ticks, snapshot.late_ticks);
            beat.signals = [Level::Unknown, Level::Nominal, Level::Watch, Level::Veto]
                .map(|level| snapshot.standing.levels.signals_at(level));
            self.push();
        }
        SinkError::from_health(self.name(), self.outbox.health(now_ns))
    }

    fn finish(&mut self, patience: Duration) {
        self.beat.state = "ended".into();
        self.push();
        self.outbox.finish(patience);
    }
}

/// Beside it first, then in its place: a reader sees one or the other, whole.
fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let beside = path.with_file_name(format!(".{}.new", name.to_string_lossy()));
    // What a killed agent left, or what somebody put there, is not written into.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&beside)?;
    // For others to read, whatever the service's umask says.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::Snapshot;

    fn read(path: &Path) -> Beat {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    fn tick(ticks: u64, ms: u64) -> Snapshot {
        let mut snapshot = Snapshot {
            ticks,
            ..Snapshot::default()
        };
        snapshot.now.monotonic_ns = ms * 1_000_000;
        snapshot
    }

    #[test]
    fn it_beats_with_ticks_at_most_once_a_second_and_says_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("beat");
        let mut heartbeat = Heartbeat::start(path.clone(), "a-boot", Duration::from_millis(200)).unwrap();
        for (ticks, ms, shown) in [(1, 5000, 1), (2, 5200, 1), (2, 7000, 1), (9, 7100, 9)] {
            heartbeat.publish(&Publication::new(&tick(ticks, ms), &[])).unwrap();
            assert_eq!(heartbeat.beat.ticks, shown, "at {ms} ms");
        }
        heartbeat.finish(Duration::from_secs(5));
        let beat = read(&path);
        assert_eq!(
            (beat.state.as_str(), beat.ticks, beat.pid),
            ("ended", 9, std::process::id())
        );
        assert_eq!((beat.boot_id.as_str(), beat.interval_ms), ("a-boot", 200));
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_link_beside_it_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, precious) = (dir.path().join("beat"), dir.path().join("precious"));
        fs::write(&precious, "keep me").unwrap();
        std::os::unix::fs::symlink(&precious, dir.path().join(".beat.new")).unwrap();
        write(&path, b"text").unwrap();
        assert_eq!(fs::read_to_string(&precious).unwrap(), "keep me");
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
        assert!(write(Path::new("/nonexistent/beat"), b"text").is_err());
    }
}
