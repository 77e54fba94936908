//! The pace of readings.

use std::sync::Mutex;

use super::*;
use crate::sense::sample::{Elapsed, Host, Net, Scope};

const INTERVAL: Duration = Duration::from_millis(200);
/// Ticks before which the host is new, is quiet, and has work.
const NEW: usize = 3;
const QUIET_UNTIL: usize = 6;
const BUSY_UNTIL: usize = 9;

/// A host whose time passes as it has to, and how often it was read between ticks, by tick. No cgroup comes or goes.
struct Quieted(Arc<Mutex<Vec<u32>>>, Arc<Vec<Arc<Scope>>>);

impl Source for Quieted {
    fn read(&mut self, now: Now, tick: bool) -> Sample {
        let mut between = self.0.lock().unwrap();
        if tick {
            between.push(0);
        } else if let Some(last) = between.last_mut() {
            *last += 1;
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

#[tokio::test]
async fn it_reads_between_ticks_at_the_beginning_and_while_something_happens() {
    let between = Arc::default();
    let parts = Parts {
        source: Quieted(Arc::clone(&between), Arc::default()),
        config: Config {
            interval: INTERVAL,
            network_interval: INTERVAL / 4,
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
    let over = tokio::time::sleep(INTERVAL * BUSY_UNTIL as u32 + INTERVAL / 2);
    Agent::new(parts).run(over).await.unwrap();
    let between = between.lock().unwrap().clone();
    let (new, rest) = between.split_at(NEW);
    let (quiet, busy) = rest.split_at(QUIET_UNTIL - NEW);
    assert!(new.iter().sum::<u32>() > 0, "{between:?}");
    assert!(quiet.iter().all(|readings| *readings == 0), "{between:?}");
    assert!(busy.iter().sum::<u32>() > 0, "{between:?}");
}
