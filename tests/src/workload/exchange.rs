//! A scripted exchange: one conversation after the other, so that the number of connections, turns, failures and bytes
//! is known exactly. Every socket is closed in order; no reset is sent except by the closed port.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Deadline, idle, port, ready, ready_at, report};

const TIMEOUT: Duration = Duration::from_secs(5);

/// The side that opens.
#[derive(Debug, Args)]
pub struct Exchange {
    /// The other side, `exchange-server`; one of its own when not given.
    #[arg(long)]
    to: Option<SocketAddr>,
    /// IPv6 for a server of its own and for the closed port.
    #[arg(long)]
    ipv6: bool,
    /// TCP connections.
    #[arg(long, default_value_t = 10)]
    connections: u64,
    /// Requests, each answered, on each connection.
    #[arg(long, default_value_t = 5)]
    turns: u64,
    /// TCP connection attempts to a closed port.
    #[arg(long, default_value_t = 0)]
    failures: u64,
    /// TCP connections that send one request to somebody who never answers, and give up.
    #[arg(long, default_value_t = 0)]
    given_up: u64,
    /// UDP sockets.
    #[arg(long, default_value_t = 0)]
    udp_sockets: u64,
    /// Datagrams, each answered, on each UDP socket.
    #[arg(long, default_value_t = 5)]
    udp_turns: u64,
    /// Bytes of a request, and of its answer; fits one packet.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1200))]
    bytes: u64,
    /// Begin this long after the start.
    #[arg(long, default_value_t = 0.0)]
    after_seconds: f64,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

/// What the opening side did; the accepting side saw the same from the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// TCP connection attempts.
    pub connect_attempts: u64,
    /// Attempts that were refused.
    pub connect_failures: u64,
    /// Attempts that were established.
    pub connects: u64,
    /// Requests over TCP, each answered.
    pub tcp_turns: u64,
    /// Payload sent over TCP; as much came back.
    pub tcp_bytes: u64,
    /// Requests over UDP, each answered.
    pub udp_turns: u64,
    /// Payload sent over UDP; as much came back.
    pub udp_bytes: u64,
}

impl Exchange {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        let local = local(self.ipv6);
        let to = match self.to {
            Some(to) => to,
            None => serve(SocketAddr::new(local, 0))?.0,
        };
        let closed = port::Closed::take(local)?;
        ready();
        thread::sleep(Deadline::after_seconds(self.after_seconds).left());
        let mut done = Done::default();
        for _ in 0..self.connections {
            self.tcp(to, &mut done)?;
        }
        for _ in 0..self.failures {
            done.connect_attempts += 1;
            match TcpStream::connect(closed.address()) {
                Ok(_) => bail!("{} was to refuse", closed.address()),
                Err(_) => done.connect_failures += 1,
            }
        }
        // The kernel establishes what nobody accepts.
        let mute = TcpListener::bind((local, 0))?;
        for _ in 0..self.given_up {
            done.connect_attempts += 1;
            let mut stream = TcpStream::connect(mute.local_addr()?)?;
            done.connects += 1;
            stream.write_all(&vec![7; usize::try_from(self.bytes)?])?;
        }
        for _ in 0..self.udp_sockets {
            self.udp(to, &mut done)?;
        }
        idle(end);
        report(json!({ "done": done }));
        Ok(())
    }

    fn tcp(&self, to: SocketAddr, done: &mut Done) -> Result<()> {
        done.connect_attempts += 1;
        let mut stream = TcpStream::connect(to).with_context(|| format!("connecting to {to}"))?;
        done.connects += 1;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        let request = vec![7; usize::try_from(self.bytes)?];
        let mut answer = request.clone();
        for _ in 0..self.turns {
            stream.write_all(&request)?;
            stream.read_exact(&mut answer)?;
            done.tcp_turns += 1;
            done.tcp_bytes += self.bytes;
        }
        stream.shutdown(Shutdown::Write)?;
        let after = stream.read(&mut answer)?;
        anyhow::ensure!(after == 0, "the other side said more than it was asked");
        Ok(())
    }

    fn udp(&self, to: SocketAddr, done: &mut Done) -> Result<()> {
        let socket = UdpSocket::bind((local(to.is_ipv6()), 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        let request = vec![7; usize::try_from(self.bytes)?];
        let mut answer = request.clone();
        for _ in 0..self.udp_turns {
            socket.send(&request)?;
            socket.recv(&mut answer)?;
            done.udp_turns += 1;
            done.udp_bytes += self.bytes;
        }
        Ok(())
    }
}

/// The side that accepts, over TCP and UDP on one port.
#[derive(Debug, Args)]
pub struct Server {
    /// IPv6.
    #[arg(long)]
    ipv6: bool,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

impl Server {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        let (address, accepts) = serve(SocketAddr::new(local(self.ipv6), 0))?;
        ready_at(address);
        thread::sleep(end.left());
        report(json!({ "accepts": accepts.load(Ordering::Relaxed) }));
        Ok(())
    }
}

fn local(ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::LOCALHOST.into()
    } else {
        Ipv4Addr::LOCALHOST.into()
    }
}

/// Echoes TCP and UDP on one port in threads of its own; the address and the number of connections accepted.
fn serve(address: SocketAddr) -> Result<(SocketAddr, Arc<AtomicU64>)> {
    let listener = port::listen(address.ip())?;
    let address = listener.local_addr()?;
    let socket = UdpSocket::bind(address)?;
    let accepts = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&accepts);
    thread::spawn(move || echo_tcp(&listener, &counted));
    thread::spawn(move || echo_udp(&socket));
    Ok((address, accepts))
}

fn echo_tcp(listener: &TcpListener, accepts: &AtomicU64) {
    for mut stream in listener.incoming().flatten() {
        accepts.fetch_add(1, Ordering::Relaxed);
        let _ = stream.set_nodelay(true);
        let mut piece = [0; 2048];
        while let Ok(read @ 1..) = stream.read(&mut piece) {
            if stream.write_all(&piece[..read]).is_err() {
                break;
            }
        }
    }
}

fn echo_udp(socket: &UdpSocket) {
    let mut piece = [0; 2048];
    while let Ok((read, from)) = socket.recv_from(&mut piece) {
        // A peer that is gone is no concern of this side.
        let _ = socket.send_to(&piece[..read], from);
    }
}
