//! Figures over the runs of each arm, and the bounds of issue 4 held against them. Counts what [`Course`] measured, and
//! measures nothing itself.

use super::{NEVER_S, course::Course, run::Run};
use crate::trial::{
    figures::{Figures, cell},
    report::Bound,
};

/// Goodput has to be back so many seconds after the trigger's end…
const BACK_S: f64 = 5.0;
/// …in this share of runs.
const BACK_SHARE: f64 = 0.95;
/// Goodput below this share of the usual is none.
const NONE: f64 = 0.02;
/// A moment after the trigger's end: what was under way then may still be answered.
const MOMENT_S: f64 = 1.0;
/// What a bystander keeps of its goodput and of its p99.
const KEPT: f64 = 0.99;
/// Veto to first refused connection, p99.
const REFUSED_S: f64 = 0.1;

/// Heads of the table.
pub const HEADS: [&str; 11] = [
    "agent",
    "runs",
    "usual, per s",
    "trigger to veto (median)",
    "(max)",
    "veto to first refusal (p99)",
    "back after (median)",
    "(p95)",
    "(max)",
    "bystander answered",
    "its p99 before, since",
];

/// One row: the runs of an arm; `None` without runs.
#[must_use]
pub fn row(runs: &[Run]) -> Option<Vec<String>> {
    let first = runs.first()?;
    let usual = Figures::of(runs.iter().map(|run| run.course.usual_per_s()));
    let veto = Figures::of(runs.iter().map(Run::veto_after_s));
    let refused = Figures::of(runs.iter().filter_map(Run::refused_after_s).map(Some));
    let back = Figures::of(runs.iter().map(|run| run.course.back_after_s()));
    let neighbour = Neighbour::of(runs);
    Some(vec![
        first.arm.name().to_owned(),
        runs.len().to_string(),
        cell(usual.quantile(0.5), ""),
        cell(veto.quantile(0.5), " s"),
        cell(veto.quantile(1.0), " s"),
        cell(refused.quantile(0.99).map(|seconds| seconds * 1e3), " ms"),
        cell(back.quantile(0.5), " s"),
        cell(back.quantile(0.95), " s"),
        cell(back.quantile(1.0), " s"),
        cell(neighbour.share.map(|share| share * 100.0), " %"),
        format!(
            "{}, {}",
            cell(neighbour.before_ms, " ms"),
            cell(neighbour.since_ms, " ms")
        ),
    ])
}

/// The bystander in all runs of an arm.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Neighbour {
    /// Answered of what it asked, from the trigger's begin on; the worst run.
    share: Option<f64>,
    /// p99 of its answers before the trigger, all runs together.
    before_ms: Option<f64>,
    /// The same from the trigger's begin on.
    since_ms: Option<f64>,
}

impl Neighbour {
    fn of(runs: &[Run]) -> Self {
        let share = runs.iter().filter_map(|run| {
            let (from_s, to_s) = since(&run.course)?;
            run.course.neighbour_share(from_s, to_s)
        });
        let p99_ms = |stretch: fn(&Course) -> Option<(f64, f64)>| {
            let mut all: Vec<u64> = runs
                .iter()
                .filter_map(|run| Some((run, stretch(&run.course)?)))
                .flat_map(|(run, (from_s, to_s))| run.course.neighbour_latencies_us(from_s, to_s))
                .collect();
            all.sort_unstable();
            let rank = (all.len() as f64 * 0.99).ceil() as usize;
            Some(*all.get(rank.checked_sub(1)?)? as f64 / 1e3)
        };
        Self {
            share: share.reduce(f64::min),
            before_ms: p99_ms(before),
            since_ms: p99_ms(since),
        }
    }
}

/// Before the trigger, without the first second.
fn before(course: &Course) -> Option<(f64, f64)> {
    let (first_s, _) = course.span_s()?;
    Some((first_s + 1.0, course.after_end_s(course.begins_ns)))
}

/// From the trigger's begin on. What is asked at the very end cannot be answered any more.
fn since(course: &Course) -> Option<(f64, f64)> {
    let (_, last_s) = course.span_s()?;
    Some((course.after_end_s(course.begins_ns), last_s - 0.5))
}

/// What had to hold.
#[must_use]
pub fn bounds(without: &[Run], with: &[Run]) -> Vec<Bound> {
    let mut bounds: Vec<Bound> = never(without).into_iter().collect();
    bounds.push(back(with));
    bounds.extend(bystander(without, with));
    bounds.extend(refusals(with));
    let elsewhere: usize = with.iter().map(|run| run.said.elsewhere.len()).sum();
    bounds.push(Bound::new(
        "nothing is done to any other scope of a shop",
        format!("{elsewhere} actions elsewhere"),
        elsewhere == 0,
    ));
    bounds
}

/// Without sentinel it never ends.
fn never(without: &[Run]) -> Option<Bound> {
    let watched_s = without
        .iter()
        .filter_map(|run| run.course.span_s())
        .map(|(_, last_s)| last_s)
        .reduce(f64::min)?;
    let to_s = watched_s.min(NEVER_S);
    let most = without
        .iter()
        .map(|run| run.course.goodput(MOMENT_S, to_s).unwrap_or(f64::INFINITY))
        .fold(0.0, f64::max);
    Some(Bound::new(
        format!("without sentinel goodput stays at 0 for all {to_s:.0} s after the trigger's end that were watched"),
        format!("at most {:.1} % in {} runs", most * 100.0, without.len()),
        most <= NONE,
    ))
}

