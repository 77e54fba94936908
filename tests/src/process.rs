//! A child process that ends with its guard.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use crate::wait;

/// How long a process may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// A child process; dropping it ends it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    status: Option<ExitStatus>,
}

/// Processes that any thread of a process started, and that it has not lost since.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let lists: Vec<String> = tasks.flatten().map(of_task).collect();
    let words = lists.iter().flat_map(|list| list.split_whitespace());
    words.filter_map(|word| word.parse().ok()).collect()
}

impl Process {
    /// Starts a command.
    ///
    /// # Errors
    /// It could not be started.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        Ok(Self { child, status: None })
    }

    /// The child, for its pipes.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; does nothing once it has ended.
    ///
    /// # Errors
    /// The signal could not be sent.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_none() {
            signal::kill(Pid::from_raw(self.pid().cast_signed()), signal)?;
        }
        Ok(())
    }

    /// The status it ended with, if it has.
    ///
    /// # Errors
    /// It could not be waited for.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It is still running after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        match wait::until(limit, || self.ended().transpose()) {
            Some(status) => status,
            None => bail!("process {} is still running after {limit:?}", self.pid()),
        }
    }

    /// Ends it with SIGTERM, and SIGKILL when that is not enough.
    ///
    /// # Errors
    /// It could not be signalled or waited for.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        if let Ok(status) = self.wait(GRACE) {
            return Ok(status);
        }
        self.kill()
    }

    /// Ends it with SIGKILL.
    ///
    /// # Errors
    /// It could not be signalled or waited for.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGKILL)?;
        self.wait(GRACE)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("process {}: {error:#}", self.pid());
        }
    }
}

/// How a process ended, in words.
#[must_use]
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}
