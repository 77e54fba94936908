//! Overload: is it one that recovers by itself, or one that sustains itself? The agent has three seconds after the
//! trigger's end to say.
//!
//! What is true is what the client measured, not what was meant: goodput from five seconds after the trigger's end on.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use sentinel::judge::verdict::{Level, Phase, Signal};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    agent::Seen,
    overload::{Goodput, Overload as Running, SERVICES, Setting, Trigger},
    services::Services,
};

use super::{
    figures::Figures,
    machine::Watch,
    report::{Bound, Report},
    stage::{Keep, Says, Stage},
};

/// Issue 3: "transient and self-sustaining overload told apart <= 3 s after the trigger ends, none wrong in 50".
const TOLD_S: f64 = 3.0;
/// When the truth is measured, after the trigger's end.
const TRUTH_S: (f64, f64) = (5.0, 8.0);
/// Goodput below this share of the usual is an overload that sustains itself, above the other a recovery.
const DOWN: f64 = 0.1;
const BACK: f64 = 0.75;

/// Options of the trial.
#[derive(Clone, Debug, Args)]
pub struct Overload {
    /// Runs, in turn over the settings
    #[arg(long, default_value_t = 50)]
    pub runs: usize,
    /// Runs at the same time; their parts sleep most of the time
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub at_once: u16,
    /// Quiet time before the trigger, seconds
    #[arg(long, default_value_t = 6.0)]
    pub past: f64,
    /// Only settings whose name contains this
    #[arg(long)]
    pub only: Option<String>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Truth {
    Transient,
    SelfSustaining,
    /// Neither down nor back: not counted.
    Between,
}

/// One run.
#[derive(Debug)]
struct Run {
    setting: &'static str,
    /// The gateway's path, and when the trigger began and ended, to look at a recording of it again.
    gateway: String,
    trigger_ns: [u64; 2],
    truth: Truth,
    goodput: Option<f64>,
    recovered_s: Option<f64>,
    /// Level and phase at the deadline.
    at_deadline: Option<(Level, Phase)>,
    /// Seconds after the trigger's end from which what was said was right for good.
    right_after_s: Option<f64>,
    /// `metastable` was said of an overload that recovered.
    cried: bool,
    wrong: Option<String>,
}

/// The settings: half of each kind, among them some near the edge.
fn settings() -> Vec<(&'static str, Setting)> {
    let usual = Setting::default();
    let load = |factor: f64, trigger_s: f64, rps: f64, retries: u32| Setting {
        rps,
        retries,
        trigger: Trigger::Load(factor),
        trigger_s,
        ..usual
    };
    let backend = |times: f64, trigger_s: f64, rps: f64, retries: u32| Setting {
        rps,
        retries,
        trigger: Trigger::Backend(times),
        trigger_s,
        ..usual
    };
    vec![
        ("load x3, 3 s, 3 retries", load(3.0, 3.0, 100.0, 3)),
        ("load x3, 0.3 s, 3 retries", load(3.0, 0.3, 100.0, 3)),
        ("load x2.5, 2 s, 2 retries", load(2.5, 2.0, 120.0, 2)),
        ("load x3, 2 s, no retries", load(3.0, 2.0, 100.0, 0)),
        ("load x4, 1.5 s, 4 retries", load(4.0, 1.5, 90.0, 4)),
        ("load x4, 2 s, 1 retry", load(4.0, 2.0, 60.0, 1)),
        ("backend x4, 3 s, 3 retries", backend(4.0, 3.0, 100.0, 3)),
        ("backend x4, 2 s, no retries", backend(4.0, 2.0, 100.0, 0)),
        ("backend x10, 1 s, 3 retries", backend(10.0, 1.0, 100.0, 3)),
        ("backend x10, 1 s, 1 retry", backend(10.0, 1.0, 60.0, 1)),
    ]
}

impl Overload {
    pub(super) fn run(&self, keep: &Keep) -> Result<Report> {
        let wanted = |name: &str| self.only.as_deref().is_none_or(|only| name.contains(only));
        let settings: Vec<_> = settings().into_iter().filter(|(name, _)| wanted(name)).collect();
        anyhow::ensure!(!settings.is_empty(), "no setting is called {:?}", self.only);
        let rounds = self.runs.div_ceil(usize::from(self.at_once));
        let limit = Duration::from_secs_f64((self.past + 20.0) * rounds as f64 + 60.0);
        let watch = Watch::start()?;
        let stage = Stage::open("overload", limit, Says::Everything, keep)?;
        let runs = self.all(&stage, &settings)?;
        stage.close()?;
        report(&runs, &watch)
    }

