//! Contract: the labelled corpus and its score. A small run of every kind; `cargo xtask score` is the whole.

use std::{io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};
use sentinel::{
    judge::verdict::Signal,
    sense::{
        record::{Header, Recorder},
        replay::Replay,
    },
};
use sentinel_tests::{
    corpus::{KINDS, Kind, recorded::recordings},
    score::{
        bounds::bounds,
        outcome::Outcome,
        run::{judge, run, run_recorded},
        table,
        tally::Tally,
    },
};

/// Healthy scenarios last this share of what they do in `cargo xtask score`.
const SHORT: f64 = 0.05;

fn kind(name: &str) -> &'static Kind {
    KINDS
        .iter()
        .find(|kind| kind.name == name)
        .expect("a kind of the corpus")
}

fn outcomes(names: &[&str], seeds: std::ops::Range<u64>) -> Vec<Outcome> {
    let runs = |name: &&str| {
        seeds
            .clone()
            .map(|seed| run(kind(name), seed, SHORT))
            .collect::<Vec<_>>()
    };
    names.iter().flat_map(runs).collect()
}

fn told(outcomes: &[Outcome]) -> String {
    outcomes.iter().flat_map(table::details).collect::<Vec<_>>().join("\n")
}

/// Every fault is found in time, with the right cause, and nobody beside it is vetoed.
fn assert_found(names: &[&str]) {
    let outcomes = outcomes(names, 1..4);
    let tally = Tally::of(outcomes.iter(), None);
    assert!(tally.faults >= 3 * names.len() as u64);
    assert_eq!(tally.found, tally.faults, "{}", told(&outcomes));
    assert_eq!(tally.causes_right, tally.faults, "{}", told(&outcomes));
    assert_eq!(tally.beside_vetoes, 0, "{}", told(&outcomes));
}

#[test]
fn there_are_as_many_healthy_kinds_as_faulty_ones_and_enough_of_both() {
    let faulty = KINDS.iter().filter(|kind| kind.faulty).count();
    assert_eq!(2 * faulty, KINDS.len());
    assert!(KINDS.len() >= 20);
    for kind in KINDS {
        let scenario = kind.scenario(1, SHORT);
        assert_eq!(kind.faulty, !scenario.truths.is_empty(), "{}", kind.name);
        let same = KINDS.iter().filter(|other| other.name == kind.name).count();
        assert_eq!(same, 1, "{}", kind.name);
    }
}

#[test]
fn a_kind_and_a_seed_name_one_recording() {
    for name in ["storm_slow", "build_machine", "metastable"] {
        let samples = |seed: u64| {
            let mut scenario = kind(name).scenario(seed, SHORT);
            let mut samples = Vec::new();
            while let Some(sample) = scenario.next_sample() {
                samples.push(sample.clone());
                if samples.len() == 300 {
                    break;
                }
            }
            samples
        };
        assert_eq!(samples(7), samples(7), "{name}");
        assert_ne!(samples(7), samples(8), "{name}");
    }
}

/// Judged as it is made, and from the file that `sentinel record` would have written of it.
#[test]
fn a_scenario_judges_the_same_from_a_recording() {
    for name in ["three_at_once", "leak_limit", "late_and_missing"] {
        let mut scenario = kind(name).scenario(3, SHORT);
        let config = scenario.model.config.clone();
        let origin = scenario.model.origin();
        let header = Header::new(origin.clone(), config.interval, config.network_interval);
        let mut recorder = Recorder::new(Vec::new(), &header).expect("memory takes it");
        let (mut live, mut lines) = (judge(&config, origin, false), Vec::new());
        let (mut samples, mut states) = (0, Vec::new());
        while let Some(sample) = scenario.next_sample() {
            recorder.record(sample).expect("memory takes it");
            live.observe(sample, &mut lines);
            states.extend(live.states());
            samples += 1;
            if samples == 900 {
                break;
            }
        }
        let file = recorder.finish().expect("memory takes it");
        let replay = Replay::new(file.as_slice()).expect("a recording");
        let (mut again, mut replayed) = (judge(&config, replay.header().origin.clone(), false), Vec::new());
        let mut states_again = Vec::new();
        for sample in replay {
            again.observe(&sample.expect("whole"), &mut replayed);
            states_again.extend(again.states());
        }
        let text = |verdicts: &[sentinel::judge::Verdict]| serde_json::to_string(verdicts).expect("plain data");
        assert!(states.len() > 10_000, "{name}: {}", states.len());
        assert!(states == states_again, "{name} stands otherwise from its recording");
        assert!(
            text(&lines) == text(&replayed),
            "{name} judges otherwise from its recording"
        );
    }
}

