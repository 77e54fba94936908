//! Plain HTTP over TCP, so that a test sees every byte and can misbehave.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    lines::{Line, Lines},
    wait,
};

const LIMIT: Duration = Duration::from_secs(5);

/// A status and what came with it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status; 0 when the connection was closed without one.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// Body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is none, or the status is not 200.
    pub fn json(&self) -> Result<Value> {
        ensure!(self.status == 200, "{}: {}", self.head, self.body);
        Ok(serde_json::from_str(&self.body)?)
    }
}

/// A connection.
///
/// # Errors
/// It was refused.
pub fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// Sends these bytes and reads to the end.
///
/// # Errors
/// It was refused, or the answer is no text.
pub fn ask(address: SocketAddr, bytes: &[u8]) -> Result<Answer> {
    let mut stream = connect(address)?;
    // Who is refused early may not take all of it.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).context("an answer that is not UTF-8")?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok(Answer {
        status: head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0),
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// GET.
///
/// # Errors
/// See [`ask`].
pub fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    get_with(address, path, "")
}

/// GET with more headers, each with its line break.
///
/// # Errors
/// See [`ask`].
pub fn get_with(address: SocketAddr, path: &str, headers: &str) -> Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
    ask(address, request.as_bytes())
}

/// The state, once there is one.
///
/// # Errors
/// There is none in time.
pub fn state(address: SocketAddr) -> Result<Value> {
    let ready = || get(address, "/api/v1/state").ok().filter(|answer| answer.status == 200);
    wait::until(LIMIT, ready).context("no state is served")?.json()
}

/// An event of the stream.
#[derive(Clone, Debug)]
pub struct Event {
    /// When it was read, `CLOCK_MONOTONIC`, nanoseconds.
    pub at_ns: u64,
    /// Its name.
    pub name: String,
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Its data.
    pub data: String,
}

/// A viewer of the event stream that reads whatever comes.
#[derive(Debug)]
pub struct Viewer {
    lines: Lines,
    stream: TcpStream,
}

impl Viewer {
    /// Begins to read.
    ///
    /// # Errors
    /// It was refused.
    pub fn start(address: SocketAddr, headers: &str) -> Result<Self> {
        let mut stream = connect(address)?;
        stream.set_read_timeout(None)?;
        write!(
            stream,
            "GET /api/v1/events HTTP/1.0\r\nhost: {address}\r\n{headers}\r\n"
        )?;
        let lines = Lines::read(stream.try_clone()?);
        Ok(Self { lines, stream })
    }

    /// Every event so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let (mut events, mut name, mut id) = (Vec::new(), String::new(), None);
        for Line { at_ns, text } in self.lines.all() {
            if let Some(known) = text.strip_prefix("event: ") {
                known.clone_into(&mut name);
            } else if let Some(known) = text.strip_prefix("id: ") {
                id = Some(known.to_owned());
            } else if let Some(data) = text.strip_prefix("data: ") {
                events.push(Event {
                    at_ns,
                    name: std::mem::take(&mut name),
                    id: id.take(),
                    data: data.to_owned(),
                });
            }
        }
        events
    }

    /// Whether the agent closed the stream.
    #[must_use]
    pub fn closed(&self, limit: Duration) -> bool {
        self.lines.closed(limit)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

/// Asks for the event stream and never reads it, until the agent closes it or `limit` is over; how long that took.
///
/// # Errors
/// It was refused, or not closed in time.
pub fn never_read(address: SocketAddr, limit: Duration) -> Result<Duration> {
    let mut stream = connect(address)?;
    write!(stream, "GET /api/v1/events HTTP/1.1\r\nhost: {address}\r\n\r\n")?;
    let began_ns = wait::now_ns();
    // Whether it is closed shows without reading: what is written to a closed connection fails.
    let until = began_ns + u64::try_from(limit.as_nanos())?;
    while wait::now_ns() < until {
        thread::sleep(Duration::from_millis(200));
        if stream.take_error()?.is_some() || stream.write_all(b"\r\n").is_err() {
            return Ok(Duration::from_nanos(wait::now_ns() - began_ns));
        }
    }
    anyhow::bail!("a viewer that reads nothing still had its connection after {limit:?}")
}

/// A viewer that reads everything and keeps nothing; gone with its guard.
#[derive(Debug)]
pub struct Drain {
    stream: TcpStream,
    bytes: Arc<AtomicU64>,
}

impl Drain {
    /// Begins to read.
    ///
    /// # Errors
    /// It was refused.
    pub fn start(address: SocketAddr) -> Result<Self> {
        let mut stream = connect(address)?;
        stream.set_read_timeout(None)?;
        write!(stream, "GET /api/v1/events HTTP/1.1\r\nhost: {address}\r\n\r\n")?;
        let bytes = Arc::new(AtomicU64::new(0));
        let (mut reader, counted) = (stream.try_clone()?, Arc::clone(&bytes));
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                counted.fetch_add(length as u64, Relaxed);
            }
        });
        Ok(Self { stream, bytes })
    }

    /// Bytes read so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

/// The value of one series of a metrics text; `None` when there is none.
#[must_use]
pub fn series(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line?.parse().ok()
}
