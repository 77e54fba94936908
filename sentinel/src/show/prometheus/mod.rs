//! The run as OpenMetrics text: every metric from one document and the listener's own counts.
//!
//! The catalogue says what there is; `docs/METRICS.md` is written from it. Bounded: the scopes that the document lists,
//! and counts of the rest. What was not measured has no sample. Nothing here reads a clock or a sensor.

mod catalogue;
mod host;
mod manual;
mod metric;
mod scopes;
#[cfg(test)]
mod tests;

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};

pub use self::manual::manual;
pub(super) use self::metric::{Kind, Metric, Sample};
use self::{
    catalogue::CATALOGUE,
    metric::{Samples, View},
};
use super::{state::Document, web::Served};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of a document.
///
/// # Errors
/// When the text cannot be written, which memory alone could prevent.
pub fn encode(document: &Document, served: &Served) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collected(collect(document, Some(served)))));
    let mut text = String::with_capacity(64 * 1024);
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// Every metric that has a sample now. `served`: the listener's own counts, where there is one.
pub(super) fn collect(document: &Document, served: Option<&Served>) -> Vec<(&'static Metric, Vec<Sample>)> {
    let view = View::new(document, served);
    let samples = CATALOGUE.iter().flat_map(|part| part.iter()).map(|metric| {
        let mut samples = Samples::default();
        (metric.read)(&view, &mut samples);
        (metric, samples.into_vec())
    });
    samples.filter(|(_, samples)| !samples.is_empty()).collect()
}

#[derive(Debug)]
struct Collected(Vec<(&'static Metric, Vec<Sample>)>);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (metric, samples) in &self.0 {
            let unit = (!metric.unit.is_empty()).then(|| Unit::Other(metric.unit.to_owned()));
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let mut family = encoder.encode_descriptor(metric.name, metric.help, unit.as_ref(), kind)?;
            match samples.as_slice() {
                [only] if metric.labels.is_empty() => write(family, metric.kind, only.value)?,
                samples => {
                    for sample in samples {
                        let values = sample.labels.iter().map(String::as_str);
                        let labels: Vec<_> = metric.labels.iter().copied().zip(values).collect();
                        write(family.encode_family(&labels)?, metric.kind, sample.value)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn write(mut encoder: MetricEncoder<'_>, kind: Kind, value: f64) -> Result<(), fmt::Error> {
    match kind {
        Kind::Counter => encoder.encode_counter::<NoLabelSet, f64, f64>(&value, None),
        Kind::Gauge => encoder.encode_gauge(&value),
    }
}