    /// Every run, several at the same time; in order of their number.
    fn all(&self, stage: &Stage, settings: &[(&'static str, Setting)]) -> Result<Vec<Run>> {
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(self.runs)));
        let work = || -> Result<()> {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= self.runs {
                    return Ok(());
                }
                let (name, setting) = settings[index % settings.len()];
                let setting = Setting {
                    past_s: self.past,
                    after_s: TRUTH_S.1 + 0.2,
                    seed: Some(index as u64),
                    ..setting
                };
                let run = one(stage, name, setting)?;
                eprintln!("run {} of {}, {}", index + 1, self.runs, run.line());
                done.lock().unwrap_or_else(PoisonError::into_inner).push((index, run));
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.at_once).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        let mut runs = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        runs.sort_by_key(|(index, _)| *index);
        Ok(runs.into_iter().map(|(_, run)| run).collect())
    }
}

fn one(stage: &Stage, name: &'static str, setting: Setting) -> Result<Run> {
    let said = stage.agent.said();
    let services = Services::start(&SERVICES, setting.seconds() as u32 + 30)?;
    let goodput = Running::start(&services, setting)?.finish()?;
    let gateway = services.cgroup("gateway").scope();
    let about = |seen: &Seen| seen.verdict.signal == Signal::Amplification && seen.verdict.scope.path == gateway;
    let verdicts: Vec<Seen> = stage.agent.verdicts_since(said).into_iter().filter(about).collect();
    Ok(judge(name, gateway, &goodput, &verdicts))
}

/// Holds what was said against what the client measured.
fn judge(setting: &'static str, gateway: String, goodput: &Goodput, verdicts: &[Seen]) -> Run {
    let back = goodput.after(TRUTH_S.0, TRUTH_S.1);
    let truth = match back {
        Some(share) if share <= DOWN => Truth::SelfSustaining,
        Some(share) if share >= BACK => Truth::Transient,
        _ => Truth::Between,
    };
    let after: Vec<(f64, Level, Phase)> = verdicts
        .iter()
        .filter(|seen| seen.at_ns >= goodput.ends_ns)
        .map(|seen| {
            let after_s = (seen.at_ns - goodput.ends_ns) as f64 / 1e9;
            (after_s, seen.verdict.level, seen.verdict.phase.unwrap_or_default())
        })
        .collect();
    let at_deadline = after
        .iter()
        .rfind(|(at_s, ..)| *at_s <= TOLD_S)
        .map(|(_, level, phase)| (*level, *phase));
    let right = |(_, level, phase): &(f64, Level, Phase)| is_right(truth, *level, *phase);
    let last_wrong = after.iter().rposition(|said| !right(said));
    let right_from = last_wrong.map_or(0, |index| index + 1);
    let right_after_s = after.get(right_from).map(|(at_s, ..)| *at_s);
    let cried = truth == Truth::Transient && after.iter().any(|(_, _, phase)| *phase == Phase::Metastable);
    let wrong = match (truth, at_deadline) {
        (Truth::Between, _) => None,
        (_, None) => Some("nothing was said".to_owned()),
        (_, Some((level, phase))) if !is_right(truth, level, phase) => {
            Some(format!("{} and {phase:?} at {TOLD_S} s", level.name()))
        }
        // Right at the deadline and wrong again later is wrong as well.
        _ => right_after_s
            .is_none_or(|at_s| at_s > TOLD_S)
            .then(|| "right at the deadline and wrong later".to_owned()),
    };
    Run {
        setting,
        gateway,
        trigger_ns: [goodput.begins_ns, goodput.ends_ns],
        truth,
        goodput: back,
        recovered_s: goodput.recovered_after_s(),
        at_deadline,
        right_after_s,
        cried,
        wrong,
    }
}

/// One that sustains itself is metastable; one that does not is recovering or healthy, or not worth a veto.
fn is_right(truth: Truth, level: Level, phase: Phase) -> bool {
    let metastable = phase == Phase::Metastable;
    match truth {
        Truth::SelfSustaining => metastable && level >= Level::Watch,
        Truth::Transient => !metastable && (level < Level::Veto || matches!(phase, Phase::Recovering | Phase::Healthy)),
        Truth::Between => true,
    }
}

fn report(runs: &[Run], watch: &Watch) -> Result<Report> {
    let heads = [
        "setting",
        "runs",
        "transient",
        "self-sustaining",
        "between",
        "cried",
        "wrong",
        "told after (median)",
        "(max)",
    ];
    let mut names: Vec<&str> = Vec::new();
    for run in runs {
        if !names.contains(&run.setting) {
            names.push(run.setting);
        }
    }
    let rows = names.iter().map(|name| {
        let ours: Vec<&Run> = runs.iter().filter(|run| run.setting == *name).collect();
        let truths = |truth: Truth| ours.iter().filter(|run| run.truth == truth).count().to_string();
        let told = Figures::of(ours.iter().map(|run| run.right_after_s));
        vec![
            (*name).to_owned(),
            ours.len().to_string(),
            truths(Truth::Transient),
            truths(Truth::SelfSustaining),
            truths(Truth::Between),
            ours.iter().filter(|run| run.cried).count().to_string(),
            ours.iter().filter(|run| run.wrong.is_some()).count().to_string(),
            super::figures::cell(told.quantile(0.5), " s"),
            super::figures::cell(told.quantile(1.0), " s"),
        ]
    });
    let count = |truth: Truth| runs.iter().filter(|run| run.truth == truth).count();
    let (transient, sustained) = (count(Truth::Transient), count(Truth::SelfSustaining));
    let wrong = runs.iter().filter(|run| run.wrong.is_some()).count();
    Ok(Report {
        trial: "overload",
        heads: heads.map(str::to_owned).to_vec(),
        rows: rows.collect(),
        bounds: vec![
            Bound::new(
                format!(
                    "transient and self-sustaining overload told apart {TOLD_S} s after the trigger's end, none wrong"
                ),
                format!("{wrong} of {} wrong", transient + sustained),
                wrong == 0,
            ),
            Bound::new(
                "the client saw both kinds",
                format!("{transient} transient, {sustained} self-sustaining"),
                transient > 0 && sustained > 0,
            ),
        ],
        findings: (1..)
            .zip(runs)
            .filter(|(_, run)| run.wrong.is_some() || run.cried)
            .map(|(index, run)| format!("run {index}: {}", run.line()))
            .collect(),
        runs: runs.iter().map(Run::json).collect(),
        machine: watch.read()?,
    })
}

impl Run {
    fn line(&self) -> String {
        format!(
            "{}: {:?}, goodput {:.0} %, recovered after {:?} s; said {:?}, right from {:?} s on{}{}",
            self.setting,
            self.truth,
            self.goodput.unwrap_or(f64::NAN) * 100.0,
            self.recovered_s,
            self.at_deadline,
            self.right_after_s,
            if self.cried { "; called metastable" } else { "" },
            self.wrong
                .as_ref()
                .map_or(String::new(), |wrong| format!("; WRONG: {wrong}")),
        )
    }

    fn json(&self) -> Value {
        json!({
            "setting": self.setting, "gateway": self.gateway, "trigger_ns": self.trigger_ns, "truth": self.truth, "goodput_share": self.goodput, "recovered_s": self.recovered_s,
            "level": self.at_deadline.map(|at| at.0), "phase": self.at_deadline.map(|at| at.1),
            "right_after_s": self.right_after_s, "cried": self.cried, "wrong": self.wrong,
        })
    }
}
