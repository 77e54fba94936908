//! Recordings: one scene after the other, each with an agent of its own that keeps what it measures, and a label. They
//! are the real part of the corpus. To be made on a machine that does nothing else.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use sentinel::judge::verdict::{Level, Phase, Signal};
use serde_json::json;

use crate::{
    agent::Seen,
    corpus::{
        recorded::{Label, Never},
        truth::{Allowance, PhaseTruth, Truth},
    },
    paths,
    services::Services,
};

use super::{
    machine::Watch,
    recording::Recording,
    report::{Bound, Report},
    scenes::{Fault, NEEDS_LIMIT, PAST, SCENES, Scene, TRANSIENT},
    stage::{Keep, Says, Stage},
};

/// From the start of the trigger of an overload that passes to when that is plain: the trigger, the queue it leaves, and
/// the calm it takes to be believed.
const PASSES_S: f64 = 10.0;
/// Longer than any scene.
const LIMIT: Duration = Duration::from_secs(120);

/// Options of the trial.
#[derive(Clone, Debug, Args)]
pub struct Recordings {
    /// Only scenes whose name contains this
    #[arg(long)]
    pub only: Option<String>,
}

impl Recordings {
    pub(super) fn run(&self, keep: &Keep) -> Result<Report> {
        let dir = keep.dir.as_deref().context("where to? `--record DIR`")?;
        let watch = Watch::start()?;
        let (mut rows, mut findings, mut runs) = (Vec::new(), Vec::new(), Vec::new());
        let wanted = |scene: &&Scene| self.only.as_deref().is_none_or(|only| scene.name.contains(only));
        let limits = has_memory_controller()?;
        for scene in SCENES.iter().filter(wanted) {
            if scene.kind == NEEDS_LIMIT && !limits {
                eprintln!(
                    "{}: left out, the memory controller is not on cgroup v2 here",
                    scene.name
                );
                continue;
            }
            let recording = Recording::new(dir, scene.name)?;
            let services = Services::start(scene.services, 120)?;
            let ours = Watch::start()?;
            let stage = Stage::recording(LIMIT, Says::Changes, recording)?;
            let faults = (scene.play)(&services)?;
            let verdicts = stage.agent.verdicts();
            let machine = ours.read()?;
            let bytes = close(scene, stage, &faults)?;
            let said: Vec<String> = verdicts
                .iter()
                .filter(|seen| seen.verdict.level >= Level::Watch)
                .map(short)
                .collect();
            eprintln!("{}: {} kB, {machine}; {}", scene.name, bytes / 1000, said.join("; "));
            rows.push(vec![
                scene.name.to_owned(),
                (bytes / 1000).to_string(),
                said.len().to_string(),
                machine.to_string(),
            ]);
            findings.extend(said.iter().map(|said| format!("{}: {said}", scene.name)));
            runs.push(json!({ "name": scene.name, "bytes": bytes, "said": said, "machine": machine }));
        }
        let largest = runs.iter().filter_map(|run| run["bytes"].as_u64()).max();
        Ok(Report {
            trial: "recordings",
            heads: ["recording", "kB", "verdicts above nominal", "machine"]
                .map(str::to_owned)
                .to_vec(),
            rows,
            bounds: vec![Bound::new(
                "none larger than 300 kB",
                format!("{} bytes", largest.unwrap_or(0)),
                largest.is_some_and(|bytes| bytes <= 300_000),
            )],
            findings,
            runs,
            machine: watch.read()?,
        })
    }
}

fn has_memory_controller() -> Result<bool> {
    let controllers = fs::read_to_string(paths::cgroup2()?.join("cgroup.controllers"))?;
    Ok(controllers.split_whitespace().any(|name| name == "memory"))
}

/// Ends the agent, packs its recording, labels it; the size in bytes.
fn close(scene: &Scene, stage: Stage, faults: &[Fault]) -> Result<u64> {
    let (recording, begin_ns) = stage.close()?.context("nothing was recorded")?;
    let at_s = |at_ns: u64| ((at_ns.saturating_sub(begin_ns)) as f64 / 1e6).round() / 1e3;
    let truths = faults.iter().map(|fault| {
        let during = (at_s(fault.onset_ns), at_s(fault.end_ns));
        let truth = Truth::new(fault.scope, fault.signal, fault.level, during, fault.within_s);
        Truth {
            phase: fault.metastable_ns.map(|from_ns| PhaseTruth {
                phase: Phase::Metastable,
                from_s: at_s(from_ns),
                within_s: Some(3.0),
            }),
            exhausts: fault.exhausts,
            ..truth.causes(fault.causes)
        }
    });
    // Whoever shares the CPUs with busy tasks waits for them, and may say so.
    let crowded = faults.iter().find(|fault| fault.signal == Signal::Jitter);
    let starved = crowded.map(|fault| Allowance {
        from_s: at_s(fault.onset_ns),
        ..Allowance::new(None, Signal::Jitter, Level::Watch)
    });
    // While it lasts, an overload is one, also when it will pass.
    let passes = scene.name == TRANSIENT;
    let passing = passes.then(|| Allowance {
        from_s: PAST.as_secs_f64() - 1.0,
        to_s: Some(PAST.as_secs_f64() + PASSES_S),
        ..Allowance::new(Some("gateway"), Signal::Amplification, Level::Veto)
    });
    let never = passes.then(|| Never {
        scope: "gateway".to_owned(),
        phase: Phase::Metastable,
    });
    recording.label(&Label {
        kind: scene.kind.to_owned(),
        faulty: !faults.is_empty(),
        about: scene.about.to_owned(),
        truths: truths.collect(),
        allowances: starved.into_iter().chain(passing).collect(),
        never: never.into_iter().collect(),
        exhausted_s: faults
            .iter()
            .find(|fault| fault.exhausts.is_some())
            .map(|fault| at_s(fault.end_ns)),
        ..Label::default()
    })?;
    recording.bytes()
}

fn short(seen: &Seen) -> String {
    let verdict = &seen.verdict;
    format!(
        "{} {} {}: {}",
        verdict.scope.name(),
        verdict.signal.name(),
        verdict.level.name(),
        verdict.summary
    )
}
