//! Ports outside the range from which the kernel takes source ports. A connection attempt to a dead port inside that
//! range can meet itself: now and then its source port is the same, and it is established.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    os::fd::{AsRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, socket};

const FIRST: u16 = 20_000;
const COUNT: u16 = 8_000;

/// Listens on a free port.
///
/// # Errors
/// There is none.
pub fn listen(address: IpAddr) -> Result<TcpListener> {
    candidates()
        .find_map(|port| TcpListener::bind((address, port)).ok())
        .with_context(|| format!("no port from {FIRST} on is free on {address}"))
}

/// A port that is free now.
///
/// # Errors
/// There is none.
pub fn free(address: IpAddr) -> Result<SocketAddr> {
    Ok(listen(address)?.local_addr()?)
}

/// A port that refuses every connection: bound, so that nobody else listens there, and never listening.
#[derive(Debug)]
pub struct Closed {
    address: SocketAddr,
    _socket: OwnedFd,
}

impl Closed {
    /// Takes a free port.
    ///
    /// # Errors
    /// There is none.
    pub fn take(address: IpAddr) -> Result<Self> {
        let family = if address.is_ipv4() {
            AddressFamily::Inet
        } else {
            AddressFamily::Inet6
        };
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        for port in candidates() {
            let address = SocketAddr::new(address, port);
            if bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).is_ok() {
                return Ok(Self {
                    address,
                    _socket: socket,
                });
            }
        }
        bail!("no port from {FIRST} on is free on {address}")
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Every port of the range, from one that depends on the process.
fn candidates() -> impl Iterator<Item = u16> {
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    (0..COUNT).map(move |step| FIRST + (start + step) % COUNT)
}

#[cfg(test)]
mod tests {
    use std::{
        io::ErrorKind,
        net::{Ipv4Addr, Ipv6Addr, TcpStream},
    };

    use super::*;

    #[test]
    fn a_closed_port_refuses() {
        for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let closed = Closed::take(address).expect("a port");
            let error = TcpStream::connect(closed.address()).expect_err("nobody listens");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{address}");
        }
    }
}
