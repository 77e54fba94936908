//! Contract of fever: leaks are seen, early and with a forecast that holds; what only grows for a while, or comes and goes,
//! is left alone. Without a kernel, each load with twenty seeds.

use sentinel::{
    config::Config,
    judge::{
        Judge, JudgeConfig,
        verdict::{Cause, Level, Signal},
    },
};
use sentinel_tests::{
    judging::{assert_calm, assert_no_veto, assert_veto, each_seed},
    synthetic::{Noise, Rig, origin},
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

#[test]
fn a_link_step_after_many_smaller_jobs_is_not_a_leak() {
    each_seed(&["build", "bystander"], |rig| {
        rig.run(30.0);
        rig.run_with(90.0, |rig, since| {
            let held = rig.held_mb("build");
            rig.load("build").grows_mb = if since as u64 % 9 == 8 { -held } else { 40.0 };
        });
        // At its pace nothing would be left within a minute.
        rig.load("build").grows_mb = 110.0;
        rig.run(8.0);
        let held = rig.held_mb("build");
        rig.load("build").grows_mb = -held;
        rig.run(1.0);
        rig.load("build").grows_mb = 0.0;
        rig.run(30.0);
        assert_no_veto(rig);
        // The first job of all may be worth a look.
        let known_ns = 5_000_000_000_000 + 60_000_000_000;
        let late = rig
            .verdicts
            .iter()
            .find(|v| v.level > Level::Nominal && v.monotonic_ns > known_ns);
        assert!(late.is_none(), "{late:#?}");
        assert_calm(rig, "bystander");
    });
}

#[test]
fn page_cache_is_not_a_leak_where_the_kernel_does_not_tell_what_is_resident() {
    each_seed(&["build", "bystander"], |rig| {
        rig.resident = false;
        // From the first reading on: what is left is not known to have moved before the second.
        rig.load("build").grows_mb = 6.0;
        rig.load("build").resident_share = 0.0;
        rig.run(700.0);
        assert_no_veto(rig);
        assert_calm(rig, "build");
        rig.load("build").resident_share = 1.0;
        rig.load("build").grows_mb = 20.0;
        rig.run(60.0);
        let told = rig.first("build", Signal::Fever, Level::Veto);
        assert!(
            told.is_some_and(|(at, verdict)| at < 745.0 && verdict.cause == Cause::Leak),
            "{told:?}"
        );
    });
}

/// MB that the model holds in its only load beside its bystander; moved to a level before each tick.
fn move_to(rig: &mut Rig, name: &str, level_mb: f64, tick_s: f64) {
    let held_mb = rig.held_mb(name);
    rig.load(name).grows_mb = (level_mb - held_mb) / tick_s;
}

#[test]
fn a_leak_of_40_mb_per_s_is_seen_within_ten_seconds() {
    each_seed(&["leaker", "bystander"], |rig| {
        rig.run(30.0);
        rig.load("leaker").grows_mb = 40.0;
        rig.run(20.0);
        let (seen, verdict) = rig.first("leaker", Signal::Fever, Level::Watch).expect("40 MB/s");
        assert!(
            seen - 30.0 <= 11.0 && verdict.cause == Cause::Leak,
            "{seen}: {verdict:#?}"
        );
        assert_veto(rig, "leaker", Signal::Fever, Cause::Leak, 30.0, 16.0);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn a_leak_of_half_a_megabyte_per_second_is_seen_in_ordinary_noise() {
    for noise_mb in [0.0, 3.0, 10.0] {
        for seed in 1..6 {
            let rig = &mut Rig::new(seed, &Config::default(), &["leaker", "bystander"]);
            let mut noise = Noise::new(rig.seed + 7);
            let mut wave_mb = 0.0;
            // Slow and quick noise around a level that rises from the second minute on.
            rig.run_with(900.0, |rig, since| {
                wave_mb += 0.2 * (noise_mb * 2.0 * (noise.uniform() - 0.5) - wave_mb);
                let quick_mb = noise_mb * (noise.uniform() - 0.5);
                let leaked_mb = 0.5 * (since - 120.0).max(0.0);
                move_to(rig, "leaker", 300.0 + leaked_mb + wave_mb + quick_mb, 1.0);
            });
            let seen = rig.first("leaker", Signal::Fever, Level::Watch);
            let seen_s = seen.map(|(at, _)| at - 120.0);
            // The first step to 300 MB is none of it.
            assert!(
                seen_s.is_some_and(|seen_s| (0.0..500.0).contains(&seen_s)),
                "noise of {noise_mb} MB: {seen_s:?}"
            );
            assert_calm(rig, "bystander");
        }
    }
}

#[test]
fn an_hour_of_sawtooth_without_a_leak_has_no_veto_and_no_forecast() {
    for (period_s, height_mb) in [
        (5.0, 100.0),
        (20.0, 300.0),
        (60.0, 300.0),
        (300.0, 400.0),
        (1200.0, 500.0),
    ] {
        for seed in 1..3 {
            let mut rig = Rig::new(seed, &Config::default(), &["collector", "bystander"]);
            let mut noise = Noise::new(seed + 31);
            let (mut base_mb, mut at_s, mut length_s) = (0.0, 0.0, period_s);
            rig.run_with(3600.0, |rig, since| {
                if since - at_s >= length_s {
                    // Floors and periods waver; what is given back is all but that.
                    base_mb = 0.1 * height_mb * noise.uniform();
                    length_s = period_s * (0.8 + 0.4 * noise.uniform());
                    at_s = since;
                }
                let risen = height_mb * (since - at_s) / period_s;
                move_to(rig, "collector", 200.0 + base_mb + risen, 1.0);
            });
            assert_no_veto(&rig);
            let foretold = rig.verdicts.iter().find(|verdict| verdict.forecast.is_some());
            assert!(foretold.is_none(), "period of {period_s} s: {foretold:#?}");
            let watches = rig
                .verdicts
                .iter()
                .filter(|verdict| verdict.level == Level::Watch)
                .count();
            assert!(
                watches <= 2,
                "period of {period_s} s: only a first rise may be watched: {:#?}",
                rig.verdicts
            );
            assert_calm(&rig, "bystander");
        }
    }
}

#[test]
fn a_leak_under_a_sawtooth_is_seen_and_its_end_foretold() {
    for (period_s, height_mb) in [(8.0, 200.0), (20.0, 400.0), (40.0, 300.0)] {
        for seed in 1..6 {
            let mut rig = Rig::new(seed, &Config::default(), &["collector", "bystander"]);
            rig.run_with(1800.0, |rig, since| {
                let leaked_mb = 2.0 * (since - 300.0).max(0.0);
                move_to(
                    rig,
                    "collector",
                    200.0 + leaked_mb + height_mb * (since % period_s) / period_s,
                    1.0,
                );
            });
            let veto = rig.first("collector", Signal::Fever, Level::Veto);
            let (at, verdict) = veto.unwrap_or_else(|| panic!("{period_s} s, seed {seed}: {:#?}", rig.verdicts));
            assert!(at > 300.0 && verdict.cause == Cause::Leak, "{verdict:#?}");
            let forecast = verdict.forecast.expect("a veto says when");
            // At 6.0 GB available before anything was held, less the reserve, the peak is the end.
            let truth_s = 300.0 + (6800.0 - 80.0 - height_mb) / 2.0 - at;
            assert!(
                (0.75..1.25).contains(&(forecast.exhaustion_s / truth_s)),
                "{forecast:?}, in truth {truth_s} s"
            );
            assert!(forecast.earliest_s <= truth_s && forecast.latest_s.is_none_or(|latest_s| latest_s >= truth_s));
        }
    }
}

#[test]
fn a_cache_that_warms_up_for_two_minutes_is_no_veto() {
    for rate in [2.0, 5.0, 10.0] {
        each_seed(&["cache", "bystander"], |rig| {
            rig.run(60.0);
            rig.load("cache").grows_mb = rate;
            rig.run(120.0);
            rig.load("cache").grows_mb = 0.0;
            rig.run(240.0);
            assert_no_veto(rig);
            assert_eq!(
                rig.level("cache", Signal::Fever),
                Level::Nominal,
                "{rate} MB/s: it is full"
            );
            assert_calm(rig, "bystander");
        });
    }
}

#[test]
fn forecasts_are_scored_and_the_score_is_published() {
    let mut rig = Rig::new(3, &Config::default(), &["leaker", "bystander"]);
    rig.run(30.0);
    rig.load("leaker").grows_mb = 20.0;
    rig.run(300.0);
    let config = JudgeConfig {
        every_tick: true,
        ..JudgeConfig::from(&Config::default())
    };
    let mut judge = Judge::new(config, origin().into());
    let mut verdicts = Vec::new();
    for sample in &rig.samples {
        judge.observe(sample, &mut verdicts);
    }
    let mut scores = verdicts.iter().filter_map(|verdict| verdict.forecast?.score);
    let score = scores.next_back().expect("a leak that was seen for four minutes");
    assert!(score.scored >= 3 && score.made >= score.scored, "{score:?}");
    assert!(
        score.inside_share >= 0.7 && score.median_error_share <= 0.25,
        "{score:?}"
    );
}
