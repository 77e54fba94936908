//! Run-queue: busy tasks in one cgroup. As many as CPUs is full and no queue; more is thrash, and the more the worse.
//!
//! The first counts are watched for minutes and must stay silent; the others are started again and again, each time in
//! a cgroup that was idle before, and timed. Counts are meant for two CPUs and scale with what the machine has.

use std::{thread, time::Duration};

use anyhow::Result;
use clap::Args;
use sentinel::judge::verdict::{Level, Signal};
use serde_json::{Value, json};

use crate::{agent::Seen, services::Services, wait, workload::Workload};

use super::{
    figures::{Figures, cell},
    machine::{Machine, Watch},
    report::{Bound, Report},
    stage::{Keep, Says, Stage},
};

/// Busy tasks on two CPUs that are no fault. Issue 3: "1 and 2 busy tasks silent for 10 min".
const SILENT: [usize; 2] = [1, 2];
/// Those that are, each with the seconds until it is flagged: "3 flagged <= 5 s, 4 and more <= 2 s".
const FLAGGED: [(usize, f64); 4] = [(3, 5.0), (4, 2.0), (8, 2.0), (16, 2.0)];
/// All of them.
const COUNTS: [usize; 6] = [1, 2, 3, 4, 8, 16];
/// CPUs these counts are meant for.
const CPUS: usize = 2;
/// The last part of a run, in which severity is measured.
const SETTLED: Duration = Duration::from_secs(3);
/// Calm between runs.
const BETWEEN: Duration = Duration::from_secs(1);
/// Fills the time between two ticks evenly.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// What could be the severity, the best first: the first that is strictly ordered is the one.
const SEVERITIES: [&str; 4] = ["severity", "runnable_tasks", "waiting_share", "value"];

/// Options of the trial.
#[derive(Clone, Debug, Args)]
pub struct RunQueue {
    /// How long each silent count is watched
    #[arg(long, default_value_t = 10.0)]
    pub minutes: f64,
    /// Runs of each flagged count
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
    /// How long each of those lasts, seconds
    #[arg(long, default_value_t = 8.0)]
    pub length: f64,
    /// Idle time of a cgroup before it becomes busy, seconds
    #[arg(long, default_value_t = 4.0)]
    pub past: f64,
    /// Only these counts
    #[arg(long, value_delimiter = ',')]
    pub tasks: Vec<usize>,
}

/// One count of tasks, once.
#[derive(Debug)]
struct Run {
    tasks: usize,
    /// Onset to the first verdict above nominal, and to the veto.
    watch_s: Option<f64>,
    veto_s: Option<f64>,
    /// Verdicts above nominal about the scope.
    said: Vec<String>,
    /// Medians of [`SEVERITIES`] at the end.
    severities: [Option<f64>; SEVERITIES.len()],
    /// CPUs that anybody else used meanwhile.
    others_cpus: f64,
    machine: Machine,
}

impl RunQueue {
    pub(super) fn run(&self, keep: &Keep) -> Result<Report> {
        let silent = Duration::from_secs_f64(self.minutes * 60.0).max(SETTLED);
        let length = Duration::from_secs_f64(self.length).max(SETTLED);
        let each = Duration::from_secs_f64(self.past) + BETWEEN + Duration::from_secs(5);
        let flagged = u32::try_from(self.runs * FLAGGED.len())?;
        let limit = (silent + each) * 2 + (length + each) * flagged + Duration::from_secs(60);
        let watch = Watch::start()?;
        let stage = Stage::open("run-queue", limit, Says::Everything, keep)?;
        let mut runs = Vec::new();
        for _ in 0..self.runs {
            for tasks in FLAGGED
                .map(|(tasks, _)| tasks)
                .into_iter()
                .filter(|tasks| self.wants(*tasks))
            {
                runs.push(self.one(&stage, tasks, length, runs.len())?);
                said(&runs);
            }
        }
        for tasks in SILENT.into_iter().filter(|tasks| self.wants(*tasks)) {
            runs.push(self.one(&stage, tasks, silent, runs.len())?);
            said(&runs);
        }
        stage.close()?;
        self.report(&runs, &watch)
    }

