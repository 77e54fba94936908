//! Contract: storms and overload of a gateway modelled request by request, from samples to verdicts, without a kernel. Each
//! is shown to the judge with twenty seeds, and every reading is judged aloud; the bystander is left alone.

use std::{sync::Arc, time::Duration};

use sentinel::{
    config::Config,
    judge::{
        Judge, JudgeConfig,
        verdict::{Cause, Level, Phase, Signal},
    },
    sense::sample::{Elapsed, Net, Sample, Scope, ScopeKind, ScopeSample},
    time::Now,
};
use sentinel_tests::{
    judging::{assert_at_most, assert_calm, assert_veto},
    queueing::Shop,
    shops::{FEW, USUAL, each_shop, later, said, shop, shop_rig, shops, trigger},
    synthetic::origin,
};

const SIGNAL: Signal = Signal::Amplification;

#[test]
fn a_back_end_that_dies_is_a_storm_within_a_second() {
    each_shop(USUAL, |rig| {
        rig.run(40.0);
        shop(rig).is_dead = true;
        rig.run(6.0);
        assert_veto(rig, "shop", SIGNAL, Cause::RetryStorm, 40.0, 0.8);
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
        assert_veto(rig, "shop", SIGNAL, Cause::RetryStorm, 40.0, 1.8);
    });
}

#[test]
fn one_retry_for_each_request_is_a_storm_too() {
    each_shop(Shop { attempts: 2, ..USUAL }, |rig| {
        rig.run(40.0);
        shop(rig).is_dead = true;
        rig.run(6.0);
        assert_veto(rig, "shop", SIGNAL, Cause::RetryStorm, 40.0, 1.0);
    });
}

#[test]
fn a_mild_storm_of_1_4_is_seen_by_what_the_scope_is_used_to() {
    each_shop(USUAL, |rig| {
        rig.run(120.0);
        // Each failed attempt is followed by another: 1 / (1 - 0.286) = 1.4.
        shop(rig).flaky = 0.286;
        rig.run(20.0);
        assert_veto(rig, "shop", SIGNAL, Cause::RetryStorm, 120.0, 4.0);
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
        for seed in 1..3 {
            let mut rig = shop_rig(seed, USUAL, &config);
            rig.run(300.0);
            assert_calm(&rig, "shop");
            shop(&mut rig).is_dead = true;
            rig.run(60.0);
            assert_veto(&rig, "shop", SIGNAL, Cause::RetryStorm, 300.0, 1.0 + slack);
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

/// A judge that knows nothing yet comes into an overload: each of 100 requests per second is tried four times and given up.
/// `late`: answers per second that the back end gives to those who are gone; `None` where it runs elsewhere.
fn comes_into(late: Option<u64>) -> (Level, Option<f64>) {
    const READING_NS: u64 = 200_000_000;
    let scope = |path: &str, cgroup_id| {
        Arc::new(Scope {
            kind: ScopeKind::Cgroup,
            path: path.to_owned(),
            cgroup_id,
            ..Scope::default()
        })
    };
    let (shop, stock) = (scope("/shop", 1), scope("/stock", 2));
    let mut judge = Judge::new(JudgeConfig::from(&Config::default()), Arc::new(origin()));
    let mut verdicts = Vec::new();
    for reading in 1..=150u64 {
        let asks = Net {
            accepts: 20,
            accepted_turns_in: 20,
            accepted_first_turns: 20,
            connect_attempts: 80,
            connects: 80,
            opened_turns_out: 80,
            opened_first_turns: 80,
            given_up: 79,
            ..Net::default()
        };
        let serves = late.map(|late| Net {
            accepts: 80,
            accepted_turns_in: 80,
            accepted_first_turns: 80,
            accepted_turns_out: late / 5,
            resets_in: late / 5,
            ..Net::default()
        });
        let part = |scope: &Arc<Scope>, net| ScopeSample {
            scope: Arc::clone(scope),
            net: Some(net),
            ..ScopeSample::default()
        };
        let scopes = [part(&shop, asks)].into_iter();
        let sample = Sample {
            now: Now {
                unix_ms: (reading * 200) as i64,
                monotonic_ns: 1_000_000_000_000 + reading * READING_NS,
            },
            elapsed: Elapsed {
                net_ns: Some(READING_NS),
                ..Elapsed::default()
            },
            scopes: scopes.chain(serves.map(|net| part(&stock, net))).collect(),
            ..Sample::default()
        };
        judge.observe(&sample, &mut verdicts);
    }
    let veto = verdicts.iter().find(|verdict| verdict.level == Level::Veto);
    assert!(veto.is_none_or(|veto| (veto.scope.path.as_str(), veto.cause) == ("/shop", Cause::RetryStorm)));
    let after_s = |at_ns: u64| (at_ns - 1_000_000_000_000) as f64 / 1e9;
    let last = judge.level_of(1, SIGNAL).expect("it is watched");
    (last, veto.map(|veto| after_s(veto.monotonic_ns)))
}

#[test]
fn an_overload_that_was_there_before_the_agent_shows_in_a_back_end_that_answers_those_who_are_gone() {
    let (level, veto_s) = comes_into(Some(200));
    assert!(veto_s.is_some_and(|after_s| after_s <= 2.0), "{veto_s:?}");
    assert_eq!(level, Level::Veto, "half a minute of it is not the usual");
}

#[test]
fn who_always_asked_for_no_answer_is_in_no_storm() {
    assert_eq!(comes_into(Some(0)).1, None, "the back end gives none");
    assert_eq!(comes_into(None).1, None, "what the back end does is not seen");
}
