//! A gateway that retries: each attempt on a connection of its own, with a timeout, so many times.
//!
//! Prints `{"event":"slice", ..}` for each slice of time with what became of its attempts, and `{"event":"denied", ..}` at
//! the first attempt whose `connect` was refused at once.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{OK, UNAVAILABLE, answer, ask, block_on, head};
use crate::{
    wait,
    workload::{Deadline, port, ready_at, report},
};

/// Passes requests on.
#[derive(Clone, Debug, Args)]
pub struct Gateway {
    /// Where to.
    #[arg(long)]
    to: SocketAddr,
    /// Attempts after the first.
    #[arg(long, default_value_t = 3)]
    retries: u32,
    /// Time after which an attempt is given up.
    #[arg(long, default_value_t = 250)]
    timeout_ms: u64,
    /// Pause before a retry.
    #[arg(long, default_value_t = 0)]
    backoff_ms: u64,
    /// Requests under way at the same time; what comes beyond that is refused at once, and not passed on.
    #[arg(long, default_value_t = 2048)]
    concurrency: usize,
    /// Length of a slice.
    #[arg(long, default_value_t = 100)]
    slice_ms: u64,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    attempts: AtomicU64,
    ok: AtomicU64,
    refused: AtomicU64,
    /// Attempts whose `connect` ended with an error, nothing sent.
    denied: AtomicU64,
    last_denied_ns: AtomicU64,
}

impl Counts {
    fn denied(&self, error: &std::io::Error) {
        if !matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::PermissionDenied) {
            return;
        }
        self.last_denied_ns.store(wait::now_ns(), Ordering::Relaxed);
        if self.denied.fetch_add(1, Ordering::Relaxed) == 0 {
            let error = error.to_string();
            println!(
                "{}",
                json!({ "event": "denied", "monotonic_ns": wait::now_ns(), "error": error })
            );
        }
    }
}

impl Gateway {
    pub(in crate::workload) fn run(self) -> Result<()> {
        block_on(self.serve())
    }

    async fn serve(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        let listener = port::listen(IpAddr::from(Ipv4Addr::LOCALHOST))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        ready_at(listener.local_addr()?);
        let counts = Arc::new(Counts::default());
        tokio::spawn(say_slices(
            Arc::clone(&counts),
            Duration::from_millis(self.slice_ms.max(1)),
        ));
        let places = Arc::new(Semaphore::new(self.concurrency.clamp(1, Semaphore::MAX_PERMITS)));
        let accept = async {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                counts.requests.fetch_add(1, Ordering::Relaxed);
                let place = Arc::clone(&places).try_acquire_owned().ok();
                let (gateway, counts) = (self.clone(), Arc::clone(&counts));
                tokio::spawn(async move {
                    gateway.pass_on(stream, place.is_some(), &counts).await;
                    drop(place);
                });
            }
        };
        let _: Result<(), _> = timeout(end.left(), accept).await;
        report(json!({
            "requests": counts.requests.load(Ordering::Relaxed), "attempts": counts.attempts.load(Ordering::Relaxed),
            "ok": counts.ok.load(Ordering::Relaxed), "refused": counts.refused.load(Ordering::Relaxed),
            "denied": counts.denied.load(Ordering::Relaxed),
        }));
        Ok(())
    }

    async fn pass_on(&self, mut stream: TcpStream, accepted: bool, counts: &Counts) {
        if head(&mut stream).await.is_err() {
            return;
        }
        if !accepted {
            counts.refused.fetch_add(1, Ordering::Relaxed);
            return answer(stream, UNAVAILABLE).await;
        }
        for attempt in 0..=self.retries {
            if attempt > 0 {
                sleep(Duration::from_millis(self.backoff_ms)).await;
            }
            counts.attempts.fetch_add(1, Ordering::Relaxed);
            let limit = Duration::from_millis(self.timeout_ms);
            match timeout(limit, ask(self.to)).await {
                Ok(Ok(true)) => {
                    counts.ok.fetch_add(1, Ordering::Relaxed);
                    return answer(stream, OK).await;
                }
                Ok(Err(error)) => counts.denied(&error),
                Ok(Ok(false)) | Err(_) => {}
            }
        }
        answer(stream, UNAVAILABLE).await;
    }
}

/// Says what became of the attempts of each slice.
async fn say_slices(counts: Arc<Counts>, length: Duration) {
    let (mut before_ns, mut before) = (wait::now_ns(), [0; 4]);
    let mut due = Instant::now();
    loop {
        due += length;
        sleep_until(due).await;
        let now_ns = wait::now_ns();
        let now =
            [&counts.requests, &counts.attempts, &counts.ok, &counts.denied].map(|count| count.load(Ordering::Relaxed));
        let [requests, attempts, ok, denied] = std::array::from_fn(|index| now[index] - before[index]);
        let line = json!({
            "event": "slice", "monotonic_ns": now_ns, "seconds": (now_ns - before_ns) as f64 / 1e9,
            "requests": requests, "attempts": attempts, "ok": ok, "denied": denied,
            "last_denied_ns": counts.last_denied_ns.load(Ordering::Relaxed),
        });
        println!("{line}");
        (before_ns, before) = (now_ns, now);
    }
}
