//! Contract: amplification, from samples to verdicts, without a kernel. Each load is shown to the judge with twenty seeds;
//! every test of a fault also asserts that the bystander is left alone.

use std::time::Duration;

use sentinel::{
    config::Config,
    judge::{
        Judge, JudgeConfig, Verdict,
        verdict::{Cause, Level, Phase, Signal},
    },
    sense::sample::Destination,
};
use sentinel_tests::{
    queueing::{Overload, Shop},
    synthetic::{Load, Rig, origin},
};

const SEEDS: std::ops::Range<u64> = 1..21;
const SIGNAL: Signal = Signal::Amplification;

fn each_seed(names: &[&str], test: impl Fn(&mut Rig)) {
    for seed in SEEDS {
        let mut rig = Rig::new(seed, &Config::default(), names);
        test(&mut rig);
    }
}

/// Fewer, for runs of many minutes.
const FEW: std::ops::Range<u64> = 1..6;

/// A gateway `shop` in front of a back end, beside a bystander; every reading is judged aloud.
fn each_shop(shop: Shop, test: impl Fn(&mut Rig)) {
    shops(SEEDS, shop, test);
}

fn shops(seeds: std::ops::Range<u64>, shop: Shop, test: impl Fn(&mut Rig)) {
    for seed in seeds {
        let mut rig = shop_rig(seed, shop, &Config::default());
        test(&mut rig);
        assert_calm(&rig, "bystander");
    }
}

fn shop_rig(seed: u64, shop: Shop, config: &Config) -> Rig {
    let mut rig = Rig::new(seed, config, &["shop", "bystander"]);
    let mut aloud = JudgeConfig::from(config);
    aloud.every_tick = true;
    rig.judge = Judge::new(aloud, origin().into());
    rig.shops.insert("shop".to_owned(), Overload::new(shop, seed));
    rig
}

fn shop(rig: &mut Rig) -> &mut Shop {
    &mut rig.shops.get_mut("shop").expect("a shop").shop
}

fn said<'a>(rig: &'a Rig, name: &'a str) -> impl Iterator<Item = &'a Verdict> {
    rig.verdicts
        .iter()
        .filter(move |verdict| verdict.scope.name() == name && verdict.signal == SIGNAL)
}

/// What was said of the shop after `from` seconds of the run.
fn later(rig: &Rig, from: f64) -> impl Iterator<Item = (f64, &Verdict)> {
    let begin_ns = rig.samples[0].now.monotonic_ns - rig.samples[0].elapsed.net_ns.unwrap_or(0);
    said(rig, "shop")
        .map(move |verdict| ((verdict.monotonic_ns - begin_ns) as f64 / 1e9, verdict))
        .filter(move |(at, _)| *at > from)
}

/// Seconds from `onset` to the first veto of this signal, and its cause.
fn veto(rig: &Rig, name: &str, onset: f64) -> (f64, Cause) {
    let (at, verdict) = rig
        .first(name, SIGNAL, Level::Veto)
        .unwrap_or_else(|| panic!("no veto for {name}, seed {}: {:#?}", rig.seed, said(rig, name).last()));
    (at - onset, verdict.cause)
}

fn assert_veto(rig: &Rig, name: &str, cause: Cause, onset: f64, within_s: f64) {
    let found = veto(rig, name, onset);
    assert!(
        (0.0..=within_s).contains(&found.0) && found.1 == cause,
        "{name}, seed {}: {found:?}",
        rig.seed
    );
}

/// The worst level of every scope but for warm-up.
fn assert_calm(rig: &Rig, name: &str) {
    assert_at_most(rig, name, Level::Nominal);
}

fn assert_at_most(rig: &Rig, name: &str, level: Level) {
    let over = rig
        .verdicts
        .iter()
        .find(|verdict| verdict.scope.name() == name && verdict.level > level);
    assert!(over.is_none(), "{name}, seed {}: {over:#?}", rig.seed);
}

fn gateway(asked: f64, asks: f64, refused: f64) -> Load {
    Load {
        asked,
        asks,
        refused,
        light_cpus: 0.1,
        wakeups_per_s: 200.0,
        ..Load::idle()
    }
}

#[test]
fn a_file_server_at_1_3_is_no_storm() {
    each_seed(&["files", "bystander"], |rig| {
        rig.load("files").asked = 200.0;
        rig.load("files").packets_out = 13_000.0;
        rig.load("files").packets_in = 10_000.0;
        rig.run(120.0);
        assert_calm(rig, "files");
        assert_calm(rig, "bystander");
    });
}

