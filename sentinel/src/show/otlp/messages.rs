//! What both kinds of messages share: who speaks, and how a word is written.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
};

use crate::{
    sense::sample::Origin,
    show::{escape, state::Facts},
};

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    host: String,
    kernel: String,
    version: String,
    instance: String,
}

impl Identity {
    /// Of a run on a host.
    #[must_use]
    pub fn new(origin: &Origin, facts: &Facts) -> Self {
        Self {
            host: escape::line(&origin.host),
            kernel: escape::line(&origin.kernel),
            version: facts.version.clone(),
            // No two runs have both: not on one host, and not on two.
            instance: format!("{}-{}", origin.boot_id, facts.run()),
        }
    }

    pub(super) fn resource(&self) -> Resource {
        Resource {
            attributes: vec![
                attribute("service.name", "sentinel"),
                attribute("service.version", &self.version),
                attribute("service.instance.id", &self.instance),
                attribute("host.name", &self.host),
                attribute("os.type", "linux"),
                attribute("os.version", &self.kernel),
            ],
            ..Resource::default()
        }
    }

    pub(super) fn scope(&self) -> InstrumentationScope {
        InstrumentationScope {
            name: "sentinel".to_owned(),
            version: self.version.clone(),
            ..InstrumentationScope::default()
        }
    }
}

pub(super) fn attribute(name: &str, value: &str) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(text(value)),
        ..KeyValue::default()
    }
}

pub(super) fn text(value: &str) -> AnyValue {
    AnyValue {
        value: Some(Value::StringValue(value.to_owned())),
    }
}

/// Milliseconds as OTLP's nanoseconds.
pub(super) fn nanoseconds(unix_ms: i64) -> u64 {
    u64::try_from(unix_ms).unwrap_or(0).saturating_mul(1_000_000)
}