    /// Lets so many tasks be busy in a cgroup of their own and listens to what is said about it.
    fn one(&self, stage: &Stage, tasks: usize, length: Duration, index: usize) -> Result<Run> {
        let past = Duration::from_secs_f64(self.past);
        let scale = (thread::available_parallelism()?.get() / CPUS).max(1);
        let services = Services::start(&["busy"], (past + length + BETWEEN).as_secs() as u32 + 30)?;
        thread::sleep(past + Duration::from_secs_f64((index as f64 * GOLDEN).fract()));
        let watch = Watch::start()?;
        let said = stage.agent.said();
        let (threads, seconds) = (
            (tasks * scale).to_string(),
            (length + BETWEEN).as_secs_f64().to_string(),
        );
        let spin = Workload::start(
            services.cgroup("busy"),
            &["spin", "--threads", &threads, "--seconds", &seconds],
        )?;
        let onset_ns = spin.onset_ns();
        thread::sleep(length.saturating_sub(wait::since(onset_ns)));
        let machine = watch.read()?;
        let own_cpus = services.cgroup("busy").cpu_time()?.as_secs_f64() / wait::since(onset_ns).as_secs_f64();
        let scope = services.cgroup("busy").scope();
        let about = |seen: &Seen| {
            seen.verdict.signal == Signal::Jitter && seen.verdict.scope.path == scope && seen.at_ns >= onset_ns
        };
        let verdicts: Vec<Seen> = stage.agent.verdicts_since(said).into_iter().filter(about).collect();
        drop(spin);
        thread::sleep(BETWEEN);
        let first = |level: Level| {
            let seen = verdicts.iter().find(|seen| seen.verdict.level >= level)?;
            Some((seen.at_ns - onset_ns) as f64 / 1e9)
        };
        let changed = verdicts
            .iter()
            .filter(|seen| seen.verdict.level >= Level::Watch && seen.verdict.level != seen.verdict.previous);
        let settled_ns = onset_ns + u64::try_from((length - SETTLED.min(length)).as_nanos())?;
        let settled: Vec<&Seen> = verdicts.iter().filter(|seen| seen.at_ns >= settled_ns).collect();
        Ok(Run {
            tasks,
            watch_s: first(Level::Watch),
            veto_s: first(Level::Veto),
            said: changed
                .map(|seen| format!("{} {}", seen.verdict.level.name(), seen.verdict.summary))
                .collect(),
            severities: std::array::from_fn(|index| median(&settled, SEVERITIES[index])),
            others_cpus: (machine.busy_share * machine.cpus as f64 - own_cpus).max(0.0),
            machine,
        })
    }

    fn wants(&self, tasks: usize) -> bool {
        self.tasks.is_empty() || self.tasks.contains(&tasks)
    }

