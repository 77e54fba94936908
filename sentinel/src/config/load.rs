//! Finding and reading the file, and the options of the command line that come after it.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use super::{Autonomy, Config, ConfigError, Listen, Origin, check, duration, keys, keys::Kind, read};

/// Used when no file is named. It need not exist.
pub const DEFAULT_PATH: &str = "/etc/sentinel/sentinel.toml";

/// The longest config that is read, bytes.
pub const MAX_BYTES: u64 = 1 << 20;

impl Config {
    /// Reads and checks `path`, which must exist; without one [`DEFAULT_PATH`], or the defaults where that does not exist.
    ///
    /// # Errors
    /// The first thing that is wrong, in one sentence with its place and remedy.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let file = path.unwrap_or(Path::new(DEFAULT_PATH));
        match read_bounded(file) {
            Ok(text) => Self::from_toml(&text, file),
            Err(ConfigError::Missing { .. }) if path.is_none() => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// The same with another interval, as `--interval` asks for. Where no `network_interval` was set, it follows.
    ///
    /// # Errors
    /// It is out of range, or shorter than the `network_interval` that the file sets.
    pub fn with_interval(mut self, interval: Duration) -> Result<Self, ConfigError> {
        let refuse = |found: String, allowed: String, remedy: String| ConfigError::Value {
            at: Origin::CommandLine,
            key: "interval".into(),
            found: found.into(),
            allowed: allowed.into(),
            remedy: remedy.into(),
        };
        let text = keys::time(interval);
        if let Some(kind @ Kind::Time(min, max)) = keys::find("", "interval").map(|key| &key.kind)
            && !(*min..=*max).contains(&interval)
        {
            let nearest = keys::time(interval.clamp(*min, *max));
            return Err(refuse(
                text,
                kind.allowed(),
                format!("use {nearest} or another time in that range"),
            ));
        }
        match self.origins.get("network_interval") {
            Some(at) if self.network_interval > interval => {
                let network = keys::time(self.network_interval);
                let allowed = format!("at least `network_interval`, {network} at {at}");
                return Err(refuse(
                    text,
                    allowed,
                    format!("use {network} or longer, or shorten `network_interval`"),
                ));
            }
            Some(_) => {}
            None => self.network_interval = Self::default().network_interval.min(interval),
        }
        self.interval = interval;
        self.origins.insert("interval".into(), Origin::CommandLine);
        Ok(self)
    }

    /// The same with the address at which a running agent is asked, as `--at` says; it may be any.
    ///
    /// # Errors
    /// It is no address.
    pub fn asked_at(mut self, text: &str) -> Result<Self, ConfigError> {
        self.listen = Listen::parse(text).map_err(|(why, remedy)| ConfigError::Value {
            at: Origin::CommandLine,
            key: "at".into(),
            found: format!("{text:?}, {why}").into(),
            allowed: keys::LISTEN.into(),
            remedy: remedy.into(),
        })?;
        Ok(self)
    }

    /// The same served elsewhere, as `--listen` asks for.
    ///
    /// # Errors
    /// It is no address, or not local while no token is asked for.
    pub fn with_listen(mut self, text: &str) -> Result<Self, ConfigError> {
        let refuse = |found: String, allowed: &str, remedy: &str| ConfigError::Value {
            at: Origin::CommandLine,
            key: "listen".into(),
            found: found.into(),
            allowed: allowed.into(),
            remedy: remedy.into(),
        };
        let listen =
            Listen::parse(text).map_err(|(why, remedy)| refuse(format!("{text:?}, {why}"), keys::LISTEN, remedy))?;
        if self.listen_token_file.is_none() && !listen.is_local() {
            return Err(refuse(text.to_owned(), check::NOT_LOCAL, check::TOKEN_REMEDY));
        }
        self.listen = listen;
        self.origins.insert("listen".into(), Origin::CommandLine);
        Ok(self)
    }

    /// The same with another autonomy, as `--autonomy` asks for.
    #[must_use]
    pub fn with_autonomy(mut self, autonomy: Autonomy) -> Self {
        self.autonomy = autonomy;
        self.origins.insert("autonomy".into(), Origin::CommandLine);
        self
    }
}

impl FromStr for Autonomy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|autonomy| autonomy.name() == text);
        found.ok_or_else(|| check::did_you_mean(text, keys::AUTONOMY))
    }
}

/// A time as the file and the command line write it: a number and its unit, `200ms`, `1s`, `1m30s`.
///
/// # Errors
/// Why it is none, and what to write.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    duration::parse_time(text).map_err(|(why, remedy)| format!("{text:?}, {why}; {remedy}"))
}

fn read_bounded(path: &Path) -> Result<String, ConfigError> {
    let failed = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound => ConfigError::Missing { path: path.to_owned() },
        _ => ConfigError::Read {
            path: path.to_owned(),
            source,
        },
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
            limit_bytes: MAX_BYTES,
        });
    }
    read::text_of(&Arc::from(path), &bytes)
}
