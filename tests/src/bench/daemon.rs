//! Daemon: what the agent itself takes while nothing is wrong, on a host with few and with many cgroups: CPU time, memory,
//! system calls, wake-ups, and the time until it has its first sample.

use std::{fs, process::Command, process::Stdio, thread, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use nix::sys::signal::Signal;
use procfs::process::Process as Proc;
use serde_json::json;

use super::spread::Spread;
use crate::{
    agent::{Agent, Options},
    crowd::Crowd,
    paths,
    process::Process,
    trial::{
        machine::Watch,
        report::{Bound, Report},
    },
    wait,
};

/// Where what is new has been named and judged for the first time.
const SETTLE: Duration = Duration::from_secs(30);
/// Time in which system calls are counted, which slows the agent down.
const TRACED: Duration = Duration::from_secs(10);
/// Starts that are timed.
const STARTS: usize = 7;
/// An agent that is forgotten ends by itself.
const LONGEST: Duration = Duration::from_secs(600);

/// What issue 5 asks for: share of one CPU in percent, and resident memory in MiB, by number of cgroups.
const MOST: [(usize, f64, Option<f64>); 2] = [(1_000, 0.1, Some(16.0)), (10_000, 1.0, None)];
const MOST_CALLS_PER_TICK: f64 = 20.0;
const MOST_START_MS: f64 = 300.0;

/// Options of the measurement.
#[derive(Clone, Debug, Args)]
pub struct Daemon {
    /// Numbers of cgroups
    #[arg(long, value_delimiter = ',', default_value = "10,1000,10000")]
    pub cgroups: Vec<usize>,
    /// How long CPU time is measured for each, seconds
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    cpu_ns: u64,
    wake_ups: u64,
}

/// What was measured with one number of cgroups.
#[derive(Clone, Copy, Debug)]
struct Found {
    cgroups: usize,
    cpu_pct: f64,
    wake_ups_per_s: f64,
    rss_mib: f64,
    anonymous_mib: f64,
    calls_per_tick: Option<f64>,
}

impl Daemon {
    /// Measures.
    ///
    /// # Errors
    /// What kept it from measuring.
    pub fn run(&self) -> Result<Report> {
        let watch = Watch::start()?;
        let mut findings = Vec::new();
        let strace = paths::tool("strace", "strace");
        if let Err(error) = &strace {
            findings.push(format!("system calls were not counted: {error}"));
        }
        let starts = (0..STARTS).map(|_| start_ms()).collect::<Result<Vec<_>>>()?;
        let start = Spread::of(starts).context("no start")?;
        let mut found = Vec::new();
        for cgroups in &self.cgroups {
            found.push(self.with(*cgroups, strace.as_deref().ok())?);
        }
        let mut report = Report {
            trial: "daemon: the agent while nothing is wrong, a tick each second",
            heads: [
                "cgroups",
                "% of one CPU",
                "RSS MiB",
                "of it anonymous",
                "system calls/tick",
                "wake-ups/s",
            ]
            .map(str::to_owned)
            .to_vec(),
            rows: Vec::new(),
            bounds: vec![Bound::new(
                format!("first sample within {MOST_START_MS} ms of the start"),
                format!("{start:.0} ms"),
                start.median <= MOST_START_MS,
            )],
            findings,
            runs: vec![json!({ "start_ms": start })],
            machine: watch.read()?,
        };
        for one in &found {
            one.report(&mut report);
        }
        Ok(report)
    }

    fn with(&self, cgroups: usize, strace: Option<&std::path::Path>) -> Result<Found> {
        let crowd = Crowd::new(cgroups)?;
        let most = (cgroups + cgroups / 8 + 64).max(1024);
        let mut agent = Options::new()?
            .config(&format!("interval = \"1s\"\nmax_cgroups = {most}\n"))
            .arg("--no-journal")
            .duration(LONGEST)
            .start()?;
        agent.warm_up(Duration::from_secs(1))?;
        crowd.visit()?;
        agent.warm_up(SETTLE)?;
        let (before, start_ns) = (used(agent.pid())?, wait::now_ns());
        thread::sleep(Duration::from_secs(self.seconds));
        let (after, length) = (used(agent.pid())?, wait::since(start_ns));
        let status = Proc::new(agent.pid().cast_signed())?.status()?;
        let mib = |kib: Option<u64>| {
            kib.context("the kernel does not tell its memory")
                .map(|kib| kib as f64 / 1024.0)
        };
        let calls_per_tick = strace.map(|strace| calls(strace, &agent)).transpose()?;
        agent.end(Signal::SIGTERM)?;
        Ok(Found {
            cgroups,
            cpu_pct: (after.cpu_ns - before.cpu_ns) as f64 / length.as_nanos() as f64 * 100.0,
            wake_ups_per_s: (after.wake_ups - before.wake_ups) as f64 / length.as_secs_f64(),
            rss_mib: mib(status.vmrss)?,
            anonymous_mib: mib(status.rssanon)?,
            calls_per_tick,
        })
    }
}

impl Found {
    fn report(&self, report: &mut Report) {
        report.rows.push(vec![
            self.cgroups.to_string(),
            format!("{:.3}", self.cpu_pct),
            format!("{:.1}", self.rss_mib),
            format!("{:.1}", self.anonymous_mib),
            self.calls_per_tick
                .map_or_else(|| "not counted".to_owned(), |calls| format!("{calls:.1}")),
            format!("{:.1}", self.wake_ups_per_s),
        ]);
        report.runs.push(json!({
            "cgroups": self.cgroups, "cpu_pct": self.cpu_pct, "rss_mib": self.rss_mib,
            "anonymous_mib": self.anonymous_mib, "calls_per_tick": self.calls_per_tick,
            "wake_ups_per_s": self.wake_ups_per_s,
        }));
        let bounds = &mut report.bounds;
        for (_, most_pct, most_mib) in MOST.into_iter().filter(|(cgroups, _, _)| *cgroups == self.cgroups) {
            bounds.push(Bound::new(
                format!("at most {most_pct} % of one CPU with {} cgroups", self.cgroups),
                format!("{:.3} %", self.cpu_pct),
                self.cpu_pct <= most_pct,
            ));
            if let Some(most_mib) = most_mib {
                bounds.push(Bound::new(
                    format!("at most {most_mib} MiB resident with {} cgroups", self.cgroups),
                    format!("{:.1} MiB", self.rss_mib),
                    self.rss_mib <= most_mib,
                ));
            }
        }
        if let Some(calls) = self.calls_per_tick {
            bounds.push(Bound::new(
                format!(
                    "at most {MOST_CALLS_PER_TICK} system calls per tick with {} cgroups",
                    self.cgroups
                ),
                format!("{calls:.1}"),
                calls <= MOST_CALLS_PER_TICK,
            ));
        }
    }
}

/// Time from the start of the process to the first line about the first sample.
fn start_ms() -> Result<f64> {
    let start_ns = wait::now_ns();
    let mut agent = Options::new()?
        .arg("--no-journal")
        .arg("--every-tick")
        .duration(Duration::from_secs(20))
        .start()?;
    let first = wait::until(Duration::from_secs(10), || {
        agent.stdout().first().map(|line| line.at_ns)
    });
    let first_ns = first.with_context(|| format!("no sample within 10 s: {:?}", agent.stderr()))?;
    agent.end(Signal::SIGTERM)?;
    Ok((first_ns - start_ns) as f64 / 1e6)
}

fn used(pid: u32) -> Result<Used> {
    let mut used = Used::default();
    for task in Proc::new(pid.cast_signed())?.tasks()? {
        let task = task?;
        used.cpu_ns += task.schedstat()?.sum_exec_runtime;
        used.wake_ups += task.status()?.voluntary_ctxt_switches.unwrap_or(0);
    }
    Ok(used)
}

/// System calls of all its threads per second, and so per tick, as `strace` counts them.
fn calls(strace: &std::path::Path, agent: &Agent) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("counted");
    let mut command = Command::new(strace);
    command.args(["-f", "-c", "-U", "calls", "-o"]).arg(&file);
    command.args(["-p", &agent.pid().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut tracer = Process::spawn(&mut command)?;
    thread::sleep(Duration::from_secs(1));
    thread::sleep(TRACED);
    tracer.signal(Signal::SIGINT)?;
    tracer.wait(Duration::from_secs(5))?;
    let text = fs::read_to_string(&file)?;
    let total = text.lines().find_map(|line| line.trim().strip_suffix(" total"));
    let total = total.and_then(|number| number.trim().parse::<u64>().ok());
    let total = total.with_context(|| format!("strace told no number: {text:?}"))?;
    Ok(total as f64 / (TRACED.as_secs_f64() + 1.0))
}
