//! Contract: amplification by the load of a scope, from samples to verdicts, without a kernel. Each load is shown to the
//! judge with twenty seeds; every test of a fault also asserts that the bystander is left alone.

use sentinel::{
    config::Config,
    judge::{
        Judge, JudgeConfig,
        verdict::{Cause, Level, Phase, Signal},
    },
    sense::sample::Destination,
};
use sentinel_tests::{
    judging::{assert_at_most, assert_calm, assert_veto, each_seed, gateway},
    synthetic::{Load, Rig, origin},
};

const SIGNAL: Signal = Signal::Amplification;

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
        assert_veto(rig, "proxy", SIGNAL, Cause::RetryStorm, 30.0, 1.0);
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
        assert_veto(rig, "proxy", SIGNAL, Cause::RetryStorm, 30.0, 3.0);
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
fn a_dozen_refused_attempts_of_who_waits_for_a_server_are_no_storm() {
    each_seed(&["shell", "bystander"], |rig| {
        *rig.load("shell") = gateway(3.0, 3.0, 0.0);
        rig.run(300.0);
        *rig.load("shell") = gateway(3.0, 20.0, 0.7);
        rig.run(0.6);
        *rig.load("shell") = gateway(3.0, 3.0, 0.0);
        rig.run(10.0);
        assert_at_most(rig, "shell", Level::Watch);
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
        assert_veto(rig, "proxy", SIGNAL, Cause::RetryStorm, 60.0, 4.0);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn a_storm_from_the_very_start_needs_no_baseline() {
    each_seed(&["proxy"], |rig| {
        *rig.load("proxy") = gateway(100.0, 400.0, 1.0);
        rig.run(5.0);
        assert_veto(rig, "proxy", SIGNAL, Cause::RetryStorm, 0.0, 2.0);
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
        assert_veto(rig, "failing", SIGNAL, Cause::RetryStorm, 30.0, 3.0);
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
        assert_veto(rig, "flooder", SIGNAL, Cause::Flood, 30.0, 6.0);
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