#[test]
fn a_retry_storm_is_vetoed_within_two_seconds() {
    each_seed(&["proxy", "bystander"], |rig| {
        *rig.load("proxy") = gateway(200.0, 200.0, 0.0);
        rig.run(30.0);
        *rig.load("proxy") = gateway(200.0, 800.0, 0.95);
        rig.run(10.0);
        assert_veto(rig, "proxy", Cause::RetryStorm, 30.0, 1.0);
        let verdict = rig.first("proxy", SIGNAL, Level::Veto).unwrap().1;
        assert_eq!(verdict.phase, Some(Phase::Amplifying));
        assert!(verdict.features["connect_failures_per_s"] > 100.0);
        assert_calm(rig, "bystander");
        *rig.load("proxy") = gateway(200.0, 200.0, 0.0);
        rig.run(6.0);
        assert_eq!(rig.level("proxy", SIGNAL), Level::Nominal);
    });
}

#[test]
fn a_storm_against_a_slow_back_end_shows_in_answers_that_do_not_come() {
    each_seed(&["proxy", "bystander"], |rig| {
        *rig.load("proxy") = gateway(200.0, 200.0, 0.0);
        rig.run(30.0);
        *rig.load("proxy") = gateway(200.0, 600.0, 0.0);
        rig.load("proxy").unanswered = 0.9;
        rig.run(10.0);
        assert_veto(rig, "proxy", Cause::RetryStorm, 30.0, 3.0);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn a_fan_out_whose_first_answers_take_a_second_is_no_storm() {
    each_seed(&["gateway", "bystander"], |rig| {
        rig.run(30.0);
        *rig.load("gateway") = gateway(100.0, 300.0, 0.0);
        rig.load("gateway").unanswered = 1.0;
        rig.run(1.0);
        rig.load("gateway").unanswered = 0.0;
        rig.run(30.0);
        for (scope, _) in &rig.cgroups {
            assert_at_most(rig, scope.name(), Level::Watch);
        }
        assert_calm(rig, "bystander");
    });
}

#[test]
fn a_mild_storm_needs_the_baseline_and_is_still_seen() {
    each_seed(&["proxy", "bystander"], |rig| {
        *rig.load("proxy") = gateway(200.0, 200.0, 0.0);
        rig.run(60.0);
        *rig.load("proxy") = gateway(200.0, 320.0, 0.4);
        rig.run(10.0);
        assert_veto(rig, "proxy", Cause::RetryStorm, 60.0, 4.0);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn a_storm_from_the_very_start_needs_no_baseline() {
    each_seed(&["proxy"], |rig| {
        *rig.load("proxy") = gateway(100.0, 400.0, 1.0);
        rig.run(5.0);
        assert_veto(rig, "proxy", Cause::RetryStorm, 0.0, 2.0);
    });
}

#[test]
fn a_steady_fan_out_gateway_is_learned_and_left_alone() {
    each_seed(&["gateway"], |rig| {
        *rig.load("gateway") = gateway(100.0, 300.0, 0.01);
        rig.run(120.0);
        for (scope, _) in &rig.cgroups {
            assert_at_most(rig, scope.name(), Level::Watch);
        }
        assert_eq!(rig.level("gateway", SIGNAL), Level::Nominal);
        let mut watched = rig.verdicts.iter().filter(|v| v.level == Level::Watch);
        assert!(watched.all(|v| v.cause == Cause::FanOut));
    });
}

#[test]
fn a_client_that_nobody_asks_is_judged_by_its_failures_alone() {
    each_seed(&["healthy", "failing", "bystander"], |rig| {
        *rig.load("healthy") = gateway(0.0, 500.0, 0.0);
        *rig.load("failing") = gateway(0.0, 500.0, 0.0);
        rig.run(30.0);
        rig.load("failing").refused = 0.9;
        rig.run(10.0);
        assert_veto(rig, "failing", Cause::RetryStorm, 30.0, 3.0);
        assert_calm(rig, "healthy");
        assert_calm(rig, "bystander");
    });
}

#[test]
fn a_sender_that_receives_nothing_is_a_flood() {
    each_seed(&["flooder", "bystander"], |rig| {
        rig.run(30.0);
        rig.load("flooder").packets_out = 5_000.0;
        rig.run(10.0);
        assert_veto(rig, "flooder", Cause::Flood, 30.0, 6.0);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn one_way_traffic_that_was_always_there_is_no_flood() {
    each_seed(&["video"], |rig| {
        rig.load("video").packets_out = 3_000.0;
        rig.run(120.0);
        for (scope, _) in &rig.cgroups {
            assert_at_most(rig, scope.name(), Level::Watch);
        }
        assert_eq!(rig.level("video", SIGNAL), Level::Nominal);
    });
}

#[test]
fn overload_that_outlives_its_trigger_is_metastable() {
    each_seed(&["proxy"], |rig| {
        *rig.load("proxy") = gateway(200.0, 200.0, 0.0);
        rig.run(30.0);
        *rig.load("proxy") = gateway(600.0, 2400.0, 0.95);
        rig.run(5.0);
        *rig.load("proxy") = gateway(200.0, 800.0, 0.95);
        rig.run(6.0);
        assert_eq!(rig.level("proxy", SIGNAL), Level::Veto);
        *rig.load("proxy") = gateway(200.0, 200.0, 0.0);
        rig.run(8.0);
        let (_, verdict) = rig.first("proxy", SIGNAL, Level::Veto).unwrap();
        assert_eq!(verdict.phase, Some(Phase::Amplifying));
        let last = rig.verdicts.last().unwrap();
        assert_eq!(last.level, Level::Nominal);
        assert!(matches!(last.phase, Some(Phase::Recovering | Phase::Healthy)));
    });
}

/// As it is usually: a little fails and is tried again.
const USUAL: Shop = Shop {
    load_per_s: 300.0,
    capacity_per_s: 1000.0,
    queue: usize::MAX,
    is_dead: false,
    latency_ms: 5,
    timeout_ms: 200,
    attempts: 4,
    fan_out: 1,
    flaky: 0.005,
    poisoned: 0.0,
};

#[test]
fn a_back_end_that_dies_is_a_storm_within_a_second() {
    each_shop(USUAL, |rig| {
        rig.run(40.0);
        shop(rig).is_dead = true;
        rig.run(6.0);
        assert_veto(rig, "shop", Cause::RetryStorm, 40.0, 0.8);
        shop(rig).is_dead = false;
        rig.run(8.0);
        assert_eq!(rig.level("shop", SIGNAL), Level::Nominal);
    });
}

#[test]
fn a_back_end_that_stalls_is_told_from_slow_first_answers_after_little_more_than_a_second() {
    each_shop(USUAL, |rig| {
        rig.run(40.0);
        shop(rig).capacity_per_s = 0.0;
        rig.run(6.0);
        assert_veto(rig, "shop", Cause::RetryStorm, 40.0, 1.8);
    });
}

#[test]
fn one_retry_for_each_request_is_a_storm_too() {
    each_shop(Shop { attempts: 2, ..USUAL }, |rig| {
        rig.run(40.0);
        shop(rig).is_dead = true;
        rig.run(6.0);
        assert_veto(rig, "shop", Cause::RetryStorm, 40.0, 1.0);
    });
}

#[test]
fn a_mild_storm_of_1_4_is_seen_by_what_the_scope_is_used_to() {
    each_shop(USUAL, |rig| {
        rig.run(120.0);
        // Each failed attempt is followed by another: 1 / (1 - 0.286) = 1.4.
        shop(rig).flaky = 0.286;
        rig.run(20.0);
        assert_veto(rig, "shop", Cause::RetryStorm, 120.0, 4.0);
        let (_, verdict) = rig.first("shop", SIGNAL, Level::Veto).unwrap();
        assert!((1.25..1.55).contains(&verdict.value.unwrap()), "{verdict:#?}");
    });
}

#[test]
fn failures_of_half_a_percent_to_two_with_retries_are_no_storm() {
    for share in [0.005, 0.01, 0.02] {
        shops(FEW, Shop { flaky: share, ..USUAL }, |rig| {
            rig.run(300.0);
            assert_calm(rig, "shop");
        });
    }
}

#[test]
fn a_step_of_the_requests_with_proportional_work_out_is_no_verdict() {
    for fan_out in [1, 3] {
        each_shop(
            Shop {
                fan_out,
                load_per_s: 60.0,
                ..USUAL
            },
            |rig| {
                rig.run(60.0);
                shop(rig).load_per_s = 240.0;
                rig.run(60.0);
                shop(rig).load_per_s = 60.0;
                rig.run(30.0);
                assert_calm(rig, "shop");
            },
        );
    }
}

#[test]
fn slow_back_ends_are_no_storm_also_when_the_requests_step_up() {
    for latency_ms in [1000, 3000] {
        let slow = Shop {
            latency_ms,
            timeout_ms: 10_000,
            fan_out: 2,
            ..USUAL
        };
        each_shop(slow, |rig| {
            rig.run(60.0);
            shop(rig).load_per_s = 450.0;
            rig.run(60.0);
            assert_calm(rig, "shop");
        });
    }
}

#[test]
fn a_release_that_asks_four_times_as_much_is_watched_accepted_and_never_vetoed() {
    shops(
        FEW,
        Shop {
            load_per_s: 100.0,
            ..USUAL
        },
        |rig| {
            rig.run(120.0);
            shop(rig).fan_out = 4;
            rig.run(5.0);
            let (at, verdict) = rig.first("shop", SIGNAL, Level::Watch).expect("it is watched");
            assert!(at <= 124.0 && verdict.cause == Cause::FanOut, "{at}: {verdict:#?}");
            rig.run(1500.0);
            assert_at_most(rig, "shop", Level::Watch);
            assert_eq!(rig.level("shop", SIGNAL), Level::Nominal, "it is the new usual");
            let changes = said(rig, "shop").filter(|v| v.level != v.previous && v.previous != Level::Unknown);
            assert!(changes.count() <= 2, "said once, and once that it is over");
        },
    );
}

#[test]
fn a_release_whose_first_answers_take_a_second_is_never_vetoed() {
    each_shop(
        Shop {
            load_per_s: 100.0,
            timeout_ms: 5000,
            ..USUAL
        },
        |rig| {
            rig.run(120.0);
            (shop(rig).fan_out, shop(rig).latency_ms) = (4, 1000);
            rig.run(60.0);
            assert_at_most(rig, "shop", Level::Watch);
        },
    );
}

#[test]
fn a_storm_that_grows_slowly_does_not_become_the_usual() {
    shops(FEW, USUAL, |rig| {
        rig.run(120.0);
        rig.run_with(600.0, |rig, since| shop(rig).flaky = 0.005 + 0.7 * since / 600.0);
        let (at, verdict) = rig.first("shop", SIGNAL, Level::Veto).expect("a storm");
        assert_eq!(verdict.cause, Cause::RetryStorm);
        assert!(verdict.value.unwrap() < 1.5, "{at}: {verdict:#?}");
        let baseline = said(rig, "shop").last().unwrap().baseline.unwrap();
        assert!(baseline.mean < 1.1, "{baseline:?}");
        rig.run(600.0);
        assert_eq!(rig.level("shop", SIGNAL), Level::Veto, "and it stays one");
    });
}

#[test]
fn a_gateway_one_of_whose_back_ends_always_refuses_is_learned() {
    shops(
        FEW,
        Shop {
            fan_out: 3,
            flaky: 0.25,
            attempts: 1,
            ..USUAL
        },
        |rig| {
            rig.run(300.0);
            assert_at_most(rig, "shop", Level::Watch);
            let last = said(rig, "shop").last().unwrap();
            assert_eq!(last.level, Level::Nominal, "{last:#?}");
        },
    );
}

#[test]
fn a_fan_out_whose_back_ends_die_and_that_does_not_retry_is_no_storm() {
    each_shop(
        Shop {
            fan_out: 3,
            attempts: 1,
            load_per_s: 100.0,
            ..USUAL
        },
        |rig| {
            rig.run(60.0);
            shop(rig).is_dead = true;
            rig.run(20.0);
            assert_at_most(rig, "shop", Level::Watch);
            let last = said(rig, "shop").last().unwrap();
            assert_eq!(last.phase, Some(Phase::Overloaded));
        },
    );
}

#[test]
fn metrics_that_nobody_answers_are_no_storm_and_no_flood_when_there_are_more_of_them() {
    each_seed(&["metrics", "bystander"], |rig| {
        *rig.load("metrics") = Load {
            packets_out: 2_000.0,
            ..gateway(10.0, 200.0, 0.0)
        };
        rig.load("metrics").unanswered = 1.0;
        rig.run(120.0);
        rig.load("metrics").asked = 40.0;
        rig.load("metrics").asks = 900.0;
        rig.load("metrics").packets_out = 9_000.0;
        rig.run(60.0);
        assert_at_most(rig, "metrics", Level::Watch);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn video_that_always_went_one_way_may_become_more() {
    for rate in [3_000.0, 30_000.0] {
        each_seed(&["video", "bystander"], |rig| {
            rig.load("video").packets_out = rate;
            rig.run(120.0);
            rig.load("video").packets_out = 5.0 * rate;
            rig.run(60.0);
            assert_at_most(rig, "video", Level::Watch);
            assert_eq!(rig.level("video", SIGNAL), Level::Nominal);
        });
    }
}

#[test]
fn a_client_that_tries_one_place_again_and_again_is_a_storm_from_the_start_and_a_scanner_is_not() {
    for repeats in [true, false] {
        let mut rig = Rig::new(3, &Config::default(), &["client"]);
        *rig.load("client") = gateway(0.0, 300.0, 1.0);
        rig.run(1.0);
        let samples = std::mem::take(&mut rig.samples);
        let mut judge = Judge::new(JudgeConfig::from(&Config::default()), origin().into());
        let mut verdicts = Vec::new();
        let step_ns = samples[0].elapsed.net_ns.unwrap();
        for index in 0..50 {
            let mut sample = samples[0].clone();
            sample.now.monotonic_ns += index * step_ns;
            // A scan fails at a different place each time it is looked at.
            let port = if repeats { 80 } else { 80 + index as u16 };
            sample.scopes[0].worst_destination = Some(Destination {
                address: [127, 0, 0, 1].into(),
                port,
                attempts: 60 * (index + 1),
                failures: 60 * (index + 1),
            });
            judge.observe(&sample, &mut verdicts);
        }
        let veto = verdicts.iter().find(|verdict| verdict.level == Level::Veto);
        assert_eq!(veto.is_some(), repeats, "{verdicts:#?}");
        if let Some(veto) = veto {
            assert_eq!(veto.destination.map(|one| one.port), Some(80));
            assert!(veto.summary.contains("127.0.0.1:80"), "{}", veto.summary);
        }
    }
}

/// The load rises to `times` its usual for `seconds`, then is as before. Returns when that was.
fn trigger(rig: &mut Rig, times: f64, seconds: f64) -> f64 {
    let usual = shop(rig).load_per_s;
    shop(rig).load_per_s = times * usual;
    rig.run(seconds);
    shop(rig).load_per_s = usual;
    rig.seconds()
}

#[test]
fn overload_that_sustains_itself_is_metastable_within_three_seconds_of_the_trigger() {
    // 600 requests/s fit easily; 2,400 attempts/s do not.
    each_shop(
        Shop {
            load_per_s: 600.0,
            ..USUAL
        },
        |rig| {
            rig.run(60.0);
            let end = trigger(rig, 3.0, 4.0);
            rig.run(30.0);
            let metastable = later(rig, 60.0).find(|(_, verdict)| verdict.phase == Some(Phase::Metastable));
            let (at, verdict) = metastable.expect("it is metastable");
            assert!(
                (end..=end + 3.0).contains(&at),
                "seed {}: {at} s, trigger until {end}",
                rig.seed
            );
            assert_eq!(verdict.level, Level::Veto);
            assert!(verdict.summary.contains("keep it overloaded"), "{}", verdict.summary);
            let after = later(rig, end + 3.0).all(|(_, verdict)| verdict.phase == Some(Phase::Metastable));
            assert!(after, "seed {}: it stays so", rig.seed);
            // It ends when less is asked than it can answer with all retries.
            shop(rig).load_per_s = 20.0;
            rig.run(150.0);
            assert_eq!(rig.shops["shop"].backlog(), 0);
            assert_eq!(said(rig, "shop").last().unwrap().phase, Some(Phase::Healthy));
        },
    );
}

#[test]
fn overload_that_goes_with_its_trigger_is_never_called_metastable() {
    let slow_to_drain = Shop {
        load_per_s: 150.0,
        queue: 1500,
        ..USUAL
    };
    let light = Shop {
        load_per_s: 200.0,
        ..USUAL
    };
    let no_retries = Shop {
        load_per_s: 600.0,
        attempts: 1,
        ..USUAL
    };
    let bounded = Shop {
        load_per_s: 600.0,
        queue: 150,
        ..USUAL
    };
    for (usual, times, seconds) in [
        (slow_to_drain, 9.0, 2.0),
        (light, 6.0, 1.0),
        (no_retries, 2.0, 1.5),
        (bounded, 3.0, 4.0),
    ] {
        each_shop(usual, |rig| {
            rig.run(60.0);
            let end = trigger(rig, times, seconds);
            rig.run(30.0);
            let wrong = later(rig, 60.0).find(|(_, verdict)| verdict.phase == Some(Phase::Metastable));
            assert!(wrong.is_none(), "seed {}, trigger until {end}: {wrong:#?}", rig.seed);
            let settled = later(rig, end + 3.0)
                .find(|(_, verdict)| !matches!(verdict.phase, Some(Phase::Recovering | Phase::Healthy)));
            assert!(
                settled.is_none(),
                "{usual:?}, seed {}, trigger until {end} {settled:#?}",
                rig.seed
            );
            assert_eq!(rig.level("shop", SIGNAL), Level::Nominal);
        });
    }
}

#[test]
fn a_risk_that_was_measured_is_said_before_any_trigger_and_once() {
    let risky = Shop {
        load_per_s: 400.0,
        poisoned: 0.01,
        queue: 150,
        ..USUAL
    };
    shops(FEW, risky, |rig| {
        rig.run(600.0);
        assert!(
            said(rig, "shop").all(|verdict| verdict.risk.is_none()),
            "its capacity is not known"
        );
        trigger(rig, 4.0, 6.0);
        rig.run(600.0);
        let risk = said(rig, "shop").last().unwrap().risk.expect("it was measured");
        assert!(
            (850.0..1150.0).contains(&risk.capacity_per_s),
            "seed {}: {risk:?}",
            rig.seed
        );
        assert!((360.0..450.0).contains(&risk.load_per_s), "{risk:?}");
        assert!(
            (3.0..5.0).contains(&risk.attempts_per_failure),
            "seed {}: {risk:?}",
            rig.seed
        );
        let watches: Vec<_> = later(rig, 700.0)
            .filter(|(_, verdict)| verdict.level == Level::Watch && verdict.previous != Level::Watch)
            .collect();
        assert!(watches.len() <= 1, "{watches:#?}");
        let (_, last) = later(rig, 700.0).last().unwrap();
        assert_eq!(
            (last.level, last.cause, last.phase),
            (Level::Watch, Cause::RetryStorm, Some(Phase::Healthy))
        );
        assert!(
            last.summary.contains("a failure would sustain itself"),
            "{}",
            last.summary
        );
        // With a quarter of the load there is none.
        shop(rig).load_per_s = 100.0;
        rig.run(150.0);
        assert_eq!(rig.level("shop", SIGNAL), Level::Nominal);
    });
}

#[test]
fn results_do_not_depend_on_the_tick() {
    for interval_ms in [100, 250, 1000, 5000, 10_000] {
        let config = Config {
            interval: Duration::from_millis(interval_ms),
            network_interval: Duration::from_millis(interval_ms),
            ..Config::default()
        };
        let slack = 2.5 * interval_ms as f64 / 1e3;
        for seed in FEW {
            let mut rig = shop_rig(seed, USUAL, &config);
            rig.run(300.0);
            assert_calm(&rig, "shop");
            shop(&mut rig).is_dead = true;
            rig.run(60.0);
            assert_veto(&rig, "shop", Cause::RetryStorm, 300.0, 1.0 + slack);
            let alpha = said(&rig, "shop").last().unwrap().value.unwrap();
            assert!((3.8..4.2).contains(&alpha), "{interval_ms} ms: {alpha}");

            let mut rig = shop_rig(
                seed,
                Shop {
                    load_per_s: 600.0,
                    ..USUAL
                },
                &config,
            );
            rig.run(300.0);
            let end = trigger(&mut rig, 3.0, 20.0);
            rig.run(60.0);
            let metastable = later(&rig, 300.0).find(|(_, verdict)| verdict.phase == Some(Phase::Metastable));
            let at = metastable.map(|(at, _)| at);
            assert!(
                at.is_some_and(|at| (end..=end + 3.0 + slack).contains(&at)),
                "{interval_ms} ms, seed {seed}: {at:?}, trigger until {end}"
            );
            assert_calm(&rig, "bystander");
        }
    }
}

#[test]
fn missing_data_is_unknown_and_no_storm_is_forgotten() {
    each_shop(USUAL, |rig| {
        rig.run(40.0);
        shop(rig).is_dead = true;
        rig.run(5.0);
        assert_eq!(rig.level("shop", SIGNAL), Level::Veto);
        rig.net = false;
        rig.run(3.0);
        assert_eq!(rig.level("shop", SIGNAL), Level::Unknown);
        rig.net = true;
        rig.run(2.0);
        assert_eq!(rig.level("shop", SIGNAL), Level::Veto, "it is still there");
    });
}
