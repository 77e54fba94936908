//! HTTP by hand: a backend, and a client that keeps its schedule whatever the answers.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, TrySendError},
    },
    thread,
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::{Deadline, port, ready, ready_at, report};
use crate::wait;

const STACK_BYTES: usize = 128 * 1024;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: backend\r\nConnection: close\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";

/// Answers requests on kept connections.
#[derive(Debug, Args)]
pub struct Backend {
    /// Where to listen; a free port of 127.0.0.1 when not given.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Time before each answer.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Time before each answer from `--after-seconds` on.
    #[arg(long, requires = "after_seconds")]
    then_delay_ms: Option<u64>,
    /// When the delay changes.
    #[arg(long)]
    after_seconds: Option<f64>,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

impl Backend {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        let change = Deadline::after_seconds(self.after_seconds.unwrap_or(self.seconds));
        let (before, after) = (self.delay_ms, self.then_delay_ms.unwrap_or(self.delay_ms));
        let listener = match self.listen {
            Some(address) => std::net::TcpListener::bind(address)?,
            None => port::listen(IpAddr::from(Ipv4Addr::LOCALHOST))?,
        };
        ready_at(listener.local_addr()?);
        let served = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&served);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                let delay = move || Duration::from_millis(if change.is_over() { after } else { before });
                let serve = move || serve(stream, delay, &counted);
                // Out of threads: the connection is dropped, as an overloaded backend does.
                let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn(serve);
            }
        });
        thread::sleep(end.left());
        report(json!({ "served": served.load(Ordering::Relaxed) }));
        Ok(())
    }
}

fn serve(stream: TcpStream, delay: impl Fn() -> Duration, served: &AtomicU64) {
    let Ok(mut answer) = stream.try_clone() else { return };
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(line)) = lines.next() {
        if !line.is_empty() {
            continue;
        }
        thread::sleep(delay());
        if answer.write_all(RESPONSE).is_err() {
            return;
        }
        served.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends requests, each on a connection of its own.
#[derive(Debug, Args)]
pub struct Client {
    /// Where to.
    #[arg(long)]
    to: SocketAddr,
    /// Requests per second.
    #[arg(long)]
    rps: f64,
    /// Requests per second from `--after-seconds` on.
    #[arg(long, requires = "after_seconds")]
    then_rps: Option<f64>,
    /// When the rate changes.
    #[arg(long)]
    after_seconds: Option<f64>,
    /// Requests under way at the same time at the most; what is due beyond that is counted as skipped.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Time after which a request is given up.
    #[arg(long, default_value_t = 2000)]
    timeout_ms: u64,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

#[derive(Debug, Default)]
struct Answers {
    ok: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    latency_us: AtomicU64,
}

impl Client {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        let change = Deadline::after_seconds(self.after_seconds.unwrap_or(self.seconds));
        let answers = Arc::new(Answers::default());
        let (due, taken) = mpsc::sync_channel(0);
        let taken = Arc::new(Mutex::new(taken));
        let mut workers = Vec::new();
        for _ in 0..self.connections {
            let (taken, answers) = (Arc::clone(&taken), Arc::clone(&answers));
            let (to, timeout) = (self.to, Duration::from_millis(self.timeout_ms));
            let worker = move || worker(to, timeout, &taken, &answers);
            workers.push(thread::Builder::new().stack_size(STACK_BYTES).spawn(worker)?);
        }
        ready();
        let (mut sent, mut skipped, mut next) = (0_u64, 0_u64, Duration::ZERO);
        while !end.is_over() {
            let rps = if change.is_over() {
                self.then_rps.unwrap_or(self.rps)
            } else {
                self.rps
            };
            thread::sleep(next.saturating_sub(end.passed()));
            next += Duration::from_secs_f64(1.0 / rps.max(0.1));
            match due.try_send(()) {
                Ok(()) => sent += 1,
                Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => skipped += 1,
            }
        }
        drop(due);
        for worker in workers {
            let _ = worker.join();
        }
        let ok = answers.ok.load(Ordering::Relaxed);
        let refused = answers.refused.load(Ordering::Relaxed);
        let broken = answers.broken.load(Ordering::Relaxed);
        let mean_us = answers.latency_us.load(Ordering::Relaxed) / sent.max(1);
        report(json!({
            "sent": sent, "ok": ok, "refused": refused, "broken": broken, "skipped": skipped, "mean_latency_us": mean_us,
        }));
        Ok(())
    }
}

fn worker(to: SocketAddr, timeout: Duration, due: &Mutex<Receiver<()>>, answers: &Answers) {
    loop {
        if due.lock().unwrap_or_else(PoisonError::into_inner).recv().is_err() {
            return;
        }
        let start_ns = wait::now_ns();
        let counter = match request(to, timeout) {
            Ok(status) if status.starts_with("HTTP/1.1 2") => &answers.ok,
            Ok(_) => &answers.refused,
            Err(_) => &answers.broken,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let latency_us = u64::try_from(wait::since(start_ns).as_micros()).unwrap_or(u64::MAX);
        answers.latency_us.fetch_add(latency_us, Ordering::Relaxed);
    }
}

/// One request on one connection; the status line of the answer.
fn request(to: SocketAddr, timeout: Duration) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(REQUEST)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let status = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(status).into_owned())
}