fn back(with: &[Run]) -> Bound {
    let back = with
        .iter()
        .filter(|run| run.course.back_after_s().is_some_and(|seconds| seconds <= BACK_S))
        .count();
    Bound::new(
        format!(
            "with sentinel goodput is back at 90 % within {BACK_S} s of the trigger's end, in {:.0} % of runs",
            BACK_SHARE * 100.0
        ),
        format!("{back} of {}", with.len()),
        back as f64 >= BACK_SHARE * with.len() as f64,
    )
}

fn bystander(without: &[Run], with: &[Run]) -> Vec<Bound> {
    let (beside, neighbour) = (Neighbour::of(without), Neighbour::of(with));
    let share = neighbour.share.unwrap_or(0.0);
    let kept = |before_ms: Option<f64>| {
        let both = before_ms.zip(neighbour.since_ms);
        both.map_or(0.0, |(before, since)| before / since)
    };
    let p99 = |what: &str, before_ms: Option<f64>| {
        let (before, since) = (cell(before_ms, " ms"), cell(neighbour.since_ms, " ms"));
        let kept = kept(before_ms);
        Bound::new(
            what,
            format!("{before}, then {since}: {:.1} %", kept * 100.0),
            kept >= KEPT,
        )
    };
    vec![
        Bound::new(
            "a bystander keeps 99 % of its goodput",
            format!("{:.2} % in the worst run", share * 100.0),
            share >= KEPT,
        ),
        p99("and of its p99: before the trigger, since then", neighbour.before_ms),
        p99("and of its p99: beside a storm without sentinel, with", beside.since_ms),
    ]
}

/// Only where the gateway tells.
fn refusals(with: &[Run]) -> Option<Bound> {
    let told = with.iter().any(|run| !run.course.gateway.is_empty());
    let figures = Figures::of(with.iter().map(Run::refused_after_s));
    let p99 = figures.quantile(0.99).unwrap_or(f64::INFINITY);
    told.then(|| {
        Bound::new(
            format!("veto to first refused connection, p99 <= {:.0} ms", REFUSED_S * 1e3),
            cell(Some(p99 * 1e3), " ms"),
            p99 <= REFUSED_S,
        )
    })
}

/// A line for each run with sentinel that did not go as it should.
#[must_use]
pub fn findings(with: &[Run]) -> Vec<String> {
    let late = |run: &Run| run.course.back_after_s().is_none_or(|seconds| seconds > BACK_S);
    (1..)
        .zip(with)
        .filter(|(_, run)| late(run) || !run.said.failures.is_empty() || !run.said.elsewhere.is_empty())
        .map(|(number, run)| format!("run {number}: {} {}", run.line(), run.said.elsewhere.join("; ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        overload::Setting,
        storm::{
            arm::{Arm, Said},
            course::{Answers, Attempts},
        },
    };

    /// A run whose answers stay away from the trigger's begin, at 3 s, to `back_s` after its end, at 6 s.
    fn run(arm: Arm, back_s: f64) -> Run {
        let slice = |index: u64, ok: bool, latency_us: u64| Answers {
            monotonic_ns: index * 100_000_000,
            seconds: 0.1,
            asked: 10,
            ok: if ok { 10 } else { 0 },
            latencies_us: vec![latency_us; 10],
        };
        let at_s = |index: u64| index as f64 / 10.0 - 6.0;
        let course = Course {
            begins_ns: 3_000_000_000,
            ends_ns: 6_000_000_000,
            client: (1..=160)
                .map(|index| slice(index, at_s(index) <= -3.0 || at_s(index) > back_s, 20_000))
                .collect(),
            neighbour: (1..=160).map(|index| slice(index, true, 20_000)).collect(),
            gateway: vec![Attempts {
                monotonic_ns: 4_000_000_000,
                seconds: 0.1,
                requests: 30,
                attempts: 120,
                denied: 20,
                last_denied_ns: 4_000_000_000,
            }],
            stock: Vec::new(),
            first_denied_ns: Some(4_060_000_000),
        };
        let said = Said {
            veto_ns: Some(4_000_000_000),
            ..Said::default()
        };
        Run {
            arm,
            setting: Setting::default(),
            course,
            said,
        }
    }

    fn held(without: &[Run], with: &[Run]) -> Vec<bool> {
        bounds(without, with).iter().map(|bound| bound.held).collect()
    }

    #[test]
    fn a_storm_that_ends_under_a_veto_and_not_without_holds_every_bound() {
        let without = [run(Arm::Observe, 60.0)];
        let with = [run(Arm::Auto, 2.0), run(Arm::Auto, 3.0)];
        assert_eq!(held(&without, &with), [true; 7]);
        assert!(findings(&with).is_empty());
        assert_eq!(row(&with).map(|row| row.len()), Some(HEADS.len()));
        assert!(row(&[]).is_none());
    }

    #[test]
    fn each_bound_can_break() {
        let good = run(Arm::Auto, 2.0);
        type Spoil = fn(&mut Run);
        let cases: [(usize, Spoil); 6] = [
            (1, |run| {
                run.course.client.iter_mut().skip(120).for_each(|slice| slice.ok = 8)
            }),
            (2, |run| run.course.neighbour.iter_mut().for_each(|slice| slice.ok = 9)),
            (3, |run| run.course.neighbour[90].latencies_us = vec![90_000; 100]),
            (4, |run| run.course.neighbour[90].latencies_us = vec![90_000; 100]),
            (5, |run| run.course.first_denied_ns = Some(4_200_000_000)),
            (6, |run| run.said.elsewhere.push("/neighbour: began".into())),
        ];
        for (index, spoil) in cases {
            let mut bad = good.clone();
            spoil(&mut bad);
            let held = held(&[run(Arm::Observe, 60.0)], &[bad]);
            assert!(!held[index], "bound {index}: {held:?}");
        }
        assert!(!held(&[run(Arm::Observe, 4.0)], &[good])[0], "it ended by itself");
    }
}
