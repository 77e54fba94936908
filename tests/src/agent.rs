//! The agent as its users have it: a program with a command line, two streams and an exit code.

use std::{
    ffi::{OsStr, OsString},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use sentinel::{act::Outcome, judge::Verdict};
use tempfile::TempDir;

use crate::{
    invoke::{Ended, command},
    lines::{Line, Lines},
    process::{Process, children, ending},
    wait,
};

/// How long the agent may take to end after it was asked to.
const LIMIT: Duration = Duration::from_secs(5);

/// How to run the agent.
#[derive(Debug)]
pub struct Options {
    dir: TempDir,
    config: String,
    exactly: bool,
    args: Vec<OsString>,
    through: Vec<OsString>,
    duration: Duration,
    lock: Option<PathBuf>,
    about: Vec<String>,
    listen: String,
    control: Option<PathBuf>,
    program: Option<PathBuf>,
}

/// A running agent; dropping it ends it.
#[derive(Debug)]
pub struct Agent {
    process: Process,
    stdout: Lines,
    stderr: Lines,
    dir: TempDir,
    lock: PathBuf,
}

/// A verdict, the line it came in and when that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When the line was read, `CLOCK_MONOTONIC`, nanoseconds.
    pub at_ns: u64,
    /// The verdict.
    pub verdict: Verdict,
    /// The line.
    pub line: String,
}

impl Options {
    /// A tick each second, a lock of its own, and an end after two minutes whatever happens.
    ///
    /// # Errors
    /// There is no place for temporary files.
    pub fn new() -> Result<Self> {
        Ok(Self {
            dir: tempfile::tempdir()?,
            config: "interval = \"1s\"\n".to_owned(),
            exactly: false,
            args: Vec::new(),
            through: Vec::new(),
            duration: Duration::from_secs(120),
            lock: None,
            about: Vec::new(),
            listen: "off".to_owned(),
            control: None,
            program: None,
        })
    }

    /// Another configuration, in TOML.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.config);
        self
    }

    /// Exactly this configuration, with the default budget of cost, and every line where it stands here.
    #[must_use]
    pub fn exactly(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.config);
        self.exactly = true;
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Runs it by way of another command, as `nsenter`.
    #[must_use]
    pub fn through<S: AsRef<OsStr>>(mut self, command: &[S]) -> Self {
        self.through = command.iter().map(|part| part.as_ref().to_owned()).collect();
        self
    }

    /// Another end.
    #[must_use]
    pub const fn duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// Serves page, API and metrics, by default nowhere: `127.0.0.1:0` takes any port, see [`Agent::address`].
    #[must_use]
    pub fn listen(mut self, listen: &str) -> Self {
        listen.clone_into(&mut self.listen);
        self
    }

    /// The lock of another run.
    #[must_use]
    pub fn lock(mut self, lock: &Path) -> Self {
        self.lock = Some(lock.to_owned());
        self
    }

    /// The control socket of another run.
    #[must_use]
    pub fn control(mut self, control: &Path) -> Self {
        self.control = Some(control.to_owned());
        self
    }

    /// Another build of the agent.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Keep only lines that contain this: a long run that says everything at every reading would fill the memory.
    #[must_use]
    pub fn only_about(self, text: &str) -> Self {
        self.only_about_any(&[text])
    }

    /// The same with several texts, of which one is enough.
    #[must_use]
    pub fn only_about_any(mut self, texts: &[&str]) -> Self {
        self.about = texts.iter().map(|text| (*text).to_owned()).collect();
        self
    }

    /// A directory for the files of this run.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts it. It has not attached anything yet; see [`Agent::warm_up`].
    ///
    /// # Errors
    /// It could not be started.
    pub fn start(self) -> Result<Agent> {
        let file = self.dir.path().join("sentinel.toml");
        let config = if self.exactly {
            self.config
        } else {
            without_budget(&self.config)
        };
        fs::write(&file, config)?;
        let mut command = command(&self.through, self.program.as_deref())?;
        command.arg("run").args(["--output", "json"]).arg("--config").arg(&file);
        let lock = self.lock.unwrap_or_else(|| self.dir.path().join("lock"));
        command.arg("--lock").arg(&lock).args(["--listen", &self.listen]);
        // Nothing of this run is where an agent of this host keeps its things.
        let control = self.control.unwrap_or_else(|| self.dir.path().join("control.sock"));
        command.arg("--control").arg(control);
        command.arg("--journal").arg(self.dir.path().join("leases.jsonl"));
        command
            .arg("--duration")
            .arg(format!("{}s", self.duration.as_secs()))
            .args(&self.args);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A hook must see nothing of the agent's own environment.
        command.env("SENTINEL_TEST_CANARY", "1");
        let mut process = Process::spawn(&mut command)?;
        let stdout = process.child().stdout.take().context("no stdout")?;
        let about = self.about;
        let stdout = Lines::read_those(stdout, move |line| {
            about.is_empty() || about.iter().any(|about| line.contains(about))
        });
        let stderr = Lines::read(process.child().stderr.take().context("no stderr")?);
        Ok(Agent {
            process,
            stdout,
            stderr,
            dir: self.dir,
            lock,
        })
    }
}

