//! Connection attempts at a steady pace, and what each ended with.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Args;
use nix::sys::socket::{setsockopt, sockopt::Linger};
use serde_json::json;

use super::{Deadline, ready, report};
use crate::wait;

/// Attempts connections; each that succeeds is reset at once, so that ports never run out.
#[derive(Debug, Args)]
pub struct Attempts {
    /// Where to.
    #[arg(long)]
    to: SocketAddr,
    /// Attempts per second of each task; as fast as it goes when not given.
    #[arg(long)]
    per_s: Option<f64>,
    /// Tasks that attempt at once.
    #[arg(long, default_value_t = 1)]
    tasks: u32,
    /// Time limit of an attempt.
    #[arg(long)]
    limit_ms: Option<u64>,
    /// Send a byte on each connection and wait for its echo, so many times.
    #[arg(long, default_value_t = 0)]
    requests: u32,
    /// Connect UDP sockets, which sends nothing.
    #[arg(long)]
    udp: bool,
    /// End after so many attempts of each task.
    #[arg(long, default_value_t = u64::MAX)]
    most: u64,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

/// What attempts ended with: `ok`, or the number of the error.
type Ends = BTreeMap<String, Ended>;

/// Attempts that ended alike.
#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    count: u64,
    /// When the last of them began, and when it ended.
    last_begun_ns: u64,
    last_ended_ns: u64,
}

impl Attempts {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        let this = &self;
        ready();
        let first_ns = wait::now_ns();
        let tasks: Vec<Ends> = thread::scope(|scope| {
            let running: Vec<_> = (0..self.tasks)
                .map(|_| scope.spawn(move || this.attempt(end)))
                .collect();
            running.into_iter().filter_map(|task| task.join().ok()).collect()
        });
        let last_ns = wait::now_ns();
        let mut ends = Ends::new();
        for (end, part) in tasks.into_iter().flatten() {
            let sum = ends.entry(end).or_default();
            sum.count += part.count;
            sum.last_begun_ns = sum.last_begun_ns.max(part.last_begun_ns);
            sum.last_ended_ns = sum.last_ended_ns.max(part.last_ended_ns);
        }
        let all = |of: fn(&Ended) -> u64| -> BTreeMap<&String, u64> {
            ends.iter().map(|(end, ended)| (end, of(ended))).collect()
        };
        report(json!({
            "attempts": ends.values().map(|ended| ended.count).sum::<u64>(),
            "first_ns": first_ns, "last_ns": last_ns,
            "ends": all(|ended| ended.count),
            "last_begun_ns": all(|ended| ended.last_begun_ns),
            "last_ended_ns": all(|ended| ended.last_ended_ns),
        }));
        Ok(())
    }

    fn attempt(&self, end: Deadline) -> Ends {
        let start_ns = wait::now_ns();
        let mut ends = Ends::new();
        for number in 1_u64.. {
            let begun_ns = wait::now_ns();
            let ended = match self.one() {
                Ok(()) => "ok".to_owned(),
                Err(error) => error
                    .raw_os_error()
                    .map_or_else(|| error.kind().to_string(), |code| code.to_string()),
            };
            let entry = ends.entry(ended).or_default();
            *entry = Ended {
                count: entry.count + 1,
                last_begun_ns: begun_ns,
                last_ended_ns: wait::now_ns(),
            };
            if number >= self.most {
                break;
            }
            if let Some(per_s) = self.per_s {
                let due = Duration::from_secs_f64(number as f64 / per_s);
                thread::sleep(due.saturating_sub(wait::since(start_ns)).min(end.left()));
            }
            if end.is_over() {
                break;
            }
        }
        ends
    }

    fn one(&self) -> io::Result<()> {
        if self.udp {
            return UdpSocket::bind("127.0.0.1:0")?.connect(self.to);
        }
        let mut stream = match self.limit_ms {
            None => TcpStream::connect(self.to)?,
            Some(limit) => TcpStream::connect_timeout(&self.to, Duration::from_millis(limit))?,
        };
        for _ in 0..self.requests {
            let mut byte = [7];
            stream.write_all(&byte)?;
            stream.read_exact(&mut byte)?;
        }
        let reset = nix::libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&stream, Linger, &reset).map_err(io::Error::from)
    }
}

/// Holds a policy on a cgroup, as an agent would.
#[derive(Debug, Args)]
pub struct Hold {
    /// The cgroup's directory.
    #[arg(long)]
    cgroup: std::path::PathBuf,
    /// Its id.
    #[arg(long)]
    id: u64,
    /// Time to live.
    #[arg(long)]
    ttl_ms: u64,
    /// Renew it so often.
    #[arg(long)]
    renew_ms: u64,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

impl Hold {
    pub(super) fn run(self) -> Result<()> {
        use sentinel::kernel::enforce::{Connects, Enforcer, Limits, Scope};
        let end = Deadline::after_seconds(self.seconds);
        let ttl = Duration::from_millis(self.ttl_ms);
        let scope = Scope {
            path: self.cgroup,
            id: self.id,
        };
        let connects = Connects {
            reserve_per_s: 0,
            by_answers: false,
            ..Connects::default()
        };
        let limits = Limits {
            connects: Some(connects),
            accepts: None,
        };
        let mut enforcer = Enforcer::open().context("the enforcing programs")?;
        enforcer.put(&scope, &limits, ttl)?;
        ready();
        while !end.is_over() {
            thread::sleep(Duration::from_millis(self.renew_ms).min(end.left()));
            enforcer.renew(scope.id, ttl)?;
        }
        Ok(())
    }
}
