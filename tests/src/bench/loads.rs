//! Loads that fire one kind of hook as often as this machine can. Each runs for a given time and tells how many
//! operations it did. All stay on loopback.

use std::{
    hint,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::wait;

/// Operations between two looks at the clock.
const BATCH: u64 = 64;
const PAGE_BYTES: usize = 4096;
/// Beyond the largest size the allocator keeps for itself, so that freeing unmaps.
const UNMAPPED_BYTES: usize = 48 << 20;

/// A load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Two tasks on one CPU that wake each other: every switch is from one task to another.
    Switches,
    /// Memory taken, touched and given back.
    Pages,
    /// One byte there and back over a connection, both ends on one CPU.
    Requests,
    /// The same between two CPUs that sleep meanwhile: what both touch crosses over, and caches are cold.
    RequestsAcross,
    /// A connection, one byte there and back, and its end.
    Connections,
}

impl Load {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Switches => "switches",
            Self::Pages => "page faults",
            Self::Requests => "requests",
            Self::RequestsAcross => "requests, two CPUs",
            Self::Connections => "connections",
        }
    }

    /// Runs for so long; operations per second.
    ///
    /// # Errors
    /// There is no pipe, no thread or no socket to be had.
    pub fn run(self, length: Duration) -> Result<f64> {
        let start_ns = wait::now_ns();
        let done = match self {
            Self::Switches => switches(length)?,
            Self::Pages => pages(length),
            Self::Requests => requests(length, [0, 0])?,
            Self::RequestsAcross => requests(length, [0, thread::available_parallelism()?.get() - 1])?,
            Self::Connections => connections(length)?,
        };
        Ok(done as f64 / wait::since(start_ns).as_secs_f64())
    }
}

/// Repeats until the time is over; how often.
fn repeat(length: Duration, batch: u64, mut once: impl FnMut() -> Result<()>) -> Result<u64> {
    let start_ns = wait::now_ns();
    let mut done = 0;
    while wait::since(start_ns) < length {
        for _ in 0..batch {
            once()?;
        }
        done += batch;
    }
    Ok(done)
}

/// Sends back every byte that comes.
fn echo(mut from: impl Read, mut to: impl Write) {
    let mut byte = [0];
    while from.read_exact(&mut byte).is_ok() && to.write_all(&byte).is_ok() {}
}

fn ask(to: &mut impl Write, from: &mut impl Read) -> Result<()> {
    let mut byte = [0];
    to.write_all(&byte)?;
    Ok(from.read_exact(&mut byte)?)
}

fn switches(length: Duration) -> Result<u64> {
    let (there, mut ask_to) = std::io::pipe()?;
    let (mut answer_from, back) = std::io::pipe()?;
    let other = thread::spawn(move || {
        pin(0)?;
        echo(there, back);
        anyhow::Ok(())
    });
    let own = thread::spawn(move || {
        pin(0)?;
        repeat(length, BATCH, || ask(&mut ask_to, &mut answer_from))
    });
    let done = own.join().ok().context("a load panicked")?;
    other.join().ok().context("a load panicked")??;
    done
}

fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

fn pages(length: Duration) -> u64 {
    let start_ns = wait::now_ns();
    let mut done = 0;
    while wait::since(start_ns) < length {
        // The allocator asks for pages that are zero already: each is touched once, below.
        let mut taken = vec![0_u8; UNMAPPED_BYTES];
        for page in taken.chunks_mut(PAGE_BYTES) {
            page[0] = 1;
        }
        hint::black_box(&taken);
        done += (UNMAPPED_BYTES / PAGE_BYTES) as u64;
    }
    done
}

fn requests(length: Duration, cpus: [usize; 2]) -> Result<u64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut client = connect(&listener)?;
    let (server, _) = listener.accept()?;
    server.set_nodelay(true)?;
    let other = thread::spawn(move || {
        pin(cpus[1])?;
        echo(&server, &server);
        anyhow::Ok(())
    });
    let own = thread::spawn(move || {
        pin(cpus[0])?;
        let mut answers = client.try_clone()?;
        repeat(length, BATCH, || ask(&mut client, &mut answers))
    });
    let done = own.join().ok().context("a load panicked")?;
    other.join().ok().context("a load panicked")??;
    done
}

fn connect(listener: &TcpListener) -> Result<TcpStream> {
    let client = TcpStream::connect(listener.local_addr()?)?;
    client.set_nodelay(true)?;
    Ok(client)
}

fn connections(length: Duration) -> Result<u64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    repeat(length, 1, || {
        let mut client = connect(&listener)?;
        let (mut server, _) = listener.accept()?;
        let mut byte = [0];
        client.write_all(&byte)?;
        server.read_exact(&mut byte)?;
        server.write_all(&byte)?;
        Ok(client.read_exact(&mut byte)?)
    })
}
