//! Recordings: one scene after the other, each with an agent of its own that keeps what it measures, and a label. They
//! are the real part of the corpus. To be made on a machine that does nothing else.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use sentinel::judge::verdict::{Cause, Level, Phase, Signal};
use serde_json::json;

use crate::{
    agent::Seen,
    overload::{self, Overload, Setting},
    services::Services,
    shop::{self, Shop},
    wait,
    workload::Workload,
};

use super::{
    machine::Watch,
    recording::{Allowance, Label, Never, PhaseTruth, Recording, Truth},
    report::{Bound, Report},
    stage::{Keep, Says, Stage},
    work::{self, Work},
};

/// Quiet time before anything happens.
const PAST: Duration = Duration::from_secs(20);
/// How long a fault lasts.
const FAULT: Duration = Duration::from_secs(20);
/// Time after its end, for what has to clear.
const AFTER: Duration = Duration::from_secs(8);
/// How long work that is no fault is watched.
const CLEAN: Duration = Duration::from_secs(45);
/// The one whose overload passes, and the time from the start of its trigger by which that is plain: the trigger, the
/// queue it leaves, and the calm it takes to be believed.
const TRANSIENT: &str = "overload-transient";
const PASSES_S: f64 = 10.0;
/// Longer than any scene.
const SECONDS: &str = "90";
const LIMIT: Duration = Duration::from_secs(120);
const RPS: [&str; 2] = ["--rps", "100"];

/// Options of the trial.
#[derive(Clone, Debug, Args)]
pub struct Recordings {
    /// Only scenes whose name contains this
    #[arg(long)]
    pub only: Option<String>,
}

/// One scene: its name and kind, how it is made, its services, and what to do.
struct Scene {
    name: &'static str,
    kind: &'static str,
    about: &'static str,
    services: &'static [&'static str],
    play: fn(&Services) -> Result<Vec<Fault>>,
}

/// A fault as it was made.
struct Fault {
    scope: &'static str,
    signal: Signal,
    causes: &'static [Cause],
    /// `CLOCK_MONOTONIC`, nanoseconds.
    onset_ns: u64,
    end_ns: u64,
    level: Level,
    within_s: f64,
    /// It sustains itself from this moment on.
    metastable_ns: Option<u64>,
}

const SCENES: [Scene; 12] = [
    Scene {
        name: "storm-dead",
        kind: "real_storm_dead",
        about: "HAProxy with three retries; its backend is killed",
        services: &shop::SERVICES,
        play: storm_dead,
    },
    Scene {
        name: "storm-slow",
        kind: "real_storm_slow",
        about: "HAProxy with three retries; its backend takes ten times the timeout",
        services: &shop::SERVICES,
        play: storm_slow,
    },
    Scene {
        name: TRANSIENT,
        kind: "real_transient",
        about: "three times the load for two seconds, a gateway without retries, half of the capacity used before",
        services: &overload::SERVICES,
        play: transient,
    },
    Scene {
        name: "overload-self-sustaining",
        kind: "real_metastable",
        about: "three times the load for three seconds, a gateway with three retries, half of the capacity used before",
        services: &overload::SERVICES,
        play: self_sustaining,
    },
    Scene {
        name: "thrash-4",
        kind: "real_thrash",
        about: "four busy tasks",
        services: &["busy"],
        play: |services| thrash(services, 4),
    },
    Scene {
        name: "thrash-16",
        kind: "real_thrash",
        about: "sixteen busy tasks",
        services: &["busy"],
        play: |services| thrash(services, 16),
    },
    Scene {
        name: "leak-20",
        kind: "real_leak",
        about: "20 MB/s taken and never given back",
        services: &["leaky"],
        play: leak,
    },
    Scene {
        name: "three-faults",
        kind: "real_three_faults",
        about: "a dead backend, six busy tasks and a leak of 20 MB/s at once",
        services: &["client", "shop", "stock", "busy", "leaky"],
        play: three,
    },
    Scene {
        name: "build",
        kind: "real_build",
        about: "a full build with as many jobs as CPUs",
        services: &["build"],
        play: |services| ordinary(services, work::BUILD),
    },
    Scene {
        name: "packages",
        kind: "real_packages",
        about: "packages fetched, unpacked and synced",
        services: &["packages"],
        play: |services| ordinary(services, work::PACKAGES),
    },
    Scene {
        name: "gateway",
        kind: "real_gateway",
        about: "HAProxy in front of a backend that is well, 100 requests per second",
        services: &shop::SERVICES,
        play: steady,
    },
    Scene {
        name: "load-step",
        kind: "real_load_step",
        about: "20 to 85 % of every CPU in one step",
        services: &["worker"],
        play: step,
    },
];

