//! The one line at the bottom of a terminal: the host now, and the worst scope.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Snapshot, State, Unavailable, escape,
    view::{Style, count, paint},
};
use crate::{
    judge::verdict::Level,
    sense::{Sample, sample::ScopeKind},
};

/// What the host does now, per second; `None` until it was measured, and where its sensor does not run (any more). A sensor
/// that is read more seldom keeps its last value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rates {
    /// Mean run-queue length of a CPU, the running task included.
    pub run_queue: Option<f64>,
    /// Milliseconds that tasks waited for a CPU.
    pub waiting_ms_per_s: Option<f64>,
    /// Memory taken and not given back, 10^6 bytes.
    pub memory_mb_per_s: Option<f64>,
    /// Packets, both directions, loopback included.
    pub packets_per_s: Option<f64>,
    /// TCP connection attempts.
    pub attempts_per_s: Option<f64>,
}

impl Rates {
    /// Takes in what `sample` measured.
    pub fn update(&mut self, sample: &Sample, page_bytes: u64) {
        let host = &sample.host;
        if let Some(queue) = host.run_queue.filter(|queue| queue.samples > 0) {
            self.run_queue = Some(queue.length as f64 / queue.samples as f64);
        }
        if let (Some(sched), Some(seconds)) = (host.sched, seconds(sample.elapsed.sched_ns)) {
            self.waiting_ms_per_s = Some(sched.wait_ns as f64 / 1e6 / seconds);
        }
        if let (Some(mem), Some(seconds)) = (host.mem, seconds(sample.elapsed.mem_ns)) {
            let pages = mem.allocated_pages as f64 - mem.freed_pages as f64;
            self.memory_mb_per_s = Some(pages * page_bytes as f64 / 1e6 / seconds);
        }
        if let (Some(net), Some(seconds)) = (host.net, seconds(sample.elapsed.net_ns)) {
            let packets = [net.external, net.loopback].map(|path| path.ingress_packets + path.egress_packets);
            self.packets_per_s = Some(packets.iter().sum::<u64>() as f64 / seconds);
            self.attempts_per_s = Some(net.connect_attempts as f64 / seconds);
        }
    }

    /// Drops what a sensor told that does not run any more: what it was is not what is.
    pub fn forget(&mut self, unavailable: &[Unavailable]) {
        for one in unavailable {
            match one.sensor.as_str() {
                "sched" => (self.run_queue, self.waiting_ms_per_s) = (None, None),
                "sched.run_queue" => self.run_queue = None,
                "mem" => self.memory_mb_per_s = None,
                "net" => (self.packets_per_s, self.attempts_per_s) = (None, None),
                _ => {}
            }
        }
    }
}

/// The line, cut to the terminal, without a line break.
#[must_use]
pub fn status(snapshot: &Snapshot, rates: &Rates, style: &Style) -> String {
    let scopes = snapshot
        .sample
        .all()
        .filter(|scope| scope.kind == ScopeKind::Cgroup)
        .count();
    let (level, worst) = worst(snapshot.standing.worst.as_ref());
    let text = format!(
        "{worst} · run queue {} · waiting {} ms/s · memory {} MB/s · {} packets/s · {} attempts/s · {}",
        number(rates.run_queue, 2, false),
        number(rates.waiting_ms_per_s, 0, false),
        number(rates.memory_mb_per_s, 1, true),
        number(rates.packets_per_s, 0, false),
        number(rates.attempts_per_s, 0, false),
        count(scopes as u64, "scope"),
    );
    // The last column stays free: writing it makes some terminals wrap.
    let text = escape::cut(&text, style.columns.unwrap_or(usize::MAX).saturating_sub(1));
    style.paint(paint(level), &text)
}

fn worst(state: Option<&State>) -> (Level, String) {
    match state {
        Some(state) if state.level >= Level::Watch => {
            let value = state.value.map(|value| format!(" {value:.2}")).unwrap_or_default();
            let (signal, level) = (state.signal.name(), state.level.name());
            (
                state.level,
                format!(
                    "{} {signal}{value} {level}",
                    escape::cut(&escape::line(state.scope.name()), 32)
                ),
            )
        }
        Some(state) if state.level == Level::Nominal => (Level::Nominal, "all nominal".to_owned()),
        _ => (Level::Unknown, "warming up".to_owned()),
    }
}

fn seconds(elapsed_ns: Option<u64>) -> Option<f64> {
    elapsed_ns
        .filter(|elapsed| *elapsed > 0)
        .map(|elapsed| elapsed as f64 / 1e9)
}

fn number(value: Option<f64>, decimals: usize, signed: bool) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if signed => format!("{value:+.decimals$}"),
        Some(value) => format!("{value:.decimals$}"),
    }
}
