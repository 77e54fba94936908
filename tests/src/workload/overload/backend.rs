//! A backend of known capacity: so many workers, each busy for the same time with each request, and a queue before them.
//!
//! It cannot know that whoever asked has given up, and does the work all the same: that is what sustains an overload.
//! It sleeps instead of computing, so that its capacity does not depend on the machine. Prints `{"event":"slice", ..}` for
//! each slice of time with what came and what was done.

use std::{
    net::{IpAddr, Ipv4Addr},
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
    sync::{
        Mutex,
        mpsc::{self, Receiver, error::TrySendError},
    },
    time::{Instant, sleep_until, timeout},
};

use super::{OK, answer, block_on, head};
use crate::{
    wait,
    workload::{Deadline, port, ready_at, report},
};

/// A request that is not there by then will not come; a worker waits no longer for it.
const REQUEST_LIMIT: Duration = Duration::from_millis(100);

/// Answers `workers / service time` requests per second and no more.
#[derive(Clone, Debug, Args)]
pub struct Backend {
    /// Time each request keeps a worker busy.
    #[arg(long, default_value_t = 20.0)]
    service_ms: f64,
    /// Requests worked on at the same time.
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// Requests that may wait; what comes beyond that is closed at once.
    #[arg(long, default_value_t = 1000)]
    queue: usize,
    /// Service time for a while, from `--after-seconds` on: trouble of its own.
    #[arg(long, requires_all = ["after_seconds", "for_seconds"])]
    then_service_ms: Option<f64>,
    /// When that begins.
    #[arg(long)]
    after_seconds: Option<f64>,
    /// How long that lasts.
    #[arg(long)]
    for_seconds: Option<f64>,
    /// Length of a slice.
    #[arg(long, default_value_t = 100)]
    slice_ms: u64,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    served: AtomicU64,
    wasted: AtomicU64,
    rejected: AtomicU64,
}

/// How long a request takes at present.
#[derive(Clone, Copy, Debug)]
struct Pace {
    usual: Duration,
    troubled: Duration,
    begin: Deadline,
    end: Deadline,
}

impl Pace {
    fn now(self) -> Duration {
        if self.begin.is_over() && !self.end.is_over() {
            self.troubled
        } else {
            self.usual
        }
    }
}

impl Backend {
    pub(in crate::workload) fn run(self) -> Result<()> {
        block_on(self.serve())
    }

    async fn serve(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        let pace = self.pace()?;
        let listener = port::listen(IpAddr::from(Ipv4Addr::LOCALHOST))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let counts = Arc::new(Counts::default());
        let (queue, waiting) = mpsc::channel(self.queue.max(1));
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..self.workers.max(1) {
            tokio::spawn(work(Arc::clone(&waiting), pace, Arc::clone(&counts)));
        }
        ready_at(listener.local_addr()?);
        tokio::spawn(say_slices(
            Arc::clone(&counts),
            Duration::from_millis(self.slice_ms.max(1)),
        ));
        let accept = async {
            loop {
                // Out of descriptors is a queue that is full.
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                counts.accepted.fetch_add(1, Ordering::Relaxed);
                if let Err(TrySendError::Full(_)) = queue.try_send(stream) {
                    counts.rejected.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let _: Result<(), _> = timeout(end.left(), accept).await;
        report(json!({
            "served": counts.served.load(Ordering::Relaxed),
            "wasted": counts.wasted.load(Ordering::Relaxed),
            "rejected": counts.rejected.load(Ordering::Relaxed),
        }));
        Ok(())
    }

    fn pace(&self) -> Result<Pace> {
        let time = |ms: f64| Duration::try_from_secs_f64(ms / 1e3);
        let begin = self.after_seconds.unwrap_or(self.seconds);
        Ok(Pace {
            usual: time(self.service_ms)?,
            troubled: time(self.then_service_ms.unwrap_or(self.service_ms))?,
            begin: Deadline::after_seconds(begin),
            end: Deadline::after_seconds(begin + self.for_seconds.unwrap_or(0.0)),
        })
    }
}

/// One worker. While requests wait it begins the next when the one before was due, not when it woke up: late timers
/// do not lower the capacity.
async fn work(waiting: Arc<Mutex<Receiver<TcpStream>>>, pace: Pace, counts: Arc<Counts>) {
    let mut free = Instant::now();
    loop {
        let waited = Instant::now();
        let Some(mut stream) = waiting.lock().await.recv().await else {
            return;
        };
        let idle = waited.elapsed() > Duration::from_millis(2);
        if !matches!(timeout(REQUEST_LIMIT, head(&mut stream)).await, Ok(Ok(_))) {
            continue;
        }
        let begin = if idle { Instant::now() } else { free };
        free = begin + pace.now();
        sleep_until(free).await;
        // Whoever gave up has closed; there is nothing else it could have sent.
        if matches!(stream.try_read(&mut [0]), Ok(0)) {
            counts.wasted.fetch_add(1, Ordering::Relaxed);
        }
        answer(stream, OK).await;
        counts.served.fetch_add(1, Ordering::Relaxed);
    }
}

/// Says what came and what was done in each slice.
async fn say_slices(counts: Arc<Counts>, length: Duration) {
    let (mut before_ns, mut before) = (wait::now_ns(), [0; 4]);
    let mut due = Instant::now();
    loop {
        due += length;
        sleep_until(due).await;
        let now_ns = wait::now_ns();
        let now = [&counts.accepted, &counts.served, &counts.wasted, &counts.rejected]
            .map(|count| count.load(Ordering::Relaxed));
        let [accepted, served, wasted, rejected] = std::array::from_fn(|index| now[index] - before[index]);
        let line = json!({
            "event": "slice", "monotonic_ns": now_ns, "seconds": (now_ns - before_ns) as f64 / 1e9,
            "accepted": accepted, "served": served, "wasted": wasted, "rejected": rejected,
        });
        println!("{line}");
        (before_ns, before) = (now_ns, now);
    }
}
