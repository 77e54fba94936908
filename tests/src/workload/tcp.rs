//! Bulk over TCP.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::json;

use super::{Deadline, idle, port, ready, ready_at, report};

const PIECE_BYTES: usize = 64 * 1024;

/// Accepts connections and reads until each ends.
#[derive(Debug, Args)]
pub struct Server {
    /// Where to listen; a free port of 127.0.0.1 when not given. Port 0 takes one that is free.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Send back what arrives.
    #[arg(long)]
    echo: bool,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

impl Server {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        let listener = match self.listen {
            Some(address) if address.port() == 0 => port::listen(address.ip())?,
            Some(address) => TcpListener::bind(address)?,
            None => port::listen(IpAddr::from(Ipv4Addr::LOCALHOST))?,
        };
        ready_at(listener.local_addr()?);
        let accepts = Arc::new(AtomicU64::new(0));
        let bytes = Arc::new(AtomicU64::new(0));
        let counters = (Arc::clone(&accepts), Arc::clone(&bytes));
        thread::spawn(move || accept(&listener, self.echo, &counters.0, &counters.1));
        thread::sleep(end.left());
        report(json!({
            "accepts": accepts.load(Ordering::Relaxed), "bytes_in": bytes.load(Ordering::Relaxed),
        }));
        Ok(())
    }
}

fn accept(listener: &TcpListener, echo: bool, accepts: &AtomicU64, bytes: &Arc<AtomicU64>) {
    for mut stream in listener.incoming().flatten() {
        accepts.fetch_add(1, Ordering::Relaxed);
        let bytes = Arc::clone(bytes);
        thread::spawn(move || {
            let mut back = stream.try_clone().ok().filter(|_| echo);
            let mut piece = vec![0; PIECE_BYTES];
            while let Ok(read @ 1..) = stream.read(&mut piece) {
                bytes.fetch_add(read as u64, Ordering::Relaxed);
                if back
                    .as_mut()
                    .is_some_and(|back| back.write_all(&piece[..read]).is_err())
                {
                    return;
                }
            }
        });
    }
}

/// Sends bytes over one connection, then closes it.
#[derive(Debug, Args)]
pub struct Transfer {
    /// Where to; a server of its own on 127.0.0.1 when not given.
    #[arg(long)]
    to: Option<SocketAddr>,
    /// How many.
    #[arg(long)]
    bytes: u64,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

impl Transfer {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        let (to, received) = match self.to {
            Some(to) => (to, None),
            None => {
                let listener = port::listen(IpAddr::from(Ipv4Addr::LOCALHOST))?;
                let to = listener.local_addr()?;
                (to, Some(thread::spawn(move || receive(&listener))))
            }
        };
        ready();
        let mut stream = TcpStream::connect(to).with_context(|| format!("connecting to {to}"))?;
        stream.set_write_timeout(Some(end.left().max(std::time::Duration::from_millis(1))))?;
        let sent = io::copy(&mut io::repeat(7).take(self.bytes), &mut stream)?;
        stream.shutdown(Shutdown::Write)?;
        // The other side closes once it has read everything.
        io::copy(&mut stream, &mut io::sink())?;
        if let Some(received) = received {
            let received = received.join().ok().context("the receiver panicked")??;
            ensure!(received == sent, "{received} of {sent} bytes arrived");
        }
        idle(end);
        report(json!({ "bytes_out": sent }));
        Ok(())
    }
}

fn receive(listener: &TcpListener) -> io::Result<u64> {
    let (mut stream, _) = listener.accept()?;
    io::copy(&mut stream, &mut io::sink())
}
