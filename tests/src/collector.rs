//! A small OpenTelemetry collector in the process of the test: keeps what it is sent, decoded by the types of OTLP.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest},
    common::v1::{KeyValue, any_value},
    metrics::v1::{Metric, metric::Data, number_data_point::Value},
};
use prost::Message as _;

/// What came.
#[derive(Debug, Default)]
struct Got {
    metrics: Vec<ExportMetricsServiceRequest>,
    logs: Vec<ExportLogsServiceRequest>,
    unfit: Vec<String>,
    /// The value of `api-key` of every request.
    keys: Vec<String>,
}

#[derive(Debug, Default)]
struct Shared {
    got: Mutex<Got>,
    hangs: AtomicBool,
    ends: AtomicBool,
}

/// A collector; gone with its guard.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    /// Listens here; port 0 for any.
    ///
    /// # Errors
    /// The address is taken.
    pub fn start(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        let (address, shared) = (listener.local_addr()?, Arc::new(Shared::default()));
        let inside = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if inside.ends.load(Relaxed) {
                    return;
                }
                let (Ok(stream), inside) = (stream, Arc::clone(&inside)) else {
                    continue;
                };
                thread::spawn(move || {
                    if let Err(error) = attend(stream, &inside) {
                        inside.got(|got| got.unfit.push(format!("{error:#}")));
                    }
                });
            }
        });
        Ok(Self {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it takes requests and does not answer, or answers again; what it did not answer it did not get.
    pub fn hang(&self, hangs: bool) {
        self.shared.hangs.store(hangs, Relaxed);
    }

    /// Every export of metrics so far.
    #[must_use]
    pub fn metrics(&self) -> Vec<Vec<Metric>> {
        let of = |export: &ExportMetricsServiceRequest| {
            let scopes = export
                .resource_metrics
                .iter()
                .flat_map(|resource| &resource.scope_metrics);
            scopes.flat_map(|scope| scope.metrics.clone()).collect()
        };
        self.shared.got(|got| got.metrics.iter().map(of).collect())
    }

    /// One attribute of every log record so far that has it, in the order they came.
    #[must_use]
    pub fn logs(&self, attribute: &str) -> Vec<String> {
        let exports = self.shared.got(|got| got.logs.clone());
        let resources = exports.iter().flat_map(|export| &export.resource_logs);
        let records = resources
            .flat_map(|resource| &resource.scope_logs)
            .flat_map(|scope| &scope.log_records);
        let of = |pairs: &[KeyValue]| pairs.iter().find(|pair| pair.key == attribute).and_then(text);
        records.filter_map(|record| of(&record.attributes)).collect()
    }

    /// The value of `api-key` of every request that had one.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.shared.got(|got| got.keys.clone())
    }

    /// Requests that were none.
    #[must_use]
    pub fn unfit(&self) -> Vec<String> {
        self.shared.got(|got| got.unfit.clone())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.shared.ends.store(true, Relaxed);
        // Wakes it.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn got<T>(&self, with: impl FnOnce(&mut Got) -> T) -> T {
        with(&mut self.got.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One connection, request after request.
fn attend(stream: TcpStream, shared: &Shared) -> Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                ensure!(head.is_empty(), "half a head: {head:?}");
                return Ok(());
            }
        }
        let head = head.to_lowercase();
        ensure!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
        if let Some(key) = head.lines().find_map(|line| line.strip_prefix("api-key: ")) {
            shared.got(|got| got.keys.push(key.to_owned()));
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.with_context(|| format!("no length: {head}"))?];
        reader.read_exact(&mut body)?;
        if shared.hangs.load(Relaxed) {
            // Until the other side has had enough.
            let _ = reader.read(&mut [0]);
            return Ok(());
        }
        if shared.ends.load(Relaxed) {
            return Ok(());
        }
        match head.split(' ').nth(1) {
            Some("/v1/metrics") => {
                let export = ExportMetricsServiceRequest::decode(body.as_slice())?;
                shared.got(|got| got.metrics.push(export));
            }
            Some("/v1/logs") => {
                let export = ExportLogsServiceRequest::decode(body.as_slice())?;
                shared.got(|got| got.logs.push(export));
            }
            other => bail!("a request for {other:?}"),
        }
        reader
            .get_mut()
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")?;
    }
}

fn text(pair: &KeyValue) -> Option<String> {
    match pair.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

/// An export as a metrics text, and its time in milliseconds.
///
/// # Errors
/// Its points are of several times, or hold no number.
pub fn as_text(export: &[Metric]) -> Result<(String, i64)> {
    let (mut lines, mut times) = (String::new(), Vec::new());
    for metric in export {
        let (total, points) = match metric.data.as_ref().context("no data")? {
            Data::Gauge(gauge) => ("", &gauge.data_points),
            Data::Sum(sum) => {
                ensure!(sum.is_monotonic && sum.aggregation_temporality == 2, "{metric:?}");
                ("_total", &sum.data_points)
            }
            other => bail!("{}: {other:?}", metric.name),
        };
        for point in points {
            let Some(Value::AsDouble(value)) = point.value else {
                bail!("{}: {point:?}", metric.name);
            };
            let labels = point.attributes.iter().map(|pair| {
                let value = text(pair).context("a label that is no text")?;
                let value = value.replace('\\', "\\\\").replace('"', "\\\"");
                Ok(format!("{}=\"{value}\"", pair.key))
            });
            let labels = labels.collect::<Result<Vec<_>>>()?.join(",");
            let labels = if labels.is_empty() {
                labels
            } else {
                format!("{{{labels}}}")
            };
            lines.push_str(&format!("{}{total}{labels} {value}\n", metric.name));
            times.push(point.time_unix_nano);
        }
    }
    let time = *times.first().context("an export without a point")?;
    ensure!(times.iter().all(|one| *one == time), "points of several times");
    Ok((lines, i64::try_from(time / 1_000_000)?))
}