    fn report(&self, runs: &[Run], watch: &Watch) -> Result<Report> {
        let of = |tasks: usize| runs.iter().filter(move |run| run.tasks == tasks);
        let mut rows = Vec::new();
        let mut bounds = Vec::new();
        for tasks in SILENT.into_iter().filter(|tasks| self.wants(*tasks)) {
            let said: usize = of(tasks).map(|run| run.said.len()).sum();
            let what = format!("{tasks} busy tasks on {CPUS} CPUs silent for {} min", self.minutes);
            bounds.push(Bound::new(what, format!("{said} verdicts"), said == 0));
        }
        for (tasks, limit_s) in FLAGGED.into_iter().filter(|(tasks, _)| self.wants(*tasks)) {
            let flagged = Figures::of(of(tasks).map(|run| run.watch_s)).quantile(1.0);
            let vetoed = Figures::of(of(tasks).map(|run| run.veto_s)).quantile(1.0);
            let held = flagged.is_some_and(|flagged| flagged <= limit_s);
            bounds.push(Bound::new(
                format!("{tasks} busy tasks flagged within {limit_s} s, and a veto at all"),
                format!("{}, veto {}", cell(flagged, " s"), cell(vetoed, " s")),
                held && vetoed.is_some_and(f64::is_finite),
            ));
        }
        for tasks in COUNTS.into_iter().filter(|tasks| self.wants(*tasks)) {
            let count = of(tasks).count();
            let watch_s = Figures::of(of(tasks).map(|run| run.watch_s));
            let veto_s = Figures::of(of(tasks).map(|run| run.veto_s));
            let mut row = vec![tasks.to_string(), count.to_string()];
            row.extend([cell(watch_s.quantile(0.5), " s"), cell(watch_s.quantile(1.0), " s")]);
            row.extend([cell(veto_s.quantile(0.5), " s"), cell(veto_s.quantile(1.0), " s")]);
            row.extend((0..SEVERITIES.len()).map(|index| cell(severity(runs, tasks, index), "")));
            rows.push(row);
        }
        bounds.push(ordered(runs));
        let heads = [
            "busy tasks",
            "runs",
            "flagged (median)",
            "(max)",
            "veto (median)",
            "(max)",
        ];
        Ok(Report {
            trial: "run-queue",
            heads: heads.into_iter().chain(SEVERITIES).map(str::to_owned).collect(),
            rows,
            bounds,
            findings: runs
                .iter()
                .filter(|run| SILENT.contains(&run.tasks))
                .flat_map(|run| {
                    run.said.iter().map(|said| {
                        format!(
                            "{} busy tasks: {said} (others used {:.2} CPUs)",
                            run.tasks, run.others_cpus
                        )
                    })
                })
                .collect(),
            runs: runs.iter().map(Run::json).collect(),
            machine: watch.read()?,
        })
    }
}

fn said(runs: &[Run]) {
    if let Some(run) = runs.last() {
        let seconds = |value: Option<f64>| cell(Some(value.unwrap_or(f64::INFINITY)), " s");
        eprintln!(
            "{} busy tasks: flagged {}, veto {}; others used {:.2} CPUs",
            run.tasks,
            seconds(run.watch_s),
            seconds(run.veto_s),
            run.others_cpus
        );
    }
}

/// Median of a number over verdicts.
fn median(verdicts: &[&Seen], name: &str) -> Option<f64> {
    let number = |seen: &&Seen| match name {
        "value" => seen.verdict.value,
        name => seen.verdict.features.get(name).copied(),
    };
    Figures::of(verdicts.iter().filter_map(number).map(Some)).quantile(0.5)
}

/// Median over the runs of a count.
fn severity(runs: &[Run], tasks: usize, index: usize) -> Option<f64> {
    let ours = runs.iter().filter(|run| run.tasks == tasks);
    Figures::of(ours.filter_map(|run| run.severities[index]).map(Some)).quantile(0.5)
}

/// Issue 3: "severity strictly ordered for 2 < 3 < 4 < 8 < 16".
fn ordered(runs: &[Run]) -> Bound {
    let counts: Vec<usize> = COUNTS
        .into_iter()
        .filter(|tasks| *tasks > 1 && runs.iter().any(|run| run.tasks == *tasks))
        .collect();
    let strictly = |index: &usize| {
        let values: Option<Vec<f64>> = counts.iter().map(|tasks| severity(runs, *tasks, *index)).collect();
        values.is_some_and(|values| values.is_sorted_by(|a, b| a < b))
    };
    let ordered: Vec<&str> = (0..SEVERITIES.len())
        .filter(strictly)
        .map(|index| SEVERITIES[index])
        .collect();
    let measured = if ordered.is_empty() {
        "none".to_owned()
    } else {
        ordered.join(", ")
    };
    Bound::new(
        "severity strictly ordered for 2 < 3 < 4 < 8 < 16 busy tasks, by one number at least",
        measured,
        !ordered.is_empty(),
    )
}

impl Run {
    fn json(&self) -> Value {
        let severities: serde_json::Map<String, Value> = SEVERITIES
            .iter()
            .zip(self.severities)
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        json!({
            "tasks": self.tasks, "watch_s": self.watch_s, "veto_s": self.veto_s, "said": self.said,
            "severities": severities, "others_cpus": self.others_cpus, "machine": self.machine,
        })
    }
}
