//! What it takes to write down what was judged: a verdict as JSON, the state of the API, the metrics. By how many cgroups
//! there are; a state lists fifty of them, so with a thousand it does not take much longer.

mod model;

use std::{sync::Arc, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sentinel::{
    config::Config,
    judge::{Judge, JudgeConfig, Verdict},
    show::{
        Snapshot, encode, prometheus,
        state::{Chronicle, Facts, MOST_SCOPES},
        web::Served,
    },
};

use self::model::Crowd;

/// Seconds of the run that is written down: work, and rest in between, so that levels differ.
const SECONDS: usize = 400;

/// A run of so many cgroups, and what was said in its last second, a verdict for each signal of each of them.
fn run(cgroups: u64) -> (Snapshot, Vec<Verdict>) {
    let config = JudgeConfig {
        every_tick: true,
        ..JudgeConfig::from(&Config::default())
    };
    let (mut judge, mut crowd, mut verdicts) = (Judge::new(config, Crowd::origin()), Crowd::new(cgroups), Vec::new());
    let mut last = crowd.rests().clone();
    for second in 0..SECONDS {
        let sample = if second % 100 < 95 {
            crowd.works()
        } else {
            crowd.rests()
        };
        verdicts.clear();
        judge.observe(sample, &mut verdicts);
        last.clone_from(sample);
    }
    let (standing, portraits) = judge.standing(MOST_SCOPES);
    let snapshot = Snapshot {
        origin: Crowd::origin(),
        now: last.now,
        sample: Arc::new(last),
        standing,
        portraits,
        ticks: SECONDS as u64,
        ..Snapshot::default()
    };
    (snapshot, verdicts)
}

fn verdict(criterion: &mut Criterion) {
    let (_, verdicts) = run(10);
    // The longest has the most in it.
    let length = |verdict: &Verdict| encode::object(verdict).expect("JSON").len();
    let verdict = verdicts
        .iter()
        .max_by_key(|verdict| length(verdict))
        .expect("a verdict");
    let bytes = length(verdict);
    assert!(bytes > 500, "a whole verdict: {bytes} bytes");
    let mut group = criterion.benchmark_group("show/verdict");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("json", |bencher| bencher.iter(|| encode::object(verdict)));
}

fn surfaces(criterion: &mut Criterion) {
    let runs = [10_u64, 1000].map(|cgroups| (cgroups, run(cgroups).0));
    let mut group = criterion.benchmark_group("show/state, document");
    for (cgroups, snapshot) in &runs {
        let mut chronicle = Chronicle::new(Facts::default());
        group.bench_function(BenchmarkId::from_parameter(cgroups), |bencher| {
            bencher.iter(|| chronicle.record(snapshot));
        });
    }
    group.finish();

    let documents = runs.map(|(cgroups, snapshot)| (cgroups, Chronicle::new(Facts::default()).record(&snapshot)));
    let mut group = criterion.benchmark_group("show/state, json");
    for (cgroups, document) in &documents {
        let listed = document.scopes.len() as u64;
        assert_eq!(
            listed,
            (cgroups + 1).min(MOST_SCOPES as u64),
            "cgroups and the host are listed"
        );
        let bytes = encode::object(document).expect("JSON").len();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::from_parameter(cgroups), |bencher| {
            bencher.iter(|| encode::object(document));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("show/prometheus");
    for (cgroups, document) in &documents {
        let served = Served::default();
        let text = prometheus::encode(document, &served).expect("text");
        assert!(
            text.ends_with("# EOF\n") && text.contains("worker-0"),
            "metrics of cgroups"
        );
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(cgroups), |bencher| {
            bencher.iter(|| prometheus::encode(document, &served));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3)).sample_size(50);
    targets = verdict, surfaces
}
criterion_main!(benches);
