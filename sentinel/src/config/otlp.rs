//! `[otlp]`: where metrics and verdicts are sent. Known to every build, so that one without the export can say so.

use std::{path::PathBuf, time::Duration};

use hyper::Uri;

use super::{ConfigError, read::Section};

/// Whether this build can send anything.
pub const BUILT_IN: bool = cfg!(feature = "otlp");
/// What to do where it cannot.
const REMEDY: &str = "build one with it, `cargo build --release --package sentinel --features otlp`, or remove the key";

/// `[otlp]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpConfig {
    /// Address of a collector without `/v1/...` and without a slash at its end; `None`: nothing is sent.
    pub endpoint: Option<String>,
    /// Time between two exports of metrics; 1 s to 10 min. Verdicts are sent when they fall. Default 10 s.
    pub interval: Duration,
    /// File with what every request says besides, as a key; `None` for nothing.
    pub headers_file: Option<PathBuf>,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            interval: Duration::from_secs(10),
            headers_file: None,
        }
    }
}

impl OtlpConfig {
    /// The port that the collector is reached at; `None` where nothing is sent.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        let uri: Uri = self.endpoint.as_ref()?.parse().ok()?;
        let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        Some(uri.port_u16().unwrap_or(usual))
    }

    pub(super) fn read(section: &mut Section<'_>) -> Result<Self, ConfigError> {
        let defaults = Self::default();
        let endpoint = section.text("endpoint")?.filter(|text| !text.is_empty());
        let endpoint = match &endpoint {
            Some(text) => Some(
                parse(text)
                    .map_err(|(why, remedy)| section.refuse("endpoint", format!("{:?}, {why}", short(text)), remedy))?,
            ),
            None => None,
        };
        if let Some(endpoint) = endpoint.as_ref().filter(|_| !BUILT_IN) {
            let allowed = "empty: this sentinel was built without the export to a collector";
            return Err(section.refuse_beside("endpoint", format!("{endpoint:?}"), allowed, REMEDY));
        }
        let file = section.text("headers_file")?.filter(|path| !path.is_empty());
        if let Some(path) = file.as_ref().filter(|path| !path.starts_with('/')) {
            return Err(section.refuse("headers_file", format!("{:?}", short(path)), "write the full path"));
        }
        Ok(Self {
            endpoint,
            interval: section.time("interval")?.unwrap_or(defaults.interval),
            headers_file: file.map(|path| path.as_ref().into()),
        })
    }
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The address, tidy; why it is none, and what to write.
fn parse(text: &str) -> Result<String, (&'static str, &'static str)> {
    let unfit = (
        "which is no address of a collector",
        "write one such as \"http://127.0.0.1:4318\"",
    );
    let uri: Uri = text.parse().map_err(|_| unfit)?;
    let host = uri.host().filter(|host| !host.is_empty());
    let (Some("http" | "https"), Some(_), Some(authority)) = (uri.scheme_str(), host, uri.authority()) else {
        return Err(unfit);
    };
    if authority.as_str().contains('@') {
        return Err((
            "which holds a password",
            "put what the collector asks for into a file, as a header, and name it as `headers_file`",
        ));
    }
    if uri.query().is_some() || text.contains('#') {
        return Err(("which has more than a path", "remove what begins with `?` or `#`"));
    }
    let text = text.trim_end_matches('/');
    if text.ends_with("/v1/metrics") || text.ends_with("/v1/logs") {
        return Err((
            "which is the address of one kind of data",
            "remove `/v1/...`: it is added for each kind",
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_without_the_slash_at_its_end() {
        for (text, kept) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318"),
            ("http://[::1]:4318/", "http://[::1]:4318"),
            ("https://otlp.example.com/a/b/", "https://otlp.example.com/a/b"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(kept));
        }
    }

    #[test]
    fn what_is_no_address_or_says_too_much_is_refused_with_what_to_write() {
        for text in [
            "127.0.0.1:4318",
            "localhost",
            "grpc://127.0.0.1:4317",
            "http://",
            "http://:4318",
            "http://a b",
            "/v1/metrics",
            "http://me:secret@127.0.0.1:4318",
            "http://127.0.0.1:4318/?key=1",
            "http://127.0.0.1:4318/v1/metrics",
            "http://127.0.0.1:4318/v1/logs/",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
