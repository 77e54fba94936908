//! What the judge takes for one sample, by how many cgroups there are and whether anything happens in them. Measures only
//! what is judged: samples are made in advance.

mod model;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sentinel::{
    config::Config,
    judge::{Judge, JudgeConfig},
};

use self::model::Crowd;

/// Seconds after which everything is known that a judge waits for.
const KNOWN: usize = 900;
/// A host on which nothing happens is at rest before so many seconds.
const RESTS_BEFORE: usize = 3600;

fn judge() -> Judge {
    Judge::new(JudgeConfig::from(&Config::default()), Crowd::origin())
}

fn busy(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("judge/busy");
    for cgroups in [10_u64, 1000] {
        let (mut judge, mut crowd, mut verdicts) = (judge(), Crowd::new(cgroups), Vec::new());
        for _ in 0..KNOWN {
            judge.observe(crowd.works(), &mut verdicts);
        }
        verdicts.clear();
        group.throughput(Throughput::Elements(cgroups));
        group.bench_function(BenchmarkId::from_parameter(cgroups), |bencher| {
            bencher.iter(|| {
                judge.observe(crowd.works(), &mut verdicts);
                verdicts.clear();
            });
        });
        assert_eq!(judge.resting(), 0, "every cgroup was judged at every sample");
    }
}

fn at_rest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("judge/at rest");
    for cgroups in [10_u64, 1000] {
        let (mut judge, mut crowd, mut verdicts) = (judge(), Crowd::new(cgroups), Vec::new());
        let mut seconds = 0;
        while judge.resting() < cgroups as usize {
            assert!(
                seconds < RESTS_BEFORE,
                "{} of {cgroups} cgroups rest after an hour without any work",
                judge.resting()
            );
            judge.observe(crowd.rests(), &mut verdicts);
            seconds += 1;
        }
        verdicts.clear();
        group.throughput(Throughput::Elements(cgroups));
        group.bench_function(BenchmarkId::from_parameter(cgroups), |bencher| {
            bencher.iter(|| judge.observe(crowd.rests(), &mut verdicts));
        });
        assert!(
            verdicts.is_empty(),
            "nothing is said about what rests: {:?}",
            verdicts[0].summary
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3)).sample_size(50);
    targets = busy, at_rest
}
criterion_main!(benches);
