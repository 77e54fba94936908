//! Contract: the judge of run-queue waits, without a kernel. Each load is shown with twenty seeds.

use std::time::Duration;

use sentinel::{
    config::Config,
    judge::{
        Judge, JudgeConfig,
        verdict::{Cause, Level, Signal},
    },
};

use sentinel_tests::{
    judging::{SEEDS, assert_calm, assert_no_veto, assert_veto, busy, each_seed, ticks},
    synthetic::{Load, Noise, Rig, origin},
};

#[test]
fn a_clean_load_step_raises_no_veto() {
    each_seed(&["web", "bystander"], |rig| {
        rig.load("web").light_cpus = 0.4;
        rig.load("web").wakeups_per_s = 400.0;
        rig.run(60.0);
        rig.load("web").light_cpus = 1.7;
        rig.load("web").wakeups_per_s = 1700.0;
        rig.run(60.0);
        assert_no_veto(rig);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn one_or_two_busy_tasks_on_two_cpus_are_full_but_not_crowded() {
    for tasks in [1.0, 2.0] {
        each_seed(&["worker", "bystander"], |rig| {
            rig.run(20.0);
            rig.load("worker").busy_tasks = tasks;
            rig.run(60.0);
            assert_no_veto(rig);
            assert_calm(rig, "bystander");
        });
    }
}

#[test]
fn four_busy_tasks_on_two_cpus_are_thrash_within_three_seconds() {
    each_seed(&["worker", "bystander"], |rig| {
        rig.run(20.0);
        rig.load("worker").busy_tasks = 4.0;
        rig.run(10.0);
        assert_veto(rig, "worker", Signal::Jitter, Cause::Thrash, 20.0, 3.0);
        assert_calm(rig, "bystander");
        let (_, host) = rig.first("host", Signal::Jitter, Level::Watch).expect("it is watched");
        assert!(host.summary.contains("worker"), "{}", host.summary);
        assert!(
            rig.first("host", Signal::Jitter, Level::Veto).is_none(),
            "one page is enough"
        );
    });
}

#[test]
fn thrash_clears_within_five_seconds_of_its_end() {
    each_seed(&["worker"], |rig| {
        rig.run(20.0);
        rig.load("worker").busy_tasks = 4.0;
        rig.run(10.0);
        rig.load("worker").busy_tasks = 0.0;
        rig.run(5.0);
        assert_eq!(rig.level("worker", Signal::Jitter), Level::Nominal);
        let last = rig.verdicts.iter().rfind(|v| v.scope.name() == "worker").unwrap();
        assert_eq!((last.level, last.cause), (Level::Nominal, Cause::None));
    });
}

#[test]
fn thrash_that_was_there_from_the_start_is_found_after_the_warm_up() {
    each_seed(&["worker", "bystander"], |rig| {
        rig.load("worker").busy_tasks = 4.0;
        rig.run(10.0);
        assert_veto(rig, "worker", Signal::Jitter, Cause::Thrash, 0.0, 6.0);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn thrash_in_a_cgroup_that_has_just_appeared_needs_no_long_warm_up() {
    each_seed(&["bystander", "new"], |rig| {
        rig.cgroups[1].1 = None;
        rig.run(20.0);
        rig.cgroups[1].1 = Some(busy(4.0));
        rig.run(5.0);
        assert_veto(rig, "new", Signal::Jitter, Cause::Thrash, 20.0, 3.0);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn thrash_does_not_become_the_new_normal() {
    let mut rig = Rig::new(7, &Config::default(), &["worker"]);
    rig.run(60.0);
    rig.load("worker").busy_tasks = 4.0;
    rig.run(600.0);
    assert_eq!(rig.level("worker", Signal::Jitter), Level::Veto);
}

/// Ticks of this length, and the sensor read at ticks only or between them too.
fn paced(seed: u64, interval_ms: u64, between: bool, names: &[&str]) -> Rig {
    let mut config = ticks(interval_ms);
    if interval_ms < 1000 {
        config.network_interval = config.interval;
    }
    let mut rig = Rig::new(seed, &config, names);
    rig.sched_between = between;
    rig
}

/// The published number that says how bad it is.
fn severity(rig: &Rig, name: &str) -> f64 {
    let last = rig
        .verdicts
        .iter()
        .rfind(|v| v.scope.name() == name && v.signal == Signal::Jitter);
    last.expect("a verdict of every reading").features["severity"]
}

/// A rig that says everything at every reading.
fn talkative(seed: u64, names: &[&str]) -> Rig {
    let config = Config::default();
    let mut rig = Rig::new(seed, &config, names);
    let mut every_tick = JudgeConfig::from(&config);
    every_tick.every_tick = true;
    rig.judge = Judge::new(every_tick, origin().into());
    rig
}

#[test]
fn as_many_busy_tasks_as_cpus_are_silent_for_ten_minutes() {
    for tasks in [1.0, 2.0] {
        let mut rig = Rig::new(1, &Config::default(), &["worker", "bystander"]);
        rig.run(20.0);
        rig.load("worker").busy_tasks = tasks;
        rig.run(600.0);
        assert!(rig.verdicts.is_empty(), "{:#?}", rig.verdicts);
    }
}

#[test]
fn three_busy_tasks_are_flagged_within_five_seconds_and_more_within_two() {
    for (tasks, within_s) in [(3.0, 5.0), (4.0, 2.0), (8.0, 2.0), (16.0, 2.0)] {
        for between in [true, false] {
            for seed in SEEDS {
                let mut rig = paced(seed, 1000, between, &["worker", "bystander"]);
                rig.run(20.0);
                rig.load("worker").busy_tasks = tasks;
                rig.run(10.0);
                assert_veto(&rig, "worker", Signal::Jitter, Cause::Thrash, 20.0, within_s);
                assert_calm(&rig, "bystander");
            }
        }
    }
}

#[test]
fn an_onset_between_two_ticks_is_found_within_two_seconds_all_the_same() {
    for offset in [0.2, 0.4, 0.6, 0.8] {
        for between in [true, false] {
            for seed in SEEDS {
                let mut rig = paced(seed, 1000, between, &["worker"]);
                rig.run(20.0 + offset);
                rig.load("worker").busy_tasks = 4.0;
                rig.run(10.0);
                assert_veto(&rig, "worker", Signal::Jitter, Cause::Thrash, 20.0 + offset, 2.0);
            }
        }
    }
}

#[test]
fn severity_is_strictly_ordered_by_the_number_of_busy_tasks() {
    for seed in SEEDS {
        let severities = [2.0, 3.0, 4.0, 8.0, 16.0].map(|tasks| {
            let mut rig = talkative(seed, &["worker"]);
            rig.run(10.0);
            rig.load("worker").busy_tasks = tasks;
            rig.run(5.0);
            severity(&rig, "worker")
        });
        assert!(severities.is_sorted_by(|a, b| a < b), "{severities:?}");
        assert!(
            severities[0] < 0.05 && severities.iter().all(|one| (0.0..1.0).contains(one)),
            "{severities:?}"
        );
        assert!((severities[2] - 0.5).abs() < 0.05, "1 - CPUs / tasks: {severities:?}");
    }
}

#[test]
fn thrash_between_10_and_95_percent_under_nominal_mean_load_is_seen_within_two_seconds_and_clears_within_five() {
    for (period_ms, between) in [
        (400, true),
        (800, true),
        (2000, true),
        (400, false),
        (800, false),
        (2000, false),
    ] {
        for seed in SEEDS {
            let mut rig = paced(seed, 1000, between, &["worker", "bystander"]);
            rig.load("worker").light_cpus = 0.2;
            rig.load("worker").wakeups_per_s = 100.0;
            rig.run(30.0);
            rig.run_within(20.0, |rig, since| {
                let burst = (since * 1e3).round() as u64 % period_ms < period_ms / 2;
                let load = rig.load("worker");
                (load.busy_tasks, load.light_cpus) = if burst { (8.0, 0.0) } else { (0.0, 0.2) };
            });
            assert_veto(&rig, "worker", Signal::Jitter, Cause::Thrash, 30.0, 2.0);
            assert_eq!(rig.level("worker", Signal::Jitter), Level::Veto, "as long as it lasts");
            rig.load("worker").busy_tasks = 0.0;
            rig.run(5.0);
            assert_eq!(rig.level("worker", Signal::Jitter), Level::Nominal);
            assert_calm(&rig, "bystander");
        }
    }
}

#[test]
fn a_first_sample_of_zero_raises_nothing() {
    each_seed(&["service", "bystander"], |rig| {
        *rig.load("service") = Load::default();
        rig.run(3.0);
        rig.load("service").light_cpus = 1.2;
        rig.load("service").wakeups_per_s = 1200.0;
        rig.run(60.0);
        assert!(rig.verdicts.is_empty(), "{:#?}", rig.verdicts);
    });
}

#[test]
fn a_job_that_fills_the_cpus_for_a_while_is_not_a_fault() {
    for seconds in [10.0, 30.0, 60.0] {
        for seed in 1..6 {
            let rig = &mut Rig::new(seed, &Config::default(), &["cron", "bystander"]);
            let mut noise = Noise::new(rig.seed + 7);
            rig.run(60.0);
            for _ in 0..3 {
                // As many tasks as CPUs, now and then one or two more for a moment.
                rig.run_within(seconds, |rig, _| {
                    let more = match noise.uniform() {
                        u if u < 0.05 => 2.0,
                        u if u < 0.2 => 1.0,
                        _ => 0.0,
                    };
                    rig.load("cron").busy_tasks = 2.0 + more;
                });
                rig.load("cron").busy_tasks = 0.0;
                rig.run(120.0);
            }
            assert_no_veto(rig);
            assert_calm(rig, "bystander");
        }
    }
}

#[test]
fn a_build_with_as_many_jobs_as_cpus_is_ordinary_work() {
    each_seed(&["build", "bystander"], |rig| {
        let mut noise = Noise::new(rig.seed + 8);
        rig.run(20.0);
        rig.run_within(120.0, |rig, _| {
            let load = rig.load("build");
            // Compilers, and beside them shells, assemblers and linkers that come and go.
            load.busy_tasks = 1.6 + 0.5 * noise.factor();
            load.light_cpus = 0.2;
            load.wakeups_per_s = 250.0;
        });
        assert_no_veto(rig);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn a_daily_rhythm_raises_no_veto() {
    for seed in [1, 2] {
        let config = Config {
            interval: Duration::from_secs(10),
            network_interval: Duration::from_secs(10),
            ..Config::default()
        };
        let mut rig = Rig::new(seed, &config, &["shop", "bystander"]);
        rig.run_with(2.0 * 86_400.0, |rig, since| {
            let of_day = since / 86_400.0 * std::f64::consts::TAU;
            let load = rig.load("shop");
            load.light_cpus = 0.9 - 0.7 * of_day.cos();
            load.wakeups_per_s = 1000.0 * load.light_cpus;
            rig.samples.clear();
        });
        assert_no_veto(&rig);
        assert_calm(&rig, "bystander");
    }
}

#[test]
fn saturated_but_perfectly_steady_is_not_healthy() {
    let mut rig = Rig::new(1, &Config::default(), &["worker"]);
    rig.load("worker").busy_tasks = 6.0;
    rig.run(2.0);
    // The same numbers in every sample, from the first one on.
    let sample = rig.samples.iter().find(|s| s.elapsed.mem_ns.is_some()).unwrap().clone();
    let mut judge = Judge::new(JudgeConfig::from(&Config::default()), origin().into());
    let mut verdicts = Vec::new();
    for second in 1..=600_u64 {
        let mut constant = sample.clone();
        constant.now.monotonic_ns = second * 1_000_000_000;
        constant.now.unix_ms = second as i64 * 1000;
        constant.elapsed.sched_ns = Some(200_000_000);
        judge.observe(&constant, &mut verdicts);
    }
    let state = judge
        .states()
        .find(|s| s.scope.name() == "worker" && s.signal == Signal::Jitter);
    assert_eq!(state.map(|s| s.level), Some(Level::Veto), "{verdicts:#?}");
}

#[test]
fn a_series_that_never_moved_does_not_score_infinite() {
    let mut rig = talkative(1, &["worker"]);
    *rig.load("worker") = Load::default();
    rig.run(120.0);
    rig.load("worker").busy_tasks = 2.2;
    rig.run(5.0);
    let scores = rig.verdicts.iter().filter(|v| v.signal == Signal::Jitter);
    for verdict in scores {
        assert!(verdict.sigma.is_none_or(f64::is_finite), "{verdict:#?}");
        assert!(verdict.rarity.is_none_or(|rarity| rarity <= 12.0), "{verdict:#?}");
    }
    assert_no_veto(&rig);
}

#[test]
fn what_is_wrong_for_80_percent_of_the_time_does_not_become_the_new_normal() {
    for between in [true, false] {
        let mut rig = paced(5, 1000, between, &["worker"]);
        rig.run(60.0);
        let wrong = |rig: &mut Rig, since: f64| {
            rig.load("worker").busy_tasks = if since % 10.0 < 8.0 { 6.0 } else { 0.0 };
        };
        rig.run_with(3600.0, wrong);
        rig.load("worker").busy_tasks = 0.0;
        rig.run(120.0);
        assert_eq!(rig.level("worker", Signal::Jitter), Level::Nominal);
        let onset = rig.seconds();
        let before = rig.verdicts.len();
        rig.load("worker").busy_tasks = 6.0;
        rig.run(3.0);
        let again = rig.verdicts[before..].iter().find(|v| v.level == Level::Veto);
        let again = again.unwrap_or_else(|| panic!("not seen again: {:#?}", &rig.verdicts[before..]));
        assert!(again.monotonic_ns as f64 / 1e9 - 5000.0 - onset <= 2.0);
        let baseline = again.baseline.expect("an hour of past");
        assert!(baseline.mean < 1.0, "learned from the fault: {baseline:?}");
    }
}

#[test]
fn verdicts_do_not_depend_on_how_often_the_sensor_is_read() {
    for (interval_ms, between) in [
        (100, true),
        (250, true),
        (1000, true),
        (1000, false),
        (5000, true),
        (5000, false),
        (10_000, true),
        (10_000, false),
    ] {
        for seed in 1..6 {
            let mut rig = paced(seed, interval_ms, between, &["worker", "bystander"]);
            rig.run(200.0);
            assert!(rig.verdicts.is_empty(), "{interval_ms} {between}: {:#?}", rig.verdicts);
            rig.load("worker").busy_tasks = 4.0;
            rig.run(60.0);
            let reading_s = if between { 0.2 } else { interval_ms as f64 / 1e3 };
            assert_veto(
                &rig,
                "worker",
                Signal::Jitter,
                Cause::Thrash,
                200.0,
                (1.0 + 2.0 * reading_s).max(2.0),
            );
            let verdict = rig.first("worker", Signal::Jitter, Level::Veto).unwrap().1;
            let waiting = verdict.features["waiting_ms_per_s"];
            assert!(
                (1600.0..2400.0).contains(&waiting),
                "{interval_ms} {between}: {waiting}"
            );
            rig.load("worker").busy_tasks = 0.0;
            rig.run(30.0);
            assert_eq!(
                rig.level("worker", Signal::Jitter),
                Level::Nominal,
                "{interval_ms} {between}"
            );
            assert_calm(&rig, "bystander");
        }
    }
}
