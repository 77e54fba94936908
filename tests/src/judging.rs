//! What contracts of the judge share: loads, and what is asserted of verdicts.

use std::time::Duration;

use sentinel::{
    config::Config,
    judge::verdict::{Cause, Level, Signal},
};

use crate::synthetic::{Load, Rig};

/// Seeds that every load is shown with.
pub const SEEDS: std::ops::Range<u64> = 1..21;

/// Runs a test with each seed, on a host of these cgroups.
pub fn each_seed(names: &[&str], test: impl Fn(&mut Rig)) {
    for seed in SEEDS {
        let mut rig = Rig::new(seed, &Config::default(), names);
        test(&mut rig);
    }
}

/// A configuration with ticks of this length.
#[must_use]
pub fn ticks(interval_ms: u64) -> Config {
    Config {
        interval: Duration::from_millis(interval_ms),
        // A tick is a whole number of network readings.
        network_interval: Duration::from_millis(if interval_ms.is_multiple_of(200) { 200 } else { 100 }),
        ..Config::default()
    }
}

/// Seconds from `onset` to the first veto of this signal, and its cause.
#[must_use]
pub fn veto(rig: &Rig, name: &str, signal: Signal, onset: f64) -> (f64, Cause) {
    let (at, verdict) = rig
        .first(name, signal, Level::Veto)
        .unwrap_or_else(|| panic!("no veto of {} for {name}: {:#?}", signal.name(), rig.verdicts));
    (at - onset, verdict.cause)
}

/// A veto of this signal and cause was given in time.
pub fn assert_veto(rig: &Rig, name: &str, signal: Signal, cause: Cause, onset: f64, within_s: f64) {
    let found = veto(rig, name, signal, onset);
    assert!(
        (0.0..=within_s).contains(&found.0) && found.1 == cause,
        "{name}, seed {}: {found:?}",
        rig.seed
    );
}

/// Nothing was said of a cgroup beyond `nominal`.
pub fn assert_calm(rig: &Rig, name: &str) {
    let said: Vec<_> = rig.verdicts.iter().filter(|v| v.scope.name() == name).collect();
    assert!(
        rig.worst(name) <= Level::Nominal,
        "{name} was not left alone: {said:#?}"
    );
}

/// Nothing was said of a cgroup beyond `level`, not even while it warmed up.
pub fn assert_at_most(rig: &Rig, name: &str, level: Level) {
    let mut of_it = rig.verdicts.iter().filter(|verdict| verdict.scope.name() == name);
    let over = of_it.find(|verdict| verdict.level > level);
    assert!(over.is_none(), "{name}, seed {}: {over:#?}", rig.seed);
}

/// Nobody was given a veto.
pub fn assert_no_veto(rig: &Rig) {
    let veto = rig.verdicts.iter().find(|verdict| verdict.level == Level::Veto);
    assert!(veto.is_none(), "{veto:#?}");
}

/// A service with that many busy tasks.
#[must_use]
pub fn busy(tasks: f64) -> Load {
    Load {
        busy_tasks: tasks,
        ..Load::idle()
    }
}

/// A gateway that is asked and asks, per second, and the share of its requests that is refused.
#[must_use]
pub fn gateway(asked: f64, asks: f64, refused: f64) -> Load {
    Load {
        asked,
        asks,
        refused,
        light_cpus: 0.1,
        wakeups_per_s: 200.0,
        ..Load::idle()
    }
}

/// Thrash, a leak and a storm, each in its own cgroup.
pub fn three_faults(rig: &mut Rig) {
    *rig.load("proxy") = gateway(200.0, 800.0, 0.95);
    rig.load("worker").busy_tasks = 4.0;
    rig.load("leaker").grows_mb = 20.0;
}
