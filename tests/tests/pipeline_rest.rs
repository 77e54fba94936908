//! Contract: a scope in which nothing happens is not judged at every reading, and nobody can tell from the verdicts.

use std::sync::Arc;

use sentinel::{
    config::Config,
    judge::{
        Judge, JudgeConfig, Verdict,
        verdict::{Level, Signal},
    },
    sense::{
        Sample,
        record::{Header, Recorder},
        replay::Replay,
        sample::ScopeSample,
    },
};
use sentinel_tests::{
    judging::{SEEDS, busy, gateway, three_faults},
    synthetic::{Load, Rig, origin},
};

const NAMES: [&str; 4] = ["worker", "leaker", "proxy", "sleeper"];

/// Cgroups that do nothing at all, and then everything at once, and then nothing again.
fn on_and_off(seed: u64) -> Rig {
    let mut rig = Rig::new(seed, &Config::default(), &NAMES);
    let nothing = Load {
        resident_share: 1.0,
        ..Load::default()
    };
    let all = |rig: &mut Rig, load: Load| NAMES.iter().for_each(|name| *rig.load(name) = load);
    rig.run(30.0);
    *rig.load("proxy") = gateway(200.0, 200.0, 0.0);
    rig.run(30.0);
    for rest_s in [40.0, 47.3, 95.0] {
        all(&mut rig, nothing);
        rig.run(rest_s);
        three_faults(&mut rig);
        *rig.load("sleeper") = busy(0.5);
        rig.run(25.0);
    }
    all(&mut rig, nothing);
    rig.run(60.0);
    // Forecasts of the leak still wait to be scored.
    assert_eq!(rig.judge.resting(), NAMES.len() - 1);
    rig
}

/// What was said, without what names and numbers it.
fn said(verdicts: &[Verdict]) -> Vec<String> {
    let changed = verdicts.iter().filter(|verdict| verdict.level != verdict.previous);
    // Only who wants to hear of every reading hears of the end of a warm-up.
    let changed = changed.filter(|verdict| verdict.previous > Level::Unknown || verdict.level > Level::Nominal);
    changed
        .map(|verdict| {
            let Verdict {
                scope,
                signal,
                level,
                cause,
                monotonic_ns,
                ..
            } = verdict;
            format!("{monotonic_ns} {} {signal:?} {level:?} {cause:?}", scope.path)
        })
        .collect()
}

fn judged(config: JudgeConfig, samples: &[Sample]) -> Vec<Verdict> {
    let (mut judge, mut verdicts) = (Judge::new(config, Arc::new(origin())), Vec::new());
    samples.iter().for_each(|sample| judge.observe(sample, &mut verdicts));
    verdicts
}

/// The same as the agent reads it: only cgroups in which something happened, and a list of all.
fn sparse(samples: &[Sample]) -> Vec<Sample> {
    let roster = Arc::new(samples[0].scopes.iter().map(|part| Arc::clone(&part.scope)).collect());
    let moved = |part: &&ScopeSample| {
        let sched = part.sched.is_some_and(|sched| sched != Default::default());
        let net = part.net.is_some_and(|net| net != Default::default());
        sched || net || part.mem.is_some_and(|mem| !mem.is_still()) || part.throttled_ns.is_some_and(|ns| ns > 0)
    };
    let whole = samples.iter().enumerate();
    whole
        .map(|(index, sample)| Sample {
            scopes: sample
                .scopes
                .iter()
                .filter(|part| index == 0 || moved(part))
                .cloned()
                .collect(),
            roster: Arc::clone(&roster),
            ..sample.clone()
        })
        .collect()
}

#[test]
fn rest_changes_no_verdict_and_no_time_of_one() {
    let config = JudgeConfig::from(&Config::default());
    let mut faults = 0;
    for seed in SEEDS {
        let rig = on_and_off(seed);
        // Who hears of every reading has every scope judged at every reading.
        let every_tick = JudgeConfig {
            every_tick: true,
            ..config.clone()
        };
        let (awake, resting) = (said(&judged(every_tick, &rig.samples)), said(&rig.verdicts));
        assert_eq!(awake, resting, "seed {seed}");
        faults += resting.iter().filter(|line| line.contains("Veto")).count();
    }
    assert!(faults >= 8 * SEEDS.count(), "{faults} vetoes only");
}

#[test]
fn what_is_not_listed_is_judged_as_what_is_listed_with_zeroes() {
    for seed in SEEDS.take(5) {
        let rig = on_and_off(seed);
        let sparse = sparse(&rig.samples);
        let parts = |samples: &[Sample]| samples.iter().map(|sample| sample.scopes.len()).sum::<usize>();
        assert!(2 * parts(&sparse) < parts(&rig.samples), "it is sparse");
        assert_eq!(judged(JudgeConfig::from(&Config::default()), &sparse), rig.verdicts);
    }
}

#[test]
fn a_recording_of_sparse_samples_is_judged_the_same() {
    let rig = on_and_off(1);
    let config = Config::default();
    let header = Header::new(origin(), config.interval, config.network_interval);
    let mut recorder = Recorder::new(Vec::new(), &header).unwrap();
    for sample in sparse(&rig.samples) {
        recorder.record(&sample).unwrap();
    }
    let bytes = recorder.finish().unwrap();
    let samples: Vec<Sample> = Replay::new(&bytes[..]).unwrap().map(Result::unwrap).collect();
    assert_eq!(judged(JudgeConfig::from(&config), &samples), rig.verdicts);
}

#[test]
fn data_that_goes_missing_is_unknown_at_rest_too() {
    let mut rig = Rig::new(1, &Config::default(), &NAMES);
    rig.run(10.0);
    *rig.load("sleeper") = Load::default();
    rig.run(60.0);
    assert_eq!(rig.level("sleeper", Signal::Jitter), Level::Nominal);
    rig.sched = false;
    rig.run(3.2);
    assert_eq!(rig.level("sleeper", Signal::Jitter), Level::Unknown);
    assert_eq!(rig.level("sleeper", Signal::Fever), Level::Nominal);
    rig.sched = true;
    rig.run(5.0);
    assert_eq!(rig.level("sleeper", Signal::Jitter), Level::Nominal);
}
