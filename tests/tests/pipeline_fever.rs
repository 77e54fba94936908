//! Contract of fever: leaks are seen, early and with a forecast that holds; what only grows for a while, or comes and goes,
//! is left alone. Without a kernel, each load with twenty seeds.

use sentinel::{
    config::Config,
    judge::verdict::{Cause, Level, Signal},
};
use sentinel_tests::{
    judging::{assert_calm, assert_no_veto, assert_veto, each_seed},
    synthetic::{Noise, Rig},
};

#[test]
fn a_leak_of_20_mb_per_s_is_seen_within_twenty_seconds_and_names_its_cgroup() {
    each_seed(&["leaker", "bystander"], |rig| {
        rig.run(30.0);
        rig.load("leaker").grows_mb = 20.0;
        rig.run(25.0);
        assert_veto(rig, "leaker", Signal::Fever, Cause::Leak, 30.0, 20.0);
        let verdict = rig.first("leaker", Signal::Fever, Level::Veto).unwrap().1;
        let forecast = verdict.forecast.expect("available memory is known");
        let truth_s = verdict.features["host_available_mb"] / 20.0;
        assert!(
            (0.7..1.3).contains(&(forecast.exhaustion_s / truth_s)),
            "{forecast:?}, in truth about {truth_s} s"
        );
        assert!(forecast.earliest_s <= forecast.exhaustion_s);
        assert!(forecast.latest_s.is_none_or(|latest| latest >= forecast.exhaustion_s));
        assert_calm(rig, "bystander");
        assert!(
            rig.first("host", Signal::Fever, Level::Veto).is_none(),
            "one page is enough"
        );
    });
}

#[test]
fn a_leak_spread_over_many_scopes_is_told_by_the_host() {
    let names: Vec<String> = (0..40).map(|index| format!("small-{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut rig = Rig::new(3, &Config::default(), &names);
    rig.run(30.0);
    for name in &names {
        rig.load(name).grows_mb = 0.15;
    }
    rig.run(40.0);
    let (_, verdict) = rig.first("host", Signal::Fever, Level::Veto).expect("6 MB/s in all");
    assert_eq!(verdict.cause, Cause::Leak);
    assert!(names.iter().all(|name| rig.worst(name) <= Level::Watch));
}

#[test]
fn a_one_off_allocation_of_6_gb_is_not_a_leak() {
    each_seed(&["cache", "bystander"], |rig| {
        rig.run(30.0);
        rig.load("cache").grows_mb = 3000.0;
        rig.run(2.0);
        rig.load("cache").grows_mb = 0.0;
        rig.run(60.0);
        assert_no_veto(rig);
        let (_, verdict) = rig.first("cache", Signal::Fever, Level::Watch).expect("worth a look");
        assert_eq!(verdict.cause, Cause::Burst);
        assert_eq!(rig.level("cache", Signal::Fever), Level::Nominal, "and no longer");
        assert_calm(rig, "bystander");
    });
}

#[test]
fn page_cache_is_not_a_leak() {
    each_seed(&["backup", "bystander"], |rig| {
        rig.run(30.0);
        rig.load("backup").grows_mb = 200.0;
        rig.load("backup").resident_share = 0.0;
        rig.run(120.0);
        assert_no_veto(rig);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn a_sawtooth_that_gives_back_what_it_takes_is_not_a_leak() {
    each_seed(&["collector", "bystander"], |rig| {
        rig.run(30.0);
        rig.run_with(240.0, |rig, since| {
            let held = rig.held_mb("collector");
            rig.load("collector").grows_mb = if since as u64 % 8 == 7 { -held } else { 30.0 };
        });
        assert_no_veto(rig);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn a_slow_sawtooth_is_known_after_it_came_down_twice() {
    each_seed(&["collector", "bystander"], |rig| {
        rig.run(30.0);
        rig.run_with(400.0, |rig, since| {
            let held = rig.held_mb("collector");
            rig.load("collector").grows_mb = if since as u64 % 40 == 39 { -held } else { 20.0 };
        });
        let late = rig
            .verdicts
            .iter()
            .find(|v| v.level == Level::Veto && v.monotonic_ns > 5_000_000_000_000 + 150_000_000_000);
        assert!(late.is_none(), "{late:#?}");
        assert_calm(rig, "bystander");
    });
}

/// A process that lives a few seconds, grows unevenly and gives all back when it ends.
#[derive(Clone, Copy, Default)]
struct Compiler {
    left_s: f64,
    held_mb: f64,
}

impl Compiler {
    /// MB taken, less what was given back, in the next second.
    fn second(&mut self, noise: &mut Noise) -> f64 {
        self.left_s -= 1.0;
        if self.left_s <= 0.0 {
            let given_back = self.held_mb;
            *self = Self {
                left_s: 1.0 + 7.0 * noise.uniform(),
                held_mb: 0.0,
            };
            return -given_back;
        }
        let grown = 120.0 * noise.uniform();
        self.held_mb += grown;
        grown
    }
}

#[test]
fn two_compilers_at_a_time_are_not_a_leak() {
    each_seed(&["build", "bystander"], |rig| {
        rig.run(20.0);
        let mut noise = Noise::new(rig.seed + 99);
        let mut compilers = [Compiler::default(); 2];
        rig.run_with(300.0, |rig, _| {
            let owed = compilers.iter().map(|compiler| compiler.held_mb).sum::<f64>() - rig.held_mb("build");
            let load = rig.load("build");
            load.busy_tasks = 2.0;
            load.churns_mb = 400.0;
            // The model makes growth uneven but not what is given back: what is held is what the compilers hold.
            let wanted: f64 = compilers.iter_mut().map(|compiler| compiler.second(&mut noise)).sum();
            load.grows_mb = wanted + owed;
        });
        assert_no_veto(rig);
        assert_calm(rig, "bystander");
    });
}