impl Agent {
    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Process id of what acts for it; `None` where nothing does.
    #[must_use]
    pub fn actuator(&self) -> Option<u32> {
        let acts = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(b"actuator")
        };
        children(self.pid()).into_iter().find(acts)
    }

    /// Where it serves page, API and metrics.
    ///
    /// # Errors
    /// It did not say so in time.
    pub fn address(&self) -> Result<SocketAddr> {
        let said = |line: &Line| line.text.split_once("http://")?.1.trim_end_matches('/').parse().ok();
        let found = self.stderr.find(0, LIMIT, said);
        found.with_context(|| format!("the agent did not say where its page is: {:?}", self.stderr.texts()))
    }

    /// Its lock file.
    #[must_use]
    pub fn lock(&self) -> &Path {
        &self.lock
    }

    /// A directory for the files of this run.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Lets it run for a time.
    ///
    /// # Errors
    /// It ended meanwhile.
    pub fn warm_up(&mut self, time: Duration) -> Result<()> {
        let ended = wait::until(time, || self.process.ended().transpose());
        if let Some(status) = ended {
            bail!("the agent ended with {}: {:?}", ending(status?), self.stderr.texts());
        }
        Ok(())
    }

    /// Lines of standard output so far.
    #[must_use]
    pub fn stdout(&self) -> Vec<Line> {
        self.stdout.all()
    }

    /// Lines of standard error so far.
    #[must_use]
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.texts()
    }

    /// Waits for a verdict, also among those that were already given.
    #[must_use]
    pub fn find(&self, limit: Duration, wanted: impl Fn(&Seen) -> bool) -> Option<Seen> {
        self.stdout
            .find(0, limit, |line| seen(line).filter(|seen| wanted(seen)))
    }

    /// How many lines it has said so far, to look at what comes after.
    #[must_use]
    pub fn said(&self) -> usize {
        self.stdout.count()
    }

    /// Lines of standard output from line number `from` on.
    #[must_use]
    pub fn stdout_since(&self, from: usize) -> Vec<Line> {
        self.stdout.since(from)
    }

    /// Waits for a verdict among those from line number `from` on.
    #[must_use]
    pub fn find_since(&self, from: usize, limit: Duration, wanted: impl Fn(&Seen) -> bool) -> Option<Seen> {
        self.stdout
            .find(from, limit, |line| seen(line).filter(|seen| wanted(seen)))
    }

    /// Every verdict from line number `from` on.
    #[must_use]
    pub fn verdicts_since(&self, from: usize) -> Vec<Seen> {
        self.stdout.since(from).iter().filter_map(seen).collect()
    }

    /// Waits for an outcome.
    #[must_use]
    pub fn outcome(&self, limit: Duration, wanted: impl Fn(&Outcome) -> bool) -> Option<Outcome> {
        self.stdout
            .find(0, limit, |line| serde_json::from_str(&line.text).ok().filter(&wanted))
    }

    /// Every verdict so far.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Seen> {
        self.stdout.all().iter().filter_map(seen).collect()
    }

    /// Every outcome so far.
    #[must_use]
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.stdout
            .all()
            .iter()
            .filter_map(|line| serde_json::from_str(&line.text).ok())
            .collect()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It could not be sent.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Sends it a signal and waits for its end.
    ///
    /// # Errors
    /// It does not end.
    pub fn end(&mut self, signal: Signal) -> Result<Ended> {
        self.process.signal(signal)?;
        self.ended(LIMIT)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn ended(&mut self, limit: Duration) -> Result<Ended> {
        let status = self.process.wait(limit)?;
        if !self.stdout.closed(LIMIT) || !self.stderr.closed(LIMIT) {
            bail!("the agent is gone and something still holds its streams");
        }
        Ok(Ended::new(status, self.stdout.texts(), self.stderr.texts()))
    }
}

fn seen(line: &Line) -> Option<Seen> {
    let verdict = serde_json::from_str(&line.text).ok()?;
    Some(Seen {
        at_ns: line.at_ns,
        verdict,
        line: line.text.clone(),
    })
}

/// The configuration, with a budget of cost that is never exceeded unless it sets one: what a contract measures must not depend on how
/// fast its machine is, and an emulated one would leave sensors out.
fn without_budget(config: &str) -> String {
    let mut lines: Vec<&str> = config.lines().collect();
    if !config.contains("cost_budget") {
        let top = lines.iter().position(|line| line.starts_with('['));
        lines.insert(top.unwrap_or(lines.len()), "cost_budget = 100.0");
    }
    lines.join("\n") + "\n"
}
