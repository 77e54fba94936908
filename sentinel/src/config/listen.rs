//! Where the agent is looked at: an address, a socket in the file system, or nowhere.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// Port of the default address.
const PORT: u16 = 9464;
/// The longest path a unix socket can have, bytes.
const MAX_PATH: usize = 107;

/// Where page, API and metrics are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// On a TCP port.
    Tcp(SocketAddr),
    /// On a unix socket that only its owner may open.
    Unix(PathBuf),
}

impl Default for Listen {
    fn default() -> Self {
        Self::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listen {
    /// Whether only this host reaches it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Off | Self::Unix(_) => true,
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
        }
    }

    /// Reads what the file or the command line says; why it is nothing, and what to write.
    pub(super) fn parse(text: &str) -> Result<Self, (&'static str, &'static str)> {
        if text == "off" {
            return Ok(Self::Off);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                path if !path.starts_with('/') => Err((
                    "which names no absolute path",
                    "write a full path, as \"unix:/run/sentinel/web.sock\"",
                )),
                path if path.len() > MAX_PATH || path.contains('\0') => {
                    Err(("which no socket can have", "use a path of at most 107 bytes"))
                }
                path => Ok(Self::Unix(path.into())),
            };
        }
        let (host, address) = (text.strip_prefix("localhost:"), text.parse());
        match (host.map(str::parse), address) {
            (Some(Ok(port)), _) => Ok(Self::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))),
            (None, Ok(address)) => Ok(Self::Tcp(address)),
            _ => Err((
                "which is no address with a port",
                "write an IP address and a port, as \"127.0.0.1:9464\" or \"[::1]:9464\"; names are not looked up",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_sockets_and_off_read_back_as_they_were_written() {
        for text in [
            "off",
            "127.0.0.1:9464",
            "[::1]:80",
            "0.0.0.0:9464",
            "unix:/run/sentinel/web.sock",
        ] {
            assert_eq!(
                Listen::parse(text).map(|listen| listen.to_string()).as_deref(),
                Ok(text)
            );
        }
        assert_eq!(Listen::parse("localhost:9464"), Ok(Listen::default()));
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write() {
        let long = format!("unix:/{}", "x".repeat(MAX_PATH));
        for text in [
            "",
            "9464",
            ":9464",
            "127.0.0.1",
            "host:9464",
            "localhost:",
            "localhost:70000",
            "unix:web.sock",
            &long,
        ] {
            assert!(Listen::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_loopback_and_sockets_are_local() {
        let local = |text: &str| Listen::parse(text).expect("an address").is_local();
        assert!(local("127.0.0.2:1") && local("[::1]:1") && local("[::ffff:127.0.0.1]:1") && local("unix:/a"));
        assert!(!local("0.0.0.0:1") && !local("[::]:1") && !local("10.0.0.1:1"));
    }
}
