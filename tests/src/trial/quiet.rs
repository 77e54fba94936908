//! Quiet: the agent beside ordinary work, for long. Every verdict about it is a false one.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::Result;
use clap::Args;
use sentinel::judge::verdict::Level;
use serde_json::{Value, json};

use crate::{agent::Seen, services::Services, wait};

use super::{
    machine::Watch,
    report::{Bound, Report},
    stage::{Keep, Says, Stage},
    work,
};

/// A piece of work that takes longer is ended.
const PIECE: Duration = Duration::from_secs(300);
/// Idle time between two pieces.
const BETWEEN: Duration = Duration::from_secs(10);

/// Options of the trial.
#[derive(Clone, Debug, Args)]
pub struct Quiet {
    /// How long
    #[arg(long, default_value_t = 60.0)]
    pub minutes: f64,
    /// Pieces of work at the same time. Two builds with as many jobs as CPUs crowd each other: what is said then is true
    #[arg(long, default_value_t = 1)]
    pub together: usize,
}

impl Quiet {
    pub(super) fn run(&self, keep: &Keep) -> Result<Report> {
        let length = Duration::from_secs_f64(self.minutes * 60.0);
        let watch = Watch::start()?;
        let stage = Stage::open("quiet", length + PIECE + Duration::from_secs(60), Says::Changes, keep)?;
        let start_ns = wait::now_ns();
        let (mut failed, mut done, mut round) = (Vec::new(), 0_usize, 0_usize);
        while wait::since(start_ns) < length {
            let left = length.saturating_sub(wait::since(start_ns));
            let pieces: Vec<work::Work> = (0..self.together.max(1))
                .map(|index| work::ALL[(round + index) % work::ALL.len()])
                .collect();
            let names: Vec<&'static str> = pieces.iter().map(|work| work.name).collect();
            let services = Services::start(&names, u32::try_from(PIECE.as_secs())? + 60)?;
            let mut running = Vec::new();
            for work in &pieces {
                running.push((work.name, work.start(services.cgroup(work.name))?));
            }
            let round_ns = wait::now_ns();
            for (name, running) in &mut running {
                let ended = running.go_on(left.min(PIECE).saturating_sub(wait::since(round_ns)))?;
                done += usize::from(ended == Some(true));
                if ended == Some(false) {
                    failed.push(format!("{name} failed: its figures are not those of ordinary work"));
                }
            }
            eprintln!(
                "{:.0} min: {}; {} verdicts so far",
                wait::since(start_ns).as_secs_f64() / 60.0,
                names.join(" and "),
                raised(&stage).len()
            );
            drop(running);
            drop(services);
            thread::sleep(BETWEEN.min(length.saturating_sub(wait::since(start_ns))));
            round += 1;
        }
        let hours = wait::since(start_ns).as_secs_f64() / 3600.0;
        let verdicts = raised(&stage);
        stage.close()?;
        report(&verdicts, hours, done, failed, &watch)
    }
}

/// Every rise above nominal so far.
fn raised(stage: &Stage) -> Vec<Seen> {
    let rose = |seen: &Seen| seen.verdict.level >= Level::Watch && seen.verdict.level > seen.verdict.previous;
    stage.agent.verdicts().into_iter().filter(rose).collect()
}

fn report(verdicts: &[Seen], hours: f64, done: usize, mut findings: Vec<String>, watch: &Watch) -> Result<Report> {
    let mut counts: BTreeMap<(String, &str, &str, &str), usize> = BTreeMap::new();
    for seen in verdicts {
        let verdict = &seen.verdict;
        let row = (
            verdict.scope.name().to_owned(),
            verdict.signal.name(),
            verdict.level.name(),
            verdict.cause.name(),
        );
        *counts.entry(row).or_default() += 1;
    }
    let of = |level: Level| verdicts.iter().filter(|seen| seen.verdict.level == level).count();
    let none = |level: Level| {
        let count = of(level);
        let measured = format!("{count} in {hours:.2} h ({:.1} per hour)", count as f64 / hours);
        Bound::new(format!("no {} about ordinary work", level.name()), measured, count == 0)
    };
    findings.extend(verdicts.iter().map(|seen| {
        let verdict = &seen.verdict;
        format!(
            "{} {} {}: {}",
            verdict.time,
            verdict.signal.name(),
            verdict.level.name(),
            verdict.summary
        )
    }));
    Ok(Report {
        trial: "quiet",
        heads: ["scope", "signal", "level", "cause", "verdicts", "per hour"]
            .map(str::to_owned)
            .to_vec(),
        rows: counts
            .into_iter()
            .map(|((scope, signal, level, cause), count)| {
                let per_hour = format!("{:.1}", count as f64 / hours);
                [scope.as_str(), signal, level, cause, &count.to_string(), &per_hour]
                    .map(str::to_owned)
                    .to_vec()
            })
            .collect(),
        bounds: vec![
            none(Level::Veto),
            none(Level::Watch),
            Bound::new("work was done", format!("{done} pieces"), done > 0),
        ],
        findings,
        runs: verdicts
            .iter()
            .map(|seen| serde_json::from_str(&seen.line))
            .collect::<Result<Vec<Value>, _>>()
            .unwrap_or_else(|error| vec![json!(error.to_string())]),
        machine: watch.read()?,
    })
}
