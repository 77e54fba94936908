//! Verdicts and outcomes as log records: what the journal gets, field by field.

use std::{io, sync::Arc, time::Duration};

use libsystemd::logging::Priority;
use opentelemetry_proto::tonic::{
    collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
};
use prost::Message as _;

use super::{
    messages::{self, Identity},
    post::Post,
};
use crate::show::{
    Publication, Sink, SinkError,
    encode::{Body, Record},
    journald,
    outbox::{Bounds, Delivery, Outbox, Weight},
};

const BOUNDS: Bounds = Bounds {
    records: 4096,
    bytes: 4 * 1024 * 1024,
};
const RETRY: Duration = Duration::from_secs(1);
/// Records of one request.
const BATCH: usize = 256;
/// Bytes of a record beside its JSON, about.
const BESIDE: usize = 1024;

/// Records of one reading, with its wall clock.
struct Batch {
    records: Vec<Record>,
    unix_ms: i64,
}

/// The surface.
pub struct Logs {
    outbox: Outbox<Batch>,
}

impl Logs {
    pub(super) fn start(mut post: Post, identity: Arc<Identity>) -> io::Result<Self> {
        let deliver = move |batch: &Batch| {
            let message = request(&batch.records, batch.unix_ms, &identity).encode_to_vec();
            match post.send(&message) {
                Err(delivery) => delivery,
                Ok(answer) => refused(&post, &answer).unwrap_or(Delivery::Done),
            }
        };
        Ok(Self {
            outbox: Outbox::start("sentinel-otlp-l", BOUNDS, RETRY, deliver)?,
        })
    }
}

impl Sink for Logs {
    fn name(&self) -> &'static str {
        "otlp logs"
    }

    fn publish(&mut self, publication: &Publication<'_>) -> Result<(), SinkError> {
        let now = publication.snapshot.now;
        for records in publication.records.chunks(BATCH) {
            let weight = Weight {
                records: records.len() as u64,
                bytes: records.iter().map(|record| record.json.len() + BESIDE).sum(),
            };
            let batch = Batch {
                records: records.to_vec(),
                unix_ms: now.unix_ms,
            };
            self.outbox.push_all(batch, weight);
        }
        SinkError::from_health(self.name(), self.outbox.health(now.monotonic_ns))
    }

    fn lost(&self) -> u64 {
        self.outbox.lost()
    }

    fn finish(&mut self, patience: Duration) {
        self.outbox.finish(patience);
    }
}

fn refused(post: &Post, answer: &[u8]) -> Option<Delivery> {
    let answer = ExportLogsServiceResponse::decode(answer).ok()?.partial_success?;
    post.refused(answer.rejected_log_records, &answer.error_message, "records")
}

/// The message.
pub(super) fn request(records: &[Record], unix_ms: i64, identity: &Identity) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(identity.resource()),
            scope_logs: vec![ScopeLogs {
                scope: Some(identity.scope()),
                log_records: records.iter().map(|one| record(one, unix_ms)).collect(),
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
}

fn record(record: &Record, unix_ms: i64) -> LogRecord {
    let entry = journald::entry(record);
    let (event, time) = match &record.body {
        Body::Verdict(verdict) => ("sentinel.verdict", &verdict.time),
        Body::Outcome(outcome) => ("sentinel.outcome", &outcome.time),
    };
    let (severity, severity_text) = severity(entry.priority);
    let fields = entry
        .fields
        .iter()
        .filter_map(|(name, value)| Some((attribute(name)?, value)));
    let said = time
        .parse::<jiff::Timestamp>()
        .map_or(unix_ms, jiff::Timestamp::as_millisecond);
    LogRecord {
        time_unix_nano: messages::nanoseconds(said),
        observed_time_unix_nano: messages::nanoseconds(unix_ms),
        severity_number: severity.into(),
        severity_text: severity_text.to_owned(),
        body: Some(messages::text(&entry.message)),
        attributes: fields.map(|(name, value)| messages::attribute(&name, value)).collect(),
        event_name: event.to_owned(),
        ..LogRecord::default()
    }
}

/// The name of a field of the journal here: `SENTINEL_VERDICT_ID` is `sentinel.verdict_id`. `None` for what only the
/// journal needs.
fn attribute(field: &str) -> Option<String> {
    Some(format!(
        "sentinel.{}",
        field.strip_prefix("SENTINEL_")?.to_ascii_lowercase()
    ))
}

/// The journal's priority as a severity, and its name there.
const fn severity(priority: Priority) -> (SeverityNumber, &'static str) {
    match priority {
        Priority::Emergency | Priority::Alert | Priority::Critical => (SeverityNumber::Fatal, "critical"),
        Priority::Error => (SeverityNumber::Error, "error"),
        Priority::Warning => (SeverityNumber::Warn, "warning"),
        Priority::Notice => (SeverityNumber::Info2, "notice"),
        Priority::Info => (SeverityNumber::Info, "info"),
        Priority::Debug => (SeverityNumber::Debug, "debug"),
    }
}
