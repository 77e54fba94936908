//! The scenes that are recorded: what each starts, what it breaks and when, on services that are there already. Nothing
//! here listens to the agent.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use sentinel::judge::verdict::{Cause, Level, Signal};

use crate::{
    corpus::truth::Shape,
    overload::{self, Overload, Setting},
    services::Services,
    shop::{self, Shop},
    wait,
    workload::Workload,
};

use super::work::{self, Work};

/// Quiet time before anything happens.
pub(super) const PAST: Duration = Duration::from_secs(20);
/// How long a fault lasts.
const FAULT: Duration = Duration::from_secs(20);
/// Time after its end, for what has to clear.
const AFTER: Duration = Duration::from_secs(8);
/// How long work that is no fault is watched.
const CLEAN: Duration = Duration::from_secs(45);
/// The scene whose overload passes.
pub(super) const TRANSIENT: &str = "overload-transient";
/// Scenes of this kind need the memory controller on cgroup v2.
pub(super) const NEEDS_LIMIT: &str = "real_leak_limit";
/// Longer than any scene.
const SECONDS: &str = "90";
/// No leak lives longer.
const LONGEST: Duration = Duration::from_secs(120);
const RPS: [&str; 2] = ["--rps", "100"];

/// One scene: its name and kind, how it is made, its services, and what to do.
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) about: &'static str,
    pub(super) services: &'static [&'static str],
    pub(super) play: fn(&Services) -> Result<Vec<Fault>>,
}

/// A fault as it was made.
pub(super) struct Fault {
    pub(super) scope: &'static str,
    pub(super) signal: Signal,
    pub(super) causes: &'static [Cause],
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub(super) onset_ns: u64,
    pub(super) end_ns: u64,
    pub(super) level: Level,
    pub(super) within_s: f64,
    /// It sustains itself from this moment on.
    pub(super) metastable_ns: Option<u64>,
    /// Memory ran out at its end, on this course.
    pub(super) exhausts: Option<Shape>,
}

/// All of them.
pub(super) const SCENES: [Scene; 14] = [
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
        name: "leak-limit-linear",
        kind: NEEDS_LIMIT,
        about: "a leak of 1.5 MB/s into a memory.max of its own, until the kernel ended it",
        services: &["leaky"],
        play: |services| limited(services, "linear", Shape::Linear),
    },
    Scene {
        name: "leak-limit-accelerating",
        kind: NEEDS_LIMIT,
        about: "a leak that grows faster and faster into a memory.max of its own, until the kernel ended it",
        services: &["leaky"],
        play: |services| limited(services, "accelerating", Shape::Accelerating),
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
        exhausts: None,
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

/// Its limit, what it comes to, and when.
const LIMIT_MB: u32 = 100;
const LIFE_S: &str = "64";

/// Needs the memory controller on cgroup v2.
fn limited(services: &Services, course: &str, shape: Shape) -> Result<Vec<Fault>> {
    services.enable("memory")?;
    let cgroup = services.cgroup("leaky");
    cgroup.set("memory.max", &(LIMIT_MB * 1_000_000).to_string())?;
    thread::sleep(PAST);
    let mb = (LIMIT_MB - 4).to_string();
    let growth = [
        "growth",
        "--course",
        course,
        "--mb",
        &mb,
        "--life-seconds",
        LIFE_S,
        "--seconds",
        SECONDS,
    ];
    let mut leak = Workload::start(cgroup, &growth)?;
    wait::until(LONGEST, || leak.ended().map(|ended| ended.then_some(())).transpose()).transpose()?;
    let mut fault = fault("leaky", Signal::Fever, &[Cause::Leak], leak.onset_ns(), 40.0);
    ensure!(cgroup.oom_kills()? > 0, "it was not ended for lack of memory");
    fault.exhausts = Some(shape);
    thread::sleep(AFTER);
    Ok(vec![fault])
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
