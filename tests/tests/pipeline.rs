//! Contract: from samples to verdicts, without a kernel. Each load is shown to the judge with twenty seeds; every test
//! of a fault also asserts that the bystander is left alone.

use sentinel::{
    config::Config,
    judge::{
        Judge, JudgeConfig, Portrait, State, Verdict,
        verdict::{Cause, Level, Signal},
    },
    sense::{
        record::{Header, Recorder},
        replay::Replay,
    },
};
use sentinel_tests::{
    judging::{SEEDS, assert_calm, assert_veto, each_seed, gateway, three_faults, ticks},
    synthetic::{Noise, Rig, origin},
};

#[test]
fn an_idle_host_warms_up_to_nominal_and_says_nothing() {
    each_seed(&["a.service", "bystander"], |rig| {
        rig.run(3.0);
        for signal in [Signal::Jitter, Signal::Fever] {
            assert_eq!(rig.level("a.service", signal), Level::Unknown);
        }
        rig.run(120.0);
        for signal in Signal::ALL {
            assert_eq!(rig.level("a.service", signal), Level::Nominal);
        }
        assert!(rig.verdicts.is_empty(), "{:#?}", rig.verdicts);
    });
}

#[test]
fn three_faults_at_once_show_as_three() {
    each_seed(&["worker", "leaker", "proxy", "bystander"], |rig| {
        *rig.load("proxy") = gateway(200.0, 200.0, 0.0);
        rig.run(30.0);
        three_faults(rig);
        rig.run(20.0);
        assert_veto(rig, "worker", Signal::Jitter, Cause::Thrash, 30.0, 3.0);
        assert_veto(rig, "proxy", Signal::Amplification, Cause::RetryStorm, 30.0, 3.0);
        assert_veto(rig, "leaker", Signal::Fever, Cause::Leak, 30.0, 20.0);
        let vetoes = rig.verdicts.iter().filter(|verdict| verdict.level == Level::Veto);
        assert_eq!(vetoes.count(), 3);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn missing_data_is_unknown_and_never_clears_or_alarms() {
    each_seed(&["worker", "bystander"], |rig| {
        rig.run(20.0);
        rig.load("worker").busy_tasks = 4.0;
        rig.run(5.0);
        assert_eq!(rig.level("worker", Signal::Jitter), Level::Veto);
        rig.sched = false;
        rig.run(3.0);
        for name in ["worker", "bystander", "host"] {
            assert_eq!(rig.level(name, Signal::Jitter), Level::Unknown, "{name}");
            assert_eq!(
                rig.level(name, Signal::Fever),
                Level::Nominal,
                "{name}: its sensor is there"
            );
        }
        let said = rig.verdicts.len();
        rig.run(30.0);
        assert_eq!(rig.verdicts.len(), said, "it is said once");
        rig.sched = true;
        rig.run(5.0);
        assert_eq!(
            rig.level("worker", Signal::Jitter),
            Level::Veto,
            "the fault is still there"
        );
        assert_eq!(rig.level("bystander", Signal::Jitter), Level::Nominal);
    });
}

#[test]
fn a_sensor_that_never_gave_data_stays_unknown_and_silent() {
    let mut rig = Rig::new(1, &Config::default(), &["worker"]);
    rig.net = false;
    rig.run(60.0);
    assert_eq!(rig.level("worker", Signal::Amplification), Level::Unknown);
    assert!(rig.verdicts.is_empty());
}

#[test]
fn a_scope_that_is_gone_takes_its_verdict_with_it() {
    let mut rig = Rig::new(1, &Config::default(), &["worker", "bystander"]);
    rig.run(20.0);
    rig.load("worker").busy_tasks = 4.0;
    rig.run(5.0);
    rig.cgroups[0].1 = None;
    rig.run(5.0);
    let last = rig.verdicts.iter().rfind(|v| v.scope.name() == "worker").unwrap();
    assert_eq!(
        (last.level, last.previous, last.cause),
        (Level::Nominal, Level::Veto, Cause::None)
    );
    assert!(rig.judge.states().all(|state| state.scope.name() != "worker"));
}

#[test]
fn rates_do_not_depend_on_the_interval() {
    for interval_ms in [100, 200, 500, 1000, 2000] {
        for seed in SEEDS {
            let mut rig = Rig::new(seed, &ticks(interval_ms), &["worker", "leaker", "proxy", "bystander"]);
            *rig.load("proxy") = gateway(200.0, 200.0, 0.0);
            rig.run(30.0);
            assert!(rig.verdicts.is_empty(), "{interval_ms} ms: {:#?}", rig.verdicts);
            three_faults(&mut rig);
            rig.run(30.0);
            let slack = 2.0 * interval_ms as f64 / 1e3;
            assert_veto(&rig, "worker", Signal::Jitter, Cause::Thrash, 30.0, 2.0 + slack);
            assert_veto(
                &rig,
                "proxy",
                Signal::Amplification,
                Cause::RetryStorm,
                30.0,
                1.0 + slack,
            );
            assert_veto(&rig, "leaker", Signal::Fever, Cause::Leak, 30.0, 16.0 + 3.0 * slack);
            let thrash = rig.first("worker", Signal::Jitter, Level::Veto).unwrap().1;
            let waiting = thrash.features["waiting_ms_per_s"];
            assert!((1900.0..2400.0).contains(&waiting), "{interval_ms} ms: {waiting} ms/s");
            let leak = rig.first("leaker", Signal::Fever, Level::Veto).unwrap().1;
            let slope = leak.features["trend_mb_per_s"];
            assert!((16.0..26.0).contains(&slope), "{interval_ms} ms: {slope} MB/s");
            assert_calm(&rig, "bystander");
        }
    }
}

/// Anything a damaged recording could hold.
fn absurd(noise: &mut Noise) -> u64 {
    match noise.count(3.0) {
        3 => u64::MAX,
        _ => 1 << noise.count(62.0),
    }
}

#[test]
fn absurd_counts_break_nothing_and_no_number_is_infinite() {
    for seed in SEEDS {
        let mut rig = Rig::new(seed, &Config::default(), &["a", "b"]);
        rig.run(20.0);
        let mut noise = Noise::new(seed);
        let mut every_tick = JudgeConfig::from(&Config::default());
        every_tick.every_tick = true;
        let mut judge = Judge::new(every_tick, origin().into());
        let mut verdicts = Vec::new();
        for sample in &mut rig.samples {
            for scope in &mut sample.scopes {
                if let Some(sched) = &mut scope.sched {
                    (sched.waits, sched.wait_ns) = (absurd(&mut noise), absurd(&mut noise));
                    (sched.wait_units_squared, sched.on_cpu_ns) = (absurd(&mut noise), absurd(&mut noise));
                }
                if let Some(mem) = &mut scope.mem {
                    (mem.allocated_pages, mem.freed_pages) = (absurd(&mut noise), absurd(&mut noise));
                    mem.rss_anon_pages = Some(absurd(&mut noise) as i64);
                    mem.rss_shmem_pages = Some(absurd(&mut noise) as i64);
                }
                if let Some(net) = &mut scope.net {
                    (net.connect_attempts, net.connect_failures) = (absurd(&mut noise), absurd(&mut noise));
                    (net.external.egress_packets, net.loopback.egress_packets) = (u64::MAX, absurd(&mut noise));
                }
                scope.memory_max_bytes = Some(absurd(&mut noise));
                scope.memory_current_bytes = Some(absurd(&mut noise));
            }
            sample.elapsed.sched_ns = sample.elapsed.sched_ns.map(|_| absurd(&mut noise) % 3_000_000_000);
            sample.elapsed.net_ns = Some(absurd(&mut noise));
            judge.observe(sample, &mut verdicts);
        }
        assert!(!verdicts.is_empty());
        for verdict in &verdicts {
            let json = serde_json::to_string(verdict).unwrap();
            let read: Verdict = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
            assert_eq!(read.value.is_some(), verdict.value.is_some(), "{json}");
            assert_eq!(read.sigma.is_some(), verdict.sigma.is_some(), "{json}");
        }
    }
}

#[test]
fn replay_gives_identical_verdicts() {
    let config = Config::default();
    let mut rig = Rig::new(11, &config, &["worker", "leaker", "proxy", "bystander"]);
    *rig.load("proxy") = gateway(200.0, 200.0, 0.0);
    rig.run(20.0);
    three_faults(&mut rig);
    rig.run(30.0);

    let header = Header::new(origin(), config.interval, config.network_interval);
    let mut recorder = Recorder::new(Vec::new(), &header).unwrap();
    for sample in &rig.samples {
        recorder.record(sample).unwrap();
    }
    let file = recorder.finish().unwrap();
    let replay = Replay::new(&file[..]).unwrap();
    let mut judge = Judge::new(JudgeConfig::from(&config), replay.header().origin.clone().into());
    let mut replayed = Vec::new();
    for sample in replay {
        judge.observe(&sample.unwrap(), &mut replayed);
    }
    assert!(rig.verdicts.len() >= 3);
    assert_eq!(bytes(&rig.verdicts), bytes(&replayed));
}

fn bytes(verdicts: &[Verdict]) -> Vec<u8> {
    let lines = verdicts.iter().map(|verdict| serde_json::to_vec(verdict).unwrap());
    lines.flatten().collect()
}

#[test]
fn every_verdict_is_whole_and_its_id_is_its_own() {
    let config = Config::default();
    let mut every_tick = JudgeConfig::from(&config);
    every_tick.every_tick = true;
    let mut rig = Rig::new(5, &config, &["worker", "leaker", "proxy", "bystander"]);
    rig.judge = Judge::new(every_tick, origin().into());
    three_faults(&mut rig);
    rig.run(30.0);
    let ids: std::collections::BTreeSet<_> = rig.verdicts.iter().map(|verdict| &verdict.id).collect();
    assert_eq!(ids.len(), rig.verdicts.len());
    assert_eq!(rig.verdicts.len(), 30 * 5 + 150 * 5 + 150 * 4);
    for (seq, verdict) in (1..).zip(&rig.verdicts) {
        assert_eq!(verdict.seq, seq);
        assert_eq!(verdict.id.len(), 26);
        assert!((0.0..=1.0).contains(&verdict.coverage), "{verdict:?}");
        assert!(verdict.features.values().all(|value| value.is_finite()));
        assert!(verdict.summary.contains(verdict.scope.name()), "{}", verdict.summary);
        assert_eq!(verdict.phase.is_some(), verdict.signal == Signal::Amplification);
        assert_eq!(
            verdict.cause == Cause::None,
            verdict.level <= Level::Nominal,
            "{verdict:?}"
        );
        let read: Verdict = serde_json::from_slice(&serde_json::to_vec(verdict).unwrap()).unwrap();
        assert_eq!(
            (&read.id, &read.scope, read.level),
            (&verdict.id, &verdict.scope, verdict.level)
        );
    }
    let (standing, portraits) = rig.judge.standing(usize::MAX);
    let worst = |portrait: &Portrait| portrait.signals.iter().map(|signal| signal.level).max();
    assert!(portraits.is_sorted_by(|a, b| worst(a) >= worst(b)));
    assert_eq!((standing.scopes, portraits.len()), (5, 5));
    let counted = Signal::ALL.map(|signal| standing.levels.at(signal, Level::Nominal));
    let nominal = |state: &State| state.level == Level::Nominal;
    assert_eq!(
        counted.iter().sum::<u32>() as usize,
        rig.judge.states().filter(nominal).count()
    );
    assert_eq!(rig.judge.states().count(), 3 * 4 + 2);
}
