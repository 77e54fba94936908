//! journald in a mount namespace of its own: the journal of the host is neither needed nor touched, and nothing is left
//! behind, neither a socket nor a file.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{lines::Lines, paths, process::Process, wait};

const LIMIT: Duration = Duration::from_secs(5);
/// Empty places for sockets and journals, then a process that keeps the namespace for a bounded time.
const HOUSE: &str = "mount -t tmpfs none /run && mount -t tmpfs none /var/log && echo ready && exec sleep 300";
const PROGRAM: &str = "/lib/systemd/systemd-journald";

/// A mount namespace in which no journald runs until one is started; dropping it ends everything in it.
#[derive(Debug)]
pub struct House {
    journald: Option<Process>,
    house: Process,
}

impl House {
    /// Makes the namespace.
    ///
    /// # Errors
    /// A tool is missing, or it is not allowed.
    pub fn new() -> Result<Self> {
        let mut command = Command::new(paths::tool("unshare", "util-linux")?);
        command
            .args(["--mount", "/bin/sh", "-c", HOUSE])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut house = Process::spawn(&mut command)?;
        let lines = Lines::read(house.child().stdout.take().context("no stdout")?);
        let ready = lines.find(0, LIMIT, |line| (line.text == "ready").then_some(()));
        ready.context("no mount namespace: run as root")?;
        Ok(Self { journald: None, house })
    }

    /// What runs a command inside: `nsenter`.
    #[must_use]
    pub fn through(&self) -> Vec<String> {
        ["nsenter", "--mount", "--target"]
            .map(str::to_owned)
            .into_iter()
            .chain([self.house.pid().to_string()])
            .collect()
    }

    fn command(&self, program: impl AsRef<Path>) -> Command {
        let through = self.through();
        let mut command = Command::new(&through[0]);
        command.args(&through[1..]).arg(program.as_ref()).stdin(Stdio::null());
        command
    }

    /// Starts journald and waits until it answers.
    ///
    /// # Errors
    /// It is not installed or does not start.
    pub fn start(&mut self) -> Result<()> {
        ensure!(
            Path::new(PROGRAM).is_file(),
            "{PROGRAM} is missing: `apt-get install systemd`"
        );
        // A test that was killed takes its journald with it.
        let mut command = self.command(paths::tool("setpriv", "util-linux")?);
        command.args(["--pdeathsig", "KILL", PROGRAM]);
        let journald = Process::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
        self.journald = Some(journald);
        let answers = wait::until_true(LIMIT, || {
            let mut test = self.command("/usr/bin/test");
            test.args(["-S", "/run/systemd/journal/socket"])
                .status()
                .is_ok_and(|status| status.success())
        });
        ensure!(answers, "journald did not make its socket within {LIMIT:?}");
        Ok(())
    }

    /// Ends journald.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&mut self) -> Result<()> {
        match self.journald.take() {
            Some(mut journald) => journald.stop().map(drop),
            None => Ok(()),
        }
    }

    /// Stops journald where it stands (SIGSTOP) or lets it go on (SIGCONT): its socket stays and fills.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.journald.as_mut().context("journald does not run")?.signal(signal)
    }

    /// Everything the agent has written to it, in order.
    ///
    /// # Errors
    /// `journalctl` is not installed or fails.
    pub fn entries(&self) -> Result<Vec<Value>> {
        let journalctl = paths::tool("journalctl", "systemd")?;
        // `--all`: long fields are otherwise left out.
        let args = [
            "--identifier",
            "sentinel",
            "--output",
            "json",
            "--all",
            "--no-pager",
            "--quiet",
        ];
        let output = self.command(journalctl).args(args).output()?;
        if !output.status.success() {
            bail!("journalctl: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let text = String::from_utf8(output.stdout)?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_inside_is_read_inside() -> Result<()> {
        let mut house = House::new()?;
        house.start()?;
        let mut say = house.command("/bin/sh");
        let said = say.args(["-c", "echo heard | systemd-cat -t sentinel"]).status()?;
        assert!(said.success());
        let heard = wait::until(LIMIT, || house.entries().ok().filter(|entries| !entries.is_empty()));
        assert_eq!(heard.context("nothing in the journal")?[0]["MESSAGE"], "heard");
        house.stop()
    }
}
