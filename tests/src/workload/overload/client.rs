//! An open-loop client: asks on a schedule, whatever becomes of what it asked before, and says what came back.
//!
//! Prints `{"event":"slice", ..}` for each slice of time, with how long each answer took, and
//! `{"event":"trigger","state":"begins"|"ends", ..}`.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use rand_distr::{Distribution as _, Exp1};
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};
use serde_json::json;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{ask, block_on};
use crate::{
    wait,
    workload::{Deadline, ready, report},
};

use std::sync::atomic::{AtomicU64, Ordering};

/// Requests under way at the most; what is due beyond that is counted as skipped.
const IN_FLIGHT: usize = 8192;

/// Sends requests, each on a connection of its own.
#[derive(Clone, Debug, Args)]
pub struct Client {
    /// Where to.
    #[arg(long)]
    to: SocketAddr,
    /// Requests per second.
    #[arg(long)]
    rps: f64,
    /// Load during the trigger, times the usual.
    #[arg(long, default_value_t = 1.0)]
    trigger_factor: f64,
    /// When the trigger begins.
    #[arg(long, default_value_t = 0.0)]
    trigger_after_seconds: f64,
    /// How long it lasts.
    #[arg(long, default_value_t = 0.0)]
    trigger_seconds: f64,
    /// Requests at random times (Poisson) from this seed, instead of one after the other at the same distance.
    #[arg(long)]
    poisson: Option<u64>,
    /// Time after which a request is given up.
    #[arg(long, default_value_t = 5000)]
    timeout_ms: u64,
    /// Length of a slice.
    #[arg(long, default_value_t = 100)]
    slice_ms: u64,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

#[derive(Debug, Default)]
struct Counts {
    asked: AtomicU64,
    ok: AtomicU64,
    failed: AtomicU64,
    skipped: AtomicU64,
    latency_us: AtomicU64,
    /// Of each answer since the last slice.
    latencies_us: Mutex<Vec<u64>>,
}

impl Counts {
    fn answered(&self, latency: Duration) {
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_us.fetch_add(latency_us, Ordering::Relaxed);
        self.latencies().push(latency_us);
        self.ok.fetch_add(1, Ordering::Relaxed);
    }

    fn latencies(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.latencies_us.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    pub(in crate::workload) fn run(self) -> Result<()> {
        block_on(self.ask_for_all())
    }

    async fn ask_for_all(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        let counts = Arc::new(Counts::default());
        ready();
        tokio::spawn(say_slices(
            Arc::clone(&counts),
            Duration::from_millis(self.slice_ms.max(1)),
        ));
        if self.trigger_seconds > 0.0 {
            tokio::spawn(say_trigger(
                self.trigger_after_seconds,
                self.trigger_seconds,
                self.trigger_factor,
            ));
        }
        let _: Result<(), _> = timeout(end.left(), self.schedule(&counts)).await;
        report(json!({
            "asked": counts.asked.load(Ordering::Relaxed), "ok": counts.ok.load(Ordering::Relaxed),
            "failed": counts.failed.load(Ordering::Relaxed), "skipped": counts.skipped.load(Ordering::Relaxed),
        }));
        Ok(())
    }

    async fn schedule(&self, counts: &Arc<Counts>) {
        let places = Arc::new(Semaphore::new(IN_FLIGHT));
        let mut random = self.poisson.map(Xoshiro256PlusPlus::seed_from_u64);
        let start = Instant::now();
        let mut due_s = 0.0;
        loop {
            sleep_until(start + Duration::from_secs_f64(due_s)).await;
            let rate = (self.rps * self.factor(due_s)).max(0.1);
            let gap: f64 = random.as_mut().map_or(1.0, |random| Exp1.sample(random));
            due_s += gap / rate;
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                counts.skipped.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            counts.asked.fetch_add(1, Ordering::Relaxed);
            let (to, limit, counts) = (self.to, Duration::from_millis(self.timeout_ms), Arc::clone(counts));
            tokio::spawn(async move {
                let began = Instant::now();
                if matches!(timeout(limit, ask(to)).await, Ok(Ok(true))) {
                    counts.answered(began.elapsed());
                } else {
                    counts.failed.fetch_add(1, Ordering::Relaxed);
                }
                drop(place);
            });
        }
    }

    fn factor(&self, at_s: f64) -> f64 {
        let during = self.trigger_after_seconds..self.trigger_after_seconds + self.trigger_seconds;
        if during.contains(&at_s) {
            self.trigger_factor
        } else {
            1.0
        }
    }
}

async fn say_trigger(after_s: f64, length_s: f64, factor: f64) {
    for (state, wait_s) in [("begins", after_s), ("ends", length_s)] {
        sleep(Duration::try_from_secs_f64(wait_s).unwrap_or_default()).await;
        let line = json!({ "event": "trigger", "state": state, "factor": factor, "monotonic_ns": wait::now_ns() });
        println!("{line}");
    }
}

/// Says what came back in each slice. A slice that ended late says how long it was.
async fn say_slices(counts: Arc<Counts>, length: Duration) {
    let start_ns = wait::now_ns();
    let (mut before_ns, mut before) = (start_ns, [0; 4]);
    let mut due = Instant::now();
    loop {
        due += length;
        sleep_until(due).await;
        let now_ns = wait::now_ns();
        let now =
            [&counts.asked, &counts.ok, &counts.failed, &counts.latency_us].map(|count| count.load(Ordering::Relaxed));
        let [asked, ok, failed, latency_us] = std::array::from_fn(|index| now[index] - before[index]);
        let seconds = (now_ns - before_ns) as f64 / 1e9;
        let mut latencies_us = std::mem::take(&mut *counts.latencies());
        latencies_us.sort_unstable();
        let line = json!({
            "event": "slice", "monotonic_ns": now_ns, "at_ms": (now_ns - start_ns) / 1_000_000, "seconds": seconds,
            "asked": asked, "ok": ok, "failed": failed, "goodput_per_s": ok as f64 / seconds,
            "mean_latency_ms": (ok > 0).then(|| latency_us as f64 / 1e3 / ok as f64), "latencies_us": latencies_us,
        });
        println!("{line}");
        (before_ns, before) = (now_ns, now);
    }
}
