//! One request to a collector and what its answer means. Waits as long as it must: it runs on a thread of its own.

use std::{sync::Arc, time::Duration};

use super::headers::Headers;
use crate::show::{escape, outbox::Delivery};

/// A whole exchange takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first and the longest pause before a collector that is away is asked again; each is twice the one before.
const PAUSE: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];
/// The longest pause that a collector may ask for.
const LONGEST: Duration = Duration::from_secs(60);
/// Bytes of an answer.
const MOST_BYTES: u64 = 64 * 1024;
/// Columns of what a collector says that are repeated.
const COLUMNS: usize = 200;

/// Requests to one address.
pub(super) struct Post {
    agent: ureq::Agent,
    url: String,
    headers: Arc<Headers>,
    /// Attempts in a row that came to nothing.
    failed: u32,
}

impl Post {
    pub(super) fn new(url: String, headers: Arc<Headers>) -> Self {
        let tls = ureq::tls::TlsConfig::builder()
            .root_certs(ureq::tls::RootCerts::PlatformVerifier)
            .build();
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            // What is sent goes where the file says, and nowhere else.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("sentinel/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Self {
            agent: config.into(),
            url,
            headers,
            failed: 0,
        }
    }

    /// Sends a message. The body of the answer, or what is to be done with the message.
    pub(super) fn send(&mut self, message: &[u8]) -> Result<Vec<u8>, Delivery> {
        let mut request = self.agent.post(&self.url);
        for (name, value) in &self.headers.0 {
            request = request.header(name, value);
        }
        let mut response = match request.header("content-type", "application/x-protobuf").send(message) {
            Ok(response) => response,
            Err(error) => return Err(self.later(None, &error.to_string())),
        };
        let (status, after) = (response.status().as_u16(), retry_after(response.headers()));
        let body = response.body_mut().with_config().limit(MOST_BYTES).read_to_vec();
        let body = match body {
            Ok(body) => body,
            Err(error) => return Err(self.later(None, &error.to_string())),
        };
        match status {
            200..=299 => {
                self.failed = 0;
                Ok(body)
            }
            // These, and no others, say that the same message may be taken later.
            429 | 502 | 503 | 504 => Err(self.later(after, &format!("it answered {status}"))),
            _ => {
                self.failed = 0;
                let text = String::from_utf8_lossy(&body);
                let text = if text.chars().all(|char| !char.is_control() && char != '\u{fffd}') {
                    format!(": {text}")
                } else {
                    String::new()
                };
                Err(Delivery::Lost(self.said(&format!("it answered {status}{text}"))))
            }
        }
    }

    /// What a collector said of a message that it took: how much of it was refused, and why.
    pub(super) fn refused(&self, refused: i64, why: &str, what: &str) -> Option<Delivery> {
        let refused = u64::try_from(refused).ok().filter(|refused| *refused > 0)?;
        let said = self.said(&format!("it refused {refused} {what}: {why}"));
        Some(Delivery::Partly(refused, said))
    }

    fn later(&mut self, after: Option<Duration>, why: &str) -> Delivery {
        let pause = PAUSE[0].saturating_mul(1 << self.failed.min(16)).min(PAUSE[1]);
        self.failed += 1;
        Delivery::After(after.unwrap_or(pause), self.said(why))
    }

    /// Whose words they are, printable and short.
    fn said(&self, why: &str) -> String {
        escape::cut(&escape::line(&format!("the collector at {}: {why}", self.url)), COLUMNS).to_string()
    }
}

/// `Retry-After` in seconds; a date is not read.
fn retry_after(headers: &hyper::HeaderMap) -> Option<Duration> {
    let seconds = headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST))
}
