//! A process that stands in for the agent: it holds one order through a guard, and can be killed or stopped.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use sentinel::act::{action::Order, actuator::ActuatorError};
use serde_json::Value;

use crate::{lines::Lines, paths, process::Process, workload::Workload};

/// Its longest life.
const SECONDS: &str = "40";

/// A holder and its guard; dropping it ends the holder, and the guard follows by itself.
#[derive(Debug)]
pub struct Holder {
    process: Process,
    lines: Lines,
    ready: Value,
}

impl Holder {
    /// Starts one and waits until its order is done.
    ///
    /// # Errors
    /// The order was not done; says what the holder said.
    pub fn start(order: &Order, journal: &Path) -> Result<Self> {
        Self::start_as(Command::new(paths::workload()?), order, journal)
    }

    /// The same, as a command that was begun elsewhere: in a cgroup, or as another user.
    ///
    /// # Errors
    /// The order was not done; says what the holder said.
    pub fn start_as(mut command: Command, order: &Order, journal: &Path) -> Result<Self> {
        command
            .args([
                "hold-action",
                "--seconds",
                SECONDS,
                "--order",
                &serde_json::to_string(order)?,
                "--journal",
            ])
            .arg(journal)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let lines = Lines::read(process.child().stdout.take().context("no stdout")?);
        let errors = Lines::read(process.child().stderr.take().context("no stderr")?);
        let ready = Workload::event_in(&lines, "ready", Duration::from_secs(10));
        let ready = ready.with_context(|| {
            // Its last words come a little later than its end.
            let whole = errors.closed(Duration::from_secs(3));
            format!("it said {:?}{}", errors.texts(), if whole { "" } else { " so far" })
        })?;
        Ok(Self { process, lines, ready })
    }

    /// Process id of its guard.
    ///
    /// # Errors
    /// It has none.
    pub fn guard(&self) -> Result<i32> {
        let pid = self.ready["guard"].as_i64().context("no guard")?;
        Ok(i32::try_from(pid)?)
    }

    /// What it said when its order was done.
    #[must_use]
    pub const fn ready(&self) -> &Value {
        &self.ready
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It could not be sent.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Why it lost its lease.
    ///
    /// # Errors
    /// It did not lose it in time.
    pub fn lost(&self, limit: Duration) -> Result<ActuatorError> {
        let event = Workload::event_in(&self.lines, "lost", limit)?;
        Ok(serde_json::from_value(event["error"].clone())?)
    }

    /// Kills it and waits until it is gone.
    ///
    /// # Errors
    /// It could not be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill().map(drop)
    }
}