impl Recordings {
    pub(super) fn run(&self, keep: &Keep) -> Result<Report> {
        let dir = keep.dir.as_deref().context("where to? `--record DIR`")?;
        let watch = Watch::start()?;
        let (mut rows, mut findings, mut runs) = (Vec::new(), Vec::new(), Vec::new());
        let wanted = |scene: &&Scene| self.only.as_deref().is_none_or(|only| scene.name.contains(only));
        for scene in SCENES.iter().filter(wanted) {
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

/// Ends the agent, packs its recording, labels it; the size in bytes.
fn close(scene: &Scene, stage: Stage, faults: &[Fault]) -> Result<u64> {
    let (recording, begin_ns) = stage.close()?.context("nothing was recorded")?;
    let at_s = |at_ns: u64| ((at_ns.saturating_sub(begin_ns)) as f64 / 1e6).round() / 1e3;
    let truths = faults.iter().map(|fault| Truth {
        scope: fault.scope.to_owned(),
        signal: fault.signal,
        onset_s: at_s(fault.onset_ns),
        end_s: at_s(fault.end_ns),
        level: fault.level,
        within_s: fault.within_s,
        causes: fault.causes.to_vec(),
        phase: fault.metastable_ns.map(|from_ns| PhaseTruth {
            phase: Phase::Metastable,
            from_s: at_s(from_ns),
            within_s: 3.0,
        }),
    });
    // Whoever shares the CPUs with busy tasks waits for them, and may say so.
    let crowded = faults.iter().find(|fault| fault.signal == Signal::Jitter);
    let starved = crowded.map(|fault| Allowance {
        scope: None,
        signal: Signal::Jitter,
        level: Level::Watch,
        from_s: at_s(fault.onset_ns),
        to_s: None,
    });
    // While it lasts, an overload is one, also when it will pass.
    let passes = scene.name == TRANSIENT;
    let passing = passes.then(|| Allowance {
        scope: Some("gateway".to_owned()),
        signal: Signal::Amplification,
        level: Level::Veto,
        from_s: PAST.as_secs_f64() - 1.0,
        to_s: Some(PAST.as_secs_f64() + PASSES_S),
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

fn fault(scope: &'static str, signal: Signal, causes: &'static [Cause], onset_ns: u64, within_s: f64) -> Fault {
    Fault {
        scope,
        signal,
        causes,
        onset_ns,
        end_ns: wait::now_ns(),
        level: Level::Veto,
        within_s,
        metastable_ns: None,
    }
}

fn storm(onset_ns: u64, within_s: f64) -> Fault {
    fault("shop", Signal::Amplification, &[Cause::RetryStorm], onset_ns, within_s)
}

fn storm_dead(services: &Services) -> Result<Vec<Fault>> {
    let mut shop = Shop::open_among(services, &RPS, &[])?;
    thread::sleep(PAST);
    let onset_ns = shop.lose_backend()?;
    thread::sleep(FAULT);
    Ok(vec![storm(onset_ns, 2.0)])
}

fn storm_slow(services: &Services) -> Result<Vec<Fault>> {
    let after = PAST.as_secs().to_string();
    let shop = Shop::open_among(services, &RPS, &["--then-delay-ms", "1000", "--after-seconds", &after])?;
    thread::sleep(PAST + FAULT);
    Ok(vec![storm(shop.opened_ns() + u64::try_from(PAST.as_nanos())?, 3.0)])
}

fn transient(services: &Services) -> Result<Vec<Fault>> {
    let setting = Setting {
        retries: 0,
        trigger_s: 2.0,
        past_s: PAST.as_secs_f64(),
        after_s: 20.0,
        seed: Some(1),
        ..Setting::default()
    };
    let goodput = Overload::start(services, setting)?.finish()?;
    let back = goodput.after(5.0, 20.0).context("goodput")?;
    ensure!(back > 0.8, "it was to recover: {back}");
    Ok(Vec::new())
}

fn self_sustaining(services: &Services) -> Result<Vec<Fault>> {
    let setting = Setting {
        past_s: PAST.as_secs_f64(),
        after_s: 20.0,
        seed: Some(2),
        ..Setting::default()
    };
    let running = Overload::start(services, setting)?;
    let (begins_ns, ends_ns) = (running.begins_ns(), running.ends_ns());
    let goodput = running.finish()?;
    let back = goodput.after(5.0, 20.0).context("goodput")?;
    ensure!(back < 0.1, "it was to sustain itself: {back}");
    // The queue has to fill before anything fails: timeout x capacity / (load - capacity), half a second.
    let mut fault = fault("gateway", Signal::Amplification, &[Cause::RetryStorm], begins_ns, 4.0);
    fault.metastable_ns = Some(ends_ns);
    Ok(vec![fault])
}

fn thrash(services: &Services, tasks: u32) -> Result<Vec<Fault>> {
    thread::sleep(PAST);
    let mut spin = Workload::start(
        services.cgroup("busy"),
        &["spin", "--threads", &tasks.to_string(), "--seconds", SECONDS],
    )?;
    thread::sleep(FAULT);
    let fault = fault("busy", Signal::Jitter, &[Cause::Thrash], spin.onset_ns(), 3.0);
    spin.kill()?;
    thread::sleep(AFTER);
    Ok(vec![fault])
}

fn leak(services: &Services) -> Result<Vec<Fault>> {
    thread::sleep(PAST);
    let leak = Workload::start(
        services.cgroup("leaky"),
        &["leak", "--mb-per-s", "20", "--seconds", SECONDS],
    )?;
    thread::sleep(FAULT + AFTER);
    Ok(vec![fault(
        "leaky",
        Signal::Fever,
        &[Cause::Leak],
        leak.onset_ns(),
        20.0,
    )])
}

fn three(services: &Services) -> Result<Vec<Fault>> {
    let mut shop = Shop::open_among(services, &RPS, &[])?;
    thread::sleep(PAST);
    let onset_ns = shop.lose_backend()?;
    let leak = Workload::start(
        services.cgroup("leaky"),
        &["leak", "--mb-per-s", "20", "--seconds", SECONDS],
    )?;
    let spin = Workload::start(
        services.cgroup("busy"),
        &["spin", "--threads", "6", "--seconds", SECONDS],
    )?;
    thread::sleep(FAULT + AFTER);
    Ok(vec![
        storm(onset_ns, 3.0),
        fault("leaky", Signal::Fever, &[Cause::Leak], leak.onset_ns(), 20.0),
        fault("busy", Signal::Jitter, &[Cause::Thrash], spin.onset_ns(), 3.0),
    ])
}

fn ordinary(services: &Services, work: Work) -> Result<Vec<Fault>> {
    thread::sleep(PAST / 2);
    let mut running = work.start(services.cgroup(work.name))?;
    let ended = running.go_on(CLEAN)?;
    ensure!(ended != Some(false), "{} failed", work.name);
    drop(running);
    thread::sleep(PAST / 4);
    Ok(Vec::new())
}

fn steady(services: &Services) -> Result<Vec<Fault>> {
    let _shop = Shop::open_among(services, &RPS, &[])?;
    thread::sleep(CLEAN);
    Ok(Vec::new())
}

fn step(services: &Services) -> Result<Vec<Fault>> {
    let cpus = thread::available_parallelism()?.get().to_string();
    let duty = ["duty", "--pin", "--threads", &cpus, "--seconds", SECONDS];
    let step = ["--percent", "20", "--then-percent", "85", "--after-seconds", "20"];
    let _duty = Workload::start(services.cgroup("worker"), &[&duty[..], &step[..]].concat())?;
    thread::sleep(CLEAN);
    Ok(Vec::new())
}
