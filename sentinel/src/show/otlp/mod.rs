//! Metrics and records to an OpenTelemetry collector, as OTLP over HTTP.
//!
//! Owns two surfaces, each with a bounded queue and a thread of its own: metrics at an interval, and verdicts and outcomes
//! as log records when they fall. In: the document, with the numbers of `/metrics`, and the records, with the fields of
//! the journal. Out: requests. A collector that is slow or away delays nothing; what is dropped is counted.
#![forbid(unsafe_code)]

mod headers;
mod logs;
mod messages;
mod metrics;
mod post;
#[cfg(test)]
mod tests;

pub use self::{headers::HeadersError, logs::Logs, messages::Identity, metrics::Metrics};

use std::{io, sync::Arc, time::Duration};

use self::{headers::Headers, post::Post};
use super::web::Counts;
use crate::config::OtlpConfig;

/// What is sent, to whom and with what, while nothing is sent yet.
#[derive(Debug)]
pub struct Export {
    endpoint: String,
    interval: Duration,
    headers: Headers,
}

impl Export {
    /// Reads what every request must say; `None` where no collector is named. Who gives up rights does that afterwards.
    ///
    /// # Errors
    /// See [`HeadersError`].
    pub fn open(config: &OtlpConfig) -> Result<Option<Self>, HeadersError> {
        let Some(endpoint) = &config.endpoint else {
            return Ok(None);
        };
        let headers = config.headers_file.as_deref().map(Headers::read).transpose()?;
        Ok(Some(Self {
            endpoint: endpoint.clone(),
            interval: config.interval,
            headers: headers.unwrap_or_default(),
        }))
    }

    /// Starts both surfaces. `counts`: of the listener, where there is one.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(self, identity: Identity, counts: Option<Counts>) -> io::Result<(Metrics, Logs)> {
        let (headers, identity) = (Arc::new(self.headers), Arc::new(identity));
        let post = |path: &str| Post::new(format!("{}{path}", self.endpoint), Arc::clone(&headers));
        let metrics = Metrics::start(post("/v1/metrics"), self.interval, Arc::clone(&identity), counts)?;
        let logs = Logs::start(post("/v1/logs"), identity)?;
        Ok((metrics, logs))
    }
}
