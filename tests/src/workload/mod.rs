//! Loads: what `sentinel-workload` does, and a handle on one that runs.
//!
//! A load prints a line `{"event":"ready", ..}` once it has begun, `{"event":"idle"}` once its work is done and it only
//! stays so that its books can be read, and `{"event":"report", ..}` with what it did before it ends.

pub mod attempts;
pub mod command;
pub mod cpu;
pub mod exchange;
pub mod growth;
pub mod hold;
pub mod http;
pub mod memory;
pub mod overload;
pub mod port;
pub mod tcp;
pub mod wander;

use std::{net::SocketAddr, process::Stdio, thread, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{cgroup::Cgroup, lines::Lines, paths, process::Process, wait};

const READY_LIMIT: Duration = Duration::from_secs(5);

/// A load that runs in a cgroup; dropping it ends it.
#[derive(Debug)]
pub struct Workload {
    process: Process,
    lines: Lines,
    onset_ns: u64,
    listen: Option<SocketAddr>,
}

impl Workload {
    /// Starts `sentinel-workload` with these arguments and waits until it has begun.
    ///
    /// # Errors
    /// It did not begin.
    pub fn start(cgroup: &Cgroup, args: &[&str]) -> Result<Self> {
        Self::start_through(cgroup, &[], args)
    }

    /// The same through another command, as `ip netns exec NAME`.
    ///
    /// # Errors
    /// It did not begin.
    pub fn start_through(cgroup: &Cgroup, through: &[&str], args: &[&str]) -> Result<Self> {
        let program = paths::workload()?;
        let mut command = match through.split_first() {
            None => cgroup.command(program),
            Some((first, rest)) => {
                let mut command = cgroup.command(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        let onset_ns = wait::now_ns();
        let mut process = Process::spawn(&mut command)?;
        let pipe = process.child().stdout.take().context("the workload has no stdout")?;
        let lines = Lines::read(pipe);
        let mut workload = Self {
            process,
            lines,
            onset_ns,
            listen: None,
        };
        let ready = workload.event("ready", READY_LIMIT)?;
        workload.listen = ready["listen"].as_str().map(str::parse).transpose()?;
        Ok(workload)
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// When it was started, `CLOCK_MONOTONIC`, nanoseconds.
    #[must_use]
    pub const fn onset_ns(&self) -> u64 {
        self.onset_ns
    }

    /// Where it listens.
    ///
    /// # Errors
    /// It does not listen.
    pub fn listen(&self) -> Result<SocketAddr> {
        self.listen.context("this workload does not listen")
    }

    /// Waits for an event.
    ///
    /// # Errors
    /// It did not come in time.
    pub fn event(&self, name: &str, limit: Duration) -> Result<Value> {
        Self::event_in(&self.lines, name, limit)
    }

    /// Waits for an event among the lines of a workload that was started otherwise.
    ///
    /// # Errors
    /// It did not come in time.
    pub fn event_in(lines: &Lines, name: &str, limit: Duration) -> Result<Value> {
        let found = lines.find(0, limit, |line| {
            let event: Value = serde_json::from_str(&line.text).ok()?;
            (event["event"] == name).then_some(event)
        });
        match found {
            Some(event) => Ok(event),
            None => bail!(
                "no `{name}` from the workload within {limit:?}; it said {:?}",
                lines.texts()
            ),
        }
    }

    /// Waits for its end and returns what it did.
    ///
    /// # Errors
    /// It did not end in time or said nothing.
    pub fn report(&mut self, limit: Duration) -> Result<Value> {
        self.process.wait(limit)?;
        self.event("report", READY_LIMIT)
    }

    /// What it has said so far.
    #[must_use]
    pub const fn lines(&self) -> &Lines {
        &self.lines
    }

    /// True once it has ended.
    ///
    /// # Errors
    /// It could not be waited for.
    pub fn ended(&mut self) -> Result<bool> {
        Ok(self.process.ended()?.is_some())
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// It could not be ended.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill().map(drop)
    }
}

/// Says that the load has begun.
fn ready() {
    println!("{}", json!({ "event": "ready" }));
}

/// Says that the load has begun and where it listens.
fn ready_at(listen: SocketAddr) {
    println!("{}", json!({ "event": "ready", "listen": listen.to_string() }));
}

/// Says that the work is done, and stays until the deadline.
fn idle(deadline: Deadline) {
    println!("{}", json!({ "event": "idle" }));
    thread::sleep(deadline.left());
}

/// Says what was done.
fn report(mut what: Value) {
    what["event"] = "report".into();
    println!("{what}");
}

/// The end of a load.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    start_ns: u64,
    length: Duration,
}

impl Deadline {
    fn after_seconds(seconds: f64) -> Self {
        let length = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Self {
            start_ns: wait::now_ns(),
            length,
        }
    }

    fn passed(self) -> Duration {
        wait::since(self.start_ns)
    }

    fn left(self) -> Duration {
        self.length.saturating_sub(self.passed())
    }

    fn is_over(self) -> bool {
        self.left().is_zero()
    }
}
