//! Storm: a backend dies, or slows down, under a proxy that retries. How long from there to the veto?
//!
//! One agent, and for each run a shop of its own: what was learned in one run must not help in the next.

use std::{thread, time::Duration};

use anyhow::Result;
use clap::Args;
use sentinel::judge::verdict::{Cause, Level, Signal};
use serde_json::{Value, json};

use crate::{
    agent::Seen,
    services::Services,
    shop::{SERVICES, Shop},
    wait,
};

use super::{
    figures::{Figures, cell},
    machine::Watch,
    report::{Bound, Report},
    stage::{Keep, Says, Stage},
};

/// Issue 3: "onset to verdict p95 <= 1 s and p99 <= 2 s over 100 real runs on loopback".
const P95_S: f64 = 1.0;
const P99_S: f64 = 2.0;
/// How long a veto is waited for; a run without one counts as never.
const PATIENCE: Duration = Duration::from_secs(8);
/// Longer than any run.
const HEARTBEAT_S: u32 = 60;
/// Answer time of the slow backend; the proxy waits 100 ms.
const SLOW_MS: &str = "1000";
/// Steps that fill the time between two ticks evenly, so that no run meets the agent at the same moment as the others.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// Options of the trial.
#[derive(Clone, Debug, Args)]
pub struct Storm {
    /// Runs against a dead backend
    #[arg(long, default_value_t = 100)]
    pub runs: usize,
    /// Runs against a slow backend; a quarter of the others when not given
    #[arg(long)]
    pub slow_runs: Option<usize>,
    /// Quiet time before the fault, seconds; up to one second more, so that runs fall differently between ticks
    #[arg(long, default_value_t = 3.0)]
    pub past: f64,
    /// Requests per second
    #[arg(long, default_value_t = 100)]
    pub rps: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Dead,
    Slow,
}

/// One run.
#[derive(Debug)]
struct Run {
    fault: Fault,
    /// Onset to veto; `None` when it did not come.
    seconds: Option<f64>,
    /// What was wrong with it.
    wrong: Vec<String>,
}

impl Storm {
    pub(super) fn run(&self, keep: &Keep) -> Result<Report> {
        let slow = self.slow_runs.unwrap_or(self.runs.div_ceil(4));
        let all = self.runs + slow;
        let limit = Duration::from_secs_f64((self.past + 15.0) * all as f64 + 60.0);
        let watch = Watch::start()?;
        let stage = Stage::open("storm", limit, Says::Changes, keep)?;
        let mut runs = Vec::with_capacity(all);
        for index in 0..all {
            let fault = if index < self.runs { Fault::Dead } else { Fault::Slow };
            let run = self.one(&stage, fault, index)?;
            let after = cell(Some(run.seconds.unwrap_or(f64::INFINITY)), " s");
            eprintln!(
                "run {} of {all}, {}: {after} {}",
                index + 1,
                fault.name(),
                run.wrong.join("; ")
            );
            runs.push(run);
        }
        stage.close()?;
        report(&runs, &watch)
    }

    fn one(&self, stage: &Stage, fault: Fault, index: usize) -> Result<Run> {
        let said = stage.agent.said();
        let services = Services::start(&SERVICES, HEARTBEAT_S)?;
        let past = Duration::from_secs_f64(self.past + (index as f64 * GOLDEN).fract());
        let after = past.as_secs_f64().to_string();
        let slow = ["--then-delay-ms", SLOW_MS, "--after-seconds", &after];
        let backend: &[&str] = if fault == Fault::Slow { &slow } else { &[] };
        let mut shop = Shop::open_among(&services, &["--rps", &self.rps.to_string()], backend)?;
        let onset_ns = match fault {
            Fault::Dead => {
                thread::sleep(past);
                shop.lose_backend()?
            }
            Fault::Slow => shop.opened_ns() + u64::try_from(past.as_nanos())?,
        };
        let guilty = services.cgroup("shop").scope();
        let wanted = |seen: &Seen| is_veto(seen) && seen.verdict.scope.path == guilty;
        let left = Duration::from_nanos(onset_ns.saturating_sub(wait::now_ns()));
        let veto = stage.agent.find_since(said, left + PATIENCE, wanted);
        let mut wrong = Vec::new();
        let mut seconds = None;
        match &veto {
            None => wrong.push("no veto".to_owned()),
            Some(seen) if seen.at_ns < onset_ns => {
                wrong.push(format!("a veto before the fault: {}", seen.verdict.summary))
            }
            Some(seen) => {
                seconds = Some((seen.at_ns - onset_ns) as f64 / 1e9);
                if seen.verdict.cause != Cause::RetryStorm {
                    wrong.push(format!("cause {}", seen.verdict.cause.name()));
                }
            }
        }
        let family = services.family();
        let innocent = |seen: &&Seen| {
            seen.verdict.level == Level::Veto
                && seen.verdict.scope.path.starts_with(&family)
                && seen.verdict.scope.path != guilty
        };
        let verdicts = stage.agent.verdicts_since(said);
        wrong.extend(
            verdicts
                .iter()
                .find(innocent)
                .map(|seen| format!("an innocent scope: {}", seen.verdict.summary)),
        );
        Ok(Run { fault, seconds, wrong })
    }
}

impl Fault {
    const fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead backend",
            Self::Slow => "slow backend",
        }
    }
}

fn is_veto(seen: &Seen) -> bool {
    seen.verdict.level == Level::Veto && seen.verdict.signal == Signal::Amplification
}

fn report(runs: &[Run], watch: &Watch) -> Result<Report> {
    let heads = ["onset to veto", "runs"]
        .into_iter()
        .chain(Figures::HEADS)
        .chain(["wrong"]);
    let of = |fault: Fault| runs.iter().filter(move |run| run.fault == fault);
    let mut rows = Vec::new();
    for fault in [Fault::Dead, Fault::Slow] {
        let figures = Figures::of(of(fault).map(|run| run.seconds));
        if figures.count() > 0 {
            let wrong = of(fault).filter(|run| !run.wrong.is_empty()).count();
            let mut row = vec![fault.name().to_owned(), figures.count().to_string()];
            row.extend(figures.cells(" s"));
            row.push(wrong.to_string());
            rows.push(row);
        }
    }
    let dead = Figures::of(of(Fault::Dead).map(|run| run.seconds));
    let within = |share: f64, limit: f64| {
        let measured = dead.quantile(share);
        let what = format!("dead backend: p{:.0} of onset to veto at most {limit} s", share * 100.0);
        Bound::new(
            what,
            cell(measured, " s"),
            measured.is_some_and(|measured| measured <= limit),
        )
    };
    let wrong = runs.iter().filter(|run| !run.wrong.is_empty()).count();
    Ok(Report {
        trial: "storm",
        heads: heads.map(str::to_owned).collect(),
        rows,
        bounds: vec![
            within(0.95, P95_S),
            within(0.99, P99_S),
            Bound::new(
                "every veto names the shop, for a retry storm, after the fault",
                format!("{wrong} wrong"),
                wrong == 0,
            ),
        ],
        findings: runs
            .iter()
            .enumerate()
            .flat_map(|(index, run)| run.wrong.iter().map(move |wrong| format!("run {}: {wrong}", index + 1)))
            .collect(),
        runs: runs.iter().map(Run::json).collect(),
        machine: watch.read()?,
    })
}

impl Run {
    fn json(&self) -> Value {
        json!({ "fault": self.fault.name(), "seconds": self.seconds, "wrong": self.wrong })
    }
}
