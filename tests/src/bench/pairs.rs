//! Pairs: ordinary loads with sentinel attached, with empty programs at its hooks, and without either, in alternation; and
//! beside tools that do a part of its job.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{
    empty::Empty,
    loads::Load,
    spread::Spread,
    tools::{ATTACHED, Tool, able},
};
use crate::{
    agent::{Agent, Options},
    paths,
    process::Process,
    trial::{
        machine::Watch,
        report::{Bound, Report},
    },
    wait,
};

/// What it costs that the kernel calls a program at each hook at all: no tool that counts there is cheaper.
const NOTHING_DONE: &str = "empty programs at its hooks";
/// What is forgotten ends by itself.
const LONGEST: Duration = Duration::from_secs(120);
const TOOL_LIMIT: Duration = Duration::from_secs(60);

/// Options of the measurement.
#[derive(Clone, Debug, Args)]
pub struct Pairs {
    /// Rounds: each does every load without anything, with sentinel, with empty programs, and with the tools
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// How long a load runs that has no length of its own, seconds
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
    /// Only loads whose name contains this
    #[arg(long)]
    pub only: Option<String>,
    /// Leave the other tools out
    #[arg(long)]
    pub no_tools: bool,
}

/// A load, and how much slower it may be with sentinel attached, percent.
#[derive(Clone, Copy, Debug)]
struct Work {
    name: &'static str,
    what: What,
    most_pct: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// `perf bench` with these arguments.
    Perf(&'static [&'static str]),
    Load(Load),
    Iperf,
    Build,
}

/// Issue 5: "sched pipe <= 2 % slower attached than not; page-fault loop, loopback request/response and iperf3 <= 2 %".
const WORKS: [Work; 7] = [
    Work {
        name: "perf bench sched pipe",
        what: What::Perf(&["sched", "pipe", "-l", "100000"]),
        most_pct: Some(2.0),
    },
    Work {
        name: "perf bench sched messaging",
        what: What::Perf(&["sched", "messaging", "-l", "400"]),
        most_pct: None,
    },
    Work {
        name: "page faults",
        what: What::Load(Load::Pages),
        most_pct: Some(2.0),
    },
    Work {
        name: "requests",
        what: What::Load(Load::Requests),
        most_pct: Some(2.0),
    },
    Work {
        name: "requests, two CPUs",
        what: What::Load(Load::RequestsAcross),
        most_pct: Some(2.0),
    },
    Work {
        name: "iperf3",
        what: What::Iperf,
        most_pct: Some(2.0),
    },
    Work {
        name: "build",
        what: What::Build,
        most_pct: None,
    },
];

/// Seconds for one operation, by load and round; `None` where it was not measured.
type Times = Vec<Vec<Option<f64>>>;

impl Pairs {
    /// Measures.
    ///
    /// # Errors
    /// What kept it from measuring.
    pub fn run(&self) -> Result<Report> {
        let watch = Watch::start()?;
        let mut findings = Vec::new();
        let works: Vec<Work> = WORKS
            .into_iter()
            .filter(|work| self.only.as_deref().is_none_or(|only| work.name.contains(only)))
            .collect();
        let tools = if self.no_tools {
            Vec::new()
        } else {
            let loads: Vec<_> = works.iter().map(|work| work.name).collect();
            able(&loads, &mut findings)
        };
        let mut without: Times = vec![Vec::new(); works.len()];
        let (mut with, mut empty) = (without.clone(), without.clone());
        let mut beside = vec![without.clone(); tools.len()];
        for round in 0..self.rounds.max(1) {
            // Whoever comes first changes from round to round.
            for turn in 0..3 {
                match (round + turn) % 3 {
                    0 => self.all(&works, &mut without)?,
                    1 => {
                        let mut agent = attach()?;
                        self.all(&works, &mut with)?;
                        agent.end(Signal::SIGTERM)?;
                    }
                    _ => {
                        let _attached = Empty::attach()?;
                        self.all(&works, &mut empty)?;
                    }
                }
            }
            for (tool, times) in tools.iter().zip(&mut beside) {
                let mut running = tool.start()?;
                for (work, times) in works.iter().zip(times.iter_mut()) {
                    let about = tool.loads.contains(&work.name);
                    times.push(about.then(|| self.one(*work)).transpose()?);
                }
                Tool::end(&mut running)?;
            }
        }
        let mut report = Report {
            trial: "pairs: how much longer a load takes, in the same run",
            heads: ["load", "with", "one operation without", "longer by %"]
                .map(str::to_owned)
                .to_vec(),
            rows: Vec::new(),
            bounds: Vec::new(),
            findings,
            runs: Vec::new(),
            machine: watch.read()?,
        };
        for (index, work) in works.iter().enumerate() {
            row(&mut report, *work, "sentinel", &without[index], &with[index]);
            row(&mut report, *work, NOTHING_DONE, &without[index], &empty[index]);
            for (tool, times) in tools.iter().zip(&beside) {
                row(&mut report, *work, tool.name, &without[index], &times[index]);
            }
        }
        Ok(report)
    }

