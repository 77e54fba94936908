//! What differences of counters take, and lines of metric series: read, judged and written, each by itself. One turn is a
//! thousand lines or points; `elem/s` is points per second.

use std::{fmt::Write as _, hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sentinel::{
    judge::{
        series::{Scores, Series},
        verdict::Level,
    },
    sense::{
        delta,
        series::{Format, Reader},
    },
    show::score,
};
use sentinel_common::{mem::MemCounters, net::NetCounters, sched::SchedCounters};

/// Points of a turn.
const POINTS: usize = 1000;
/// Points after which a series knows its past.
const KNOWN: usize = 6000;

/// Numbers that move, with three decimals.
fn value(index: usize) -> f64 {
    (40_000 + index * 7919 % 10_007) as f64 / 1000.0
}

fn differences(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sense/difference");
    let (sched, before) = (
        SchedCounters {
            waits: 9,
            ..SchedCounters::default()
        },
        SchedCounters::default(),
    );
    group.bench_function("sched", |bencher| {
        bencher.iter(|| delta::sched(black_box(&sched), black_box(&before)))
    });
    let (mem, before) = (
        MemCounters {
            ..MemCounters::default()
        },
        MemCounters::default(),
    );
    group.bench_function("mem", |bencher| {
        bencher.iter(|| delta::mem(black_box(&mem), black_box(&before), true))
    });
    let (net, before) = (
        NetCounters {
            accepts: 9,
            ..NetCounters::default()
        },
        NetCounters::default(),
    );
    group.bench_function("net", |bencher| {
        bencher.iter(|| delta::net(black_box(&net), black_box(&before)))
    });
}

/// A thousand points in one of the ways they are written, the header first.
fn written(way: &str) -> (Format, Vec<String>) {
    let at = |index: usize| 1_767_225_600 + 60 * index;
    let lines = |line: &dyn Fn(usize) -> String| (0..POINTS).map(line).collect::<Vec<_>>();
    let headed = |header: &str, rest: Vec<String>| std::iter::once(header.to_owned()).chain(rest).collect();
    match way {
        "csv" => {
            let rest = lines(&|index| format!("{},{}", at(index), value(index)));
            (Format::Csv, headed("timestamp,value", rest))
        }
        "csv, ten columns" => {
            let line = |index: usize| {
                (0..10).fold(at(index).to_string(), |mut line, column| {
                    let _ = write!(line, ",{}", value(10 * index + column));
                    line
                })
            };
            let rest = (0..POINTS / 10).map(line).collect();
            (Format::Csv, headed("timestamp,a,b,c,d,e,f,g,h,i,j", rest))
        }
        "csv, long" => {
            let rest = lines(&|index| format!("host-{},{},{}", index % 10, at(index), value(index)));
            (Format::Long, headed("series,timestamp,value", rest))
        }
        "json" => {
            let line = |index: usize| {
                let (series, time, value) = (index % 10, at(index), value(index));
                format!("{{\"series\":\"host-{series}\",\"time\":{time},\"value\":{value}}}")
            };
            (Format::Json, lines(&line))
        }
        "json, other keys" => {
            let line = |index: usize| {
                let (series, time, value) = (index % 10, at(index), value(index));
                format!("{{\"series\":\"host-{series}\",\"time\":{time},\"value\":{value},\"unit\":\"s\"}}")
            };
            (Format::Json, lines(&line))
        }
        other => unreachable!("{other} is no way to write points"),
    }
}

fn lines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sense/lines");
    group.throughput(Throughput::Elements(POINTS as u64));
    for way in ["csv", "csv, ten columns", "csv, long", "json", "json, other keys"] {
        let (format, lines) = written(way);
        let read = || {
            let (mut reader, mut points, mut sum) = (Reader::new(format), 0, 0.0);
            for line in &lines {
                let mut take = |point: &sentinel::sense::series::Point<'_>| {
                    points += 1;
                    sum += point.value.unwrap_or(f64::NAN);
                };
                reader
                    .line(line.as_bytes(), &mut take)
                    .expect("a line that can be read");
            }
            (points, sum)
        };
        let (points, sum) = read();
        assert!(points == POINTS && sum.is_finite(), "{way}: {points} points, {sum}");
        group.bench_function(way, |bencher| bencher.iter(read));
    }
}

fn judged(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("judge/series");
    group.throughput(Throughput::Elements(POINTS as u64));
    let (mut series, mut point) = (Series::new(), 0);
    let mut turn = |points: usize| {
        for _ in 0..points {
            point += 1;
            black_box(series.observe(300.0 * point as f64, value(point)));
        }
    };
    turn(KNOWN);
    group.bench_function("one", |bencher| bencher.iter(|| turn(POINTS)));

    // With names, and more of them than caches hold.
    for count in [100, 1000] {
        let names: Vec<String> = (0..count).map(|series| format!("host-{series}/cpu")).collect();
        let (mut scores, mut point) = (Scores::new(1.0, count), 0);
        for name in &names {
            scores.add(name).expect("room for a series");
        }
        let mut turn = |points: usize| {
            for _ in 0..points {
                let (series, round) = (point % count, point / count);
                let index = scores.find(&names[series]).expect("a series that is known");
                black_box(scores.observe(index, 300.0 * (round + 1) as f64, Some(value(point))));
                point += 1;
            }
        };
        turn(300 * count);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| turn(POINTS))
        });
    }
}

fn scores(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("show/score");
    group.throughput(Throughput::Elements(POINTS as u64));
    let (series, mut out) = (score::quoted("host-1/cpu"), Vec::new());
    let mut write = || {
        out.clear();
        for index in 0..POINTS {
            let score = Some((index % 100) as f32 / 100.0);
            let time = ("1767225600", true);
            score::append(&mut out, &series, time, Some(value(index)), score, Level::Nominal);
        }
        out.len()
    };
    assert!(write() > 70 * POINTS, "a line for each point");
    group.bench_function("lines", |bencher| bencher.iter(&mut write));
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3)).sample_size(50);
    targets = differences, lines, judged, scores
}
criterion_main!(benches);