/// A recording in a folder, with its label, is judged and counted like a generated scenario.
#[test]
fn a_labelled_recording_is_part_of_the_score() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut scenario = kind("flood").scenario(1, SHORT);
    let truth = scenario.truths[0].clone();
    let header = Header::new(
        scenario.model.origin(),
        scenario.model.config.interval,
        scenario.model.config.network_interval,
    );
    let file = std::fs::File::create(folder.path().join("real.jsonl.gz")).expect("a file");
    let mut recorder = Recorder::new(GzEncoder::new(file, Compression::fast()), &header).expect("a recording");
    while let Some(sample) = scenario.next_sample() {
        recorder.record(sample).expect("it is written");
    }
    recorder
        .finish()
        .expect("it ends")
        .finish()
        .expect("it is packed")
        .flush()
        .expect("it is written");
    let label = format!(
        "kind = \"real_flood\"\nfaulty = true\nabout = \"a test\"\n[[truths]]\nscope = \"{}\"\nsignal = \"amplification\"\n\
         onset_s = {:?}\nend_s = {:?}\nlevel = \"veto\"\nwithin_s = 10.0\ncauses = [\"flood\"]\nstays = true\n",
        truth.scope, truth.onset_s, truth.end_s
    );
    std::fs::write(folder.path().join("real.toml"), label).expect("it is written");
    let recorded = recordings(folder.path()).expect("a label");
    let outcome = run_recorded(&recorded[0]).expect("it is whole");
    let generated = run(kind("flood"), 1, SHORT);
    assert_eq!(outcome.kind, "real_flood");
    let delay_s = |outcome: &Outcome| outcome.findings[0].delay_s.expect("it is found");
    assert!((delay_s(&outcome) - delay_s(&generated)).abs() < 0.01);
    assert!(table::by_kind(&[outcome]).contains("real_flood"));
}

#[test]
fn a_recording_without_a_label_or_with_a_wrong_one_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("bare.jsonl.gz"), b"").expect("it is written");
    let error = recordings(folder.path()).expect_err("no label");
    assert!(format!("{error:#}").contains("bare.toml"), "{error:#}");
    std::fs::write(
        folder.path().join("bare.toml"),
        "kind = \"x\"\nfaulty = true\nabout = \"\"\n",
    )
    .expect("it is written");
    assert!(recordings(folder.path()).is_err(), "a fault without a truth");
    assert!(
        recordings(Path::new("/nonexistent"))
            .expect("no folder is no recordings")
            .is_empty()
    );
}

#[test]
fn the_recordings_of_this_repository_have_labels_and_are_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    for recorded in recordings(&folder).expect("labels") {
        let samples = recorded.open().expect("a recording");
        for sample in samples {
            sample.expect("whole");
        }
    }
}

#[test]
fn crowds_on_the_cpus_are_found() {
    assert_found(&["thrash_4", "thrash_8", "thrash_16", "throttled", "saturated_steady"]);
}

#[test]
fn storms_and_floods_are_found() {
    assert_found(&[
        "storm_dead",
        "storm_slow",
        "storm_mild",
        "storm_client",
        "flood",
        "fan_out_release",
    ]);
}

#[test]
fn leaks_and_bursts_are_found() {
    assert_found(&["leak_20", "leak_40", "burst"]);
}

#[test]
fn three_faults_at_once_show_as_three() {
    let outcomes = outcomes(&["three_at_once"], 1..4);
    for signal in Signal::ALL {
        let tally = Tally::of(outcomes.iter(), Some(signal));
        assert_eq!((tally.faults, tally.found), (3, 3), "{}", told(&outcomes));
    }
}

#[test]
fn ordinary_traffic_is_left_alone() {
    let names = [
        "file_server",
        "steady_fan_out",
        "flaky_gateway",
        "slow_backend",
        "udp_metrics",
        "request_step",
        "idle_host",
    ];
    let outcomes = outcomes(&names, 1..4);
    let tally = Tally::of(outcomes.iter(), Some(Signal::Amplification));
    assert!(tally.healthy_h > 0.5, "{}", tally.healthy_h);
    assert_eq!(tally.false_verdicts, 0, "{}", told(&outcomes));
}

/// A broken bound is one that does not hold: the exit code of `cargo xtask score` follows from this.
#[test]
fn bounds_are_checked_only_where_there_is_data_and_a_missed_fault_breaks_them() {
    let mut outcomes = outcomes(&["flood"], 1..2);
    let found = bounds(&outcomes);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].holds());
    outcomes[0].findings[0].delay_s = None;
    assert!(!bounds(&outcomes)[0].holds());
}
