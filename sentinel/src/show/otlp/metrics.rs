//! The metrics of a document as OTLP: the catalogue of `/metrics`, at an interval of their own.

use std::{io, sync::Arc, time::Duration};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
    metrics::v1::{
        AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
        number_data_point::Value,
    },
};
use prost::Message as _;

use super::{
    messages::{self, Identity},
    post::Post,
};
use crate::show::{
    Publication, Sink, SinkError,
    outbox::{Bounds, Delivery, Outbox},
    prometheus::{self, Kind, Sample},
    state::{Document, MOST_SCOPES},
    web::{Counts, Served},
};

/// Exports that wait for a collector that is away: four minutes of them at the default interval.
const BOUNDS: Bounds = Bounds {
    records: 24,
    bytes: usize::MAX,
};
/// An export that has waited longer is worth less than the next one.
const RETRY: Duration = Duration::from_secs(1);

/// One export: a document, and what was served until then.
type Export = (Arc<Document>, Option<Served>);

/// The surface.
pub struct Metrics {
    outbox: Outbox<Export>,
    interval_ns: u64,
    counts: Option<Counts>,
    /// `CLOCK_MONOTONIC` at which the next export is due, nanoseconds.
    due_ns: u64,
}

impl Metrics {
    pub(super) fn start(
        mut post: Post,
        interval: Duration,
        identity: Arc<Identity>,
        counts: Option<Counts>,
    ) -> io::Result<Self> {
        let deliver = move |(document, served): &Export| {
            let message = request(document, served.as_ref(), &identity).encode_to_vec();
            match post.send(&message) {
                Err(delivery) => delivery,
                Ok(answer) => refused(&post, &answer).unwrap_or(Delivery::Done),
            }
        };
        Ok(Self {
            outbox: Outbox::start("sentinel-otlp-m", BOUNDS, RETRY, deliver)?,
            interval_ns: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX),
            counts,
            due_ns: 0,
        })
    }
}

impl Sink for Metrics {
    fn name(&self) -> &'static str {
        "otlp metrics"
    }

    fn portraits(&self) -> usize {
        MOST_SCOPES
    }

    fn publish(&mut self, publication: &Publication<'_>) -> Result<(), SinkError> {
        let now_ns = publication.snapshot.now.monotonic_ns;
        if let Some(document) = publication.document
            // A tick is never exactly on time: a tenth of one early is on time.
            && now_ns + document.agent.interval_ms * 100_000 >= self.due_ns
        {
            // By the clock, so that a late one does not put off all that follow; none is made up for.
            let next_ns = self.due_ns.saturating_add(self.interval_ns);
            self.due_ns = if next_ns > now_ns {
                next_ns
            } else {
                now_ns.saturating_add(self.interval_ns)
            };
            self.outbox
                .push((Arc::clone(document), self.counts.as_ref().map(Counts::read)), 0);
        }
        SinkError::from_health(self.name(), self.outbox.health(now_ns))
    }

    fn lost(&self) -> u64 {
        self.outbox.lost()
    }

    fn finish(&mut self, patience: Duration) {
        self.outbox.finish(patience);
    }
}

/// A collector counts points; here an export counts as one.
fn refused(post: &Post, answer: &[u8]) -> Option<Delivery> {
    let answer = ExportMetricsServiceResponse::decode(answer).ok()?.partial_success?;
    post.refused(answer.rejected_data_points, &answer.error_message, "points")
}

/// The message.
pub(super) fn request(
    document: &Document,
    served: Option<&Served>,
    identity: &Identity,
) -> ExportMetricsServiceRequest {
    let began = messages::nanoseconds(document.agent.began_unix_ms);
    let time = messages::nanoseconds(document.unix_ms);
    let metrics = prometheus::collect(document, served)
        .into_iter()
        .map(|(metric, samples)| {
            let point = |sample: Sample| point(metric.labels, sample, began, time);
            let data_points = samples.into_iter().map(point).collect();
            Metric {
                name: metric.name_with_unit(),
                description: metric.help.to_owned(),
                unit: unit(metric.unit),
                data: Some(match metric.kind {
                    Kind::Gauge => Data::Gauge(Gauge { data_points }),
                    Kind::Counter => Data::Sum(Sum {
                        data_points,
                        aggregation_temporality: AggregationTemporality::Cumulative.into(),
                        is_monotonic: true,
                    }),
                }),
                ..Metric::default()
            }
        });
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(identity.resource()),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(identity.scope()),
                metrics: metrics.collect(),
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

fn point(labels: &[&str], sample: Sample, began: u64, time: u64) -> NumberDataPoint {
    let labelled = labels.iter().zip(&sample.labels);
    NumberDataPoint {
        attributes: labelled.map(|(name, value)| messages::attribute(name, value)).collect(),
        start_time_unix_nano: began,
        time_unix_nano: time,
        value: Some(Value::AsDouble(sample.value)),
        ..NumberDataPoint::default()
    }
}

/// A unit of the catalogue as UCUM writes it.
pub(super) fn unit(unit: &str) -> String {
    let (base, per) = unit
        .split_once("_per_second")
        .map_or((unit, None), |(base, power)| (base, Some(power)));
    let base = match base {
        "seconds" => "s".to_owned(),
        "bytes" => "By".to_owned(),
        "" => String::new(),
        // What is counted, which UCUM has no word for.
        counted => format!("{{{counted}}}"),
    };
    match per {
        None => base,
        Some("_squared") => format!("{base}/s2"),
        Some("_cubed") => format!("{base}/s3"),
        Some(_) => format!("{base}/s"),
    }
}
