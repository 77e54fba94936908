//! The pace of readings.

use std::sync::Mutex;

use super::*;
use crate::sense::sample::{Elapsed, Host, Net, Scope};

const INTERVAL: Duration = Duration::from_millis(200);
/// Ticks before which the host is new, is quiet, and has work.
const NEW: usize = 3;
const QUIET_UNTIL: usize = 6;
const BUSY_UNTIL: usize = 9;

/// A host whose time passes as it has to, and when it was read between ticks, by tick. No cgroup comes or goes.
struct Quieted(Arc<Mutex<Vec<Vec<Instant>>>>, Arc<Vec<Arc<Scope>>>);

impl Source for Quieted {
    fn read(&mut self, now: Now, tick: bool) -> Sample {
        let mut between = self.0.lock().unwrap();
        if tick {
            between.push(Vec::new());
        } else if let Some(last) = between.last_mut() {
            last.push(Instant::now());
        }
        let ticks = between.len();
        let later_ns = if ticks <= NEW { 0 } else { 20_000_000_000 };
        let net = Net {
            accepts: if ticks <= QUIET_UNTIL { 0 } else { 100 },
            ..Net::default()
        };
        Sample {
            now: Now {
                monotonic_ns: now.monotonic_ns + later_ns,
                ..now
            },
            elapsed: Elapsed {
                net_ns: Some(1_000_000_000),
                ..Elapsed::default()
            },
            host: Host {
                net: Some(net),
                ..Host::default()
            },
            roster: Arc::clone(&self.1),
            ..Sample::default()
        }
    }
}

/// When the host was read between ticks, by tick, in a run of so long.
async fn read_between(interval: Duration, network_interval: Duration, length: Duration) -> Vec<Vec<Instant>> {
    let between = Arc::default();
    let parts = Parts {
        source: Quieted(Arc::clone(&between), Arc::default()),
        config: Config {
            interval,
            network_interval,
            ..Config::default()
        },
        origin: Arc::default(),
        unavailable: Arc::default(),
        read_between: true,
        every_tick: false,
        fail_on: None,
        sinks: Sinks::new(),
        recorder: None,
        acting: None,
        commands: None,
        memory: None,
        reloads: None,
    };
    Agent::new(parts).run(tokio::time::sleep(length)).await.unwrap();
    between.lock().unwrap().clone()
}

#[tokio::test]
async fn it_reads_between_ticks_at_the_beginning_and_while_something_happens() {
    let length = INTERVAL * BUSY_UNTIL as u32 + INTERVAL / 2;
    let between = read_between(INTERVAL, INTERVAL / 4, length).await;
    let readings: Vec<_> = between.iter().map(Vec::len).collect();
    let (new, rest) = readings.split_at(NEW);
    let (quiet, busy) = rest.split_at(QUIET_UNTIL - NEW);
    assert!(new.iter().sum::<usize>() > 0, "{readings:?}");
    assert!(quiet.iter().all(|readings| *readings == 0), "{readings:?}");
    assert!(busy.iter().sum::<usize>() > 0, "{readings:?}");
}

#[tokio::test]
async fn the_first_reading_between_ticks_comes_after_half_the_time() {
    let network_interval = Duration::from_millis(1_000);
    let began = Instant::now();
    let between = read_between(network_interval * 4, network_interval, network_interval * 3 / 2).await;
    let first = between.first().and_then(|readings| readings.first());
    let after = first.expect("a reading between ticks").duration_since(began);
    assert!(after >= network_interval / 2 && after < network_interval, "{after:?}");
}