    fn all(&self, works: &[Work], times: &mut Times) -> Result<()> {
        for (work, times) in works.iter().zip(times) {
            times.push(Some(self.one(*work)?));
        }
        Ok(())
    }

    /// Seconds for one operation.
    fn one(&self, work: Work) -> Result<f64> {
        match work.what {
            What::Perf(args) => perf(args),
            What::Load(load) => Ok(1.0 / load.run(Duration::from_secs_f64(self.seconds))?),
            What::Iperf => iperf(self.seconds),
            What::Build => build(),
        }
        .context(work.name)
    }
}

fn attach() -> Result<Agent> {
    let mut agent = Options::new()?.arg("--no-journal").duration(LONGEST).start()?;
    agent.warm_up(ATTACHED)?;
    Ok(agent)
}

fn row(report: &mut Report, work: Work, with: &str, without: &[Option<f64>], times: &[Option<f64>]) {
    let pairs = without
        .iter()
        .zip(times)
        .filter_map(|(without, with)| without.zip(*with));
    let longer = Spread::of(pairs.map(|(without, with)| (with / without - 1.0) * 100.0));
    let (Some(longer), Some(once)) = (longer, Spread::of(without.iter().copied().flatten())) else {
        return;
    };
    report.rows.push(vec![
        work.name.to_owned(),
        with.to_owned(),
        shown(once.median),
        longer.to_string(),
    ]);
    report.runs.push(json!({
        "load": work.name, "with": with, "without_s": once, "longer_pct": longer,
    }));
    if let (Some(most), "sentinel") = (work.most_pct, with) {
        report.bounds.push(Bound::new(
            format!("{}: at most {most} % longer with sentinel", work.name),
            format!("{longer} %"),
            longer.median <= most,
        ));
    }
}

fn shown(seconds: f64) -> String {
    match seconds {
        0.1.. => format!("{seconds:.2} s"),
        0.000_1.. => format!("{:.2} ms", seconds * 1e3),
        0.000_000_1.. => format!("{:.2} µs", seconds * 1e6),
        _ => format!("{:.3} ns", seconds * 1e9),
    }
}

/// Total time as `perf bench` tells it.
fn perf(args: &[&str]) -> Result<f64> {
    let mut command = Command::new(paths::tool("perf", "linux-perf")?);
    let text = said(command.arg("bench").args(["--format", "simple"]).args(args))?;
    let total = text.lines().find_map(|line| line.trim().parse::<f64>().ok());
    total.with_context(|| format!("perf bench told no time: {text:?}"))
}

/// Seconds for each megabit over loopback.
fn iperf(seconds: f64) -> Result<f64> {
    let program = paths::tool("iperf3", "iperf3")?;
    let port = crate::workload::port::Closed::take(std::net::Ipv4Addr::LOCALHOST.into())?
        .address()
        .port()
        .to_string();
    let mut command = Command::new(&program);
    command.args(["-s", "-1", "-p", &port, "-B", "127.0.0.1"]);
    let mut server = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
    thread::sleep(Duration::from_millis(200));
    let length = (seconds.ceil() as u64).max(1).to_string();
    let text = said(Command::new(&program).args(["-c", "127.0.0.1", "-p", &port, "-t", &length, "-J"]))?;
    server.wait(TOOL_LIMIT)?;
    let told: Value = serde_json::from_str(&text)?;
    let rate = told["end"]["sum_received"]["bits_per_second"].as_f64();
    let rate = rate
        .filter(|rate| *rate > 0.0)
        .with_context(|| format!("iperf3 told no rate: {text}"))?;
    Ok(1e6 / rate)
}

/// A crate of this workspace, from nothing.
fn build() -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let source: PathBuf = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml").into();
    let start_ns = wait::now_ns();
    let mut command = Command::new(paths::tool("cargo", "cargo")?);
    command.args([
        "build",
        "--offline",
        "--quiet",
        "--package",
        "sentinel-common",
        "--features",
        "user",
        "--manifest-path",
    ]);
    command.arg(source).arg("--target-dir").arg(dir.path());
    said(&mut command)?;
    Ok(wait::since(start_ns).as_secs_f64())
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    ensure!(output.stdout.len() < 1 << 20, "{command:?} says too much");
    Ok(String::from_utf8(output.stdout)?)
}
