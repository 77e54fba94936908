//! What the score must not fall below, in the words of the issue that asked for it. A bound for which there is no data
//! in this run is not checked.

use serde::Serialize;

use super::{
    outcome::Outcome,
    tally::{Tally, WEEK_H, quantile, share},
};
use crate::corpus::truth::Shape;

/// False verdicts per host-week over the healthy half of the corpus.
pub const FALSE_VERDICTS_PER_WEEK: f64 = 1.0;
/// False vetoes per host-month.
pub const FALSE_VETOES_PER_MONTH: f64 = 1.0;
/// Hours in a month.
pub const MONTH_H: f64 = 730.0;

/// One bound and how it stands.
#[derive(Clone, Debug, Serialize)]
pub struct Bound {
    /// What must hold.
    pub words: &'static str,
    /// What was measured.
    pub value: f64,
    /// What it must not pass.
    pub limit: f64,
    /// It must not be below; otherwise not above.
    pub least: bool,
}

impl Bound {
    /// True when it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        if self.least {
            self.value >= self.limit
        } else {
            self.value <= self.limit
        }
    }
}

/// Every bound for which there is data.
#[must_use]
pub fn bounds(outcomes: &[Outcome]) -> Vec<Bound> {
    let mut bounds = Vec::new();
    rates(outcomes, &mut bounds);
    for row in DETECTION {
        detection(outcomes, row, &mut bounds);
    }
    for row in DELAYS {
        delay(outcomes, row, &mut bounds);
    }
    memory(outcomes, &mut bounds);
    phases(outcomes, &mut bounds);
    bounds
}

fn at_most(words: &'static str, value: f64, limit: f64) -> Bound {
    Bound {
        words,
        value,
        limit,
        least: false,
    }
}

fn at_least(words: &'static str, value: f64, limit: f64) -> Bound {
    Bound {
        words,
        value,
        limit,
        least: true,
    }
}

fn of(outcomes: &[Outcome], kinds: &[&str]) -> Tally {
    Tally::of(
        outcomes.iter().filter(|outcome| kinds.contains(&outcome.kind.as_str())),
        None,
    )
}

fn rates(outcomes: &[Outcome], bounds: &mut Vec<Bound>) {
    let all = Tally::of(outcomes.iter(), None);
    if all.healthy_h <= 0.0 {
        return;
    }
    bounds.push(at_most(
        "at most 1 false verdict per host-week over the healthy half",
        all.false_verdicts as f64 / all.healthy_weeks(),
        FALSE_VERDICTS_PER_WEEK,
    ));
    if all.healthy_fine_h > 0.0 {
        bounds.push(at_most(
            "the same where ticks are a second or less",
            all.false_fine_verdicts as f64 / (all.healthy_fine_h / WEEK_H),
            FALSE_VERDICTS_PER_WEEK,
        ));
    }
    bounds.push(at_most(
        "no false veto per host-month over the healthy half",
        all.false_vetoes as f64 / (all.healthy_h / MONTH_H),
        if all.healthy_h >= MONTH_H {
            FALSE_VETOES_PER_MONTH
        } else {
            0.0
        },
    ));
    let gentle = of(outcomes, &["load_step", "service_start", "cron_spike", "daily_rhythm"]);
    if gentle.runs > 0 {
        bounds.push(at_most(
            "a clean step of load, a first sample of zero, a cron spike, a daily rhythm: no veto",
            gentle.false_vetoes as f64,
            0.0,
        ));
    }
    let taken = of(outcomes, &["one_off_allocation", "gc_runtime"]);
    if taken.runs > 0 {
        bounds.push(at_most(
            "a one-off allocation of 6 GB and a sawtooth are not a leak",
            taken.false_verdicts as f64,
            0.0,
        ));
    }
    let served = of(outcomes, &["file_server"]);
    if served.runs > 0 {
        bounds.push(at_most(
            "a file server with a steady out/in of 1.3 is no storm",
            served.false_verdicts as f64,
            0.0,
        ));
    }
}

/// Words, kinds: every fault in them is found, and where it must stay detected it does.
const DETECTION: &[(&str, &[&str])] = &[
    ("a slow leak of 0.5 and of 40 MB/s is seen", &["leak_slow", "leak_40"]),
    ("a sender that receives nothing is seen", &["flood"]),
    ("three faults at once show as three", &["three_at_once"]),
    (
        "a saturated but perfectly steady system is not healthy",
        &["saturated_steady"],
    ),
    (
        "four fifths of a window being anomalous do not become the new normal",
        &["long_window"],
    ),
];

fn detection(outcomes: &[Outcome], (words, kinds): &(&'static str, &[&str]), bounds: &mut Vec<Bound>) {
    let tally = of(outcomes, kinds);
    if let Some(found) = share(tally.found.saturating_sub(tally.lost), tally.faults) {
        bounds.push(at_least(words, found, 1.0));
    }
}

/// Words, kinds, quantile, seconds: delays from the onset.
const DELAYS: &[(&str, &[&str], f64, f64)] = &[
    (
        "thrash between 10 % and 95 % is seen within 2 s (p95)",
        &["thrash_bursts"],
        0.95,
        2.0,
    ),
    (
        "four and more busy tasks on two CPUs are flagged within 2 s (p95)",
        &["thrash_4", "thrash_8", "thrash_16"],
        0.95,
        2.0,
    ),
    ("storm, onset to verdict: p95 within 1 s", &["storm_dead"], 0.95, 1.0),
    ("storm, onset to verdict: p99 within 2 s", &["storm_dead"], 0.99, 2.0),
];

fn delay(outcomes: &[Outcome], (words, kinds, at, limit): &(&'static str, &[&str], f64, f64), bounds: &mut Vec<Bound>) {
    let mut tally = of(outcomes, kinds);
    if tally.faults == 0 {
        return;
    }
    // What was missed took for ever.
    tally.delays_s.resize(tally.faults as usize, f64::INFINITY);
    if let Some(value) = quantile(&tally.delays_s, *at) {
        bounds.push(at_most(words, value, *limit));
    }
    if *kinds == ["thrash_bursts"] && !tally.clears_s.is_empty() {
        let value = quantile(&tally.clears_s, 0.95).unwrap_or(f64::INFINITY);
        bounds.push(at_most("it clears within 5 s of its end (p95)", value, 5.0));
    }
}

/// Shapes, and the share of life in which the forecast has to be within a quarter of the true time.
const GOOD: &[(&str, Shape, f64)] = &[
    ("within 25 % for half of life: linear leaks", Shape::Linear, 0.5),
    (
        "within 25 % for a fifth of life: noisy leaks and sawteeth",
        Shape::Noisy,
        0.2,
    ),
    (
        "within 25 % for 15 % of life: accelerating leaks",
        Shape::Accelerating,
        0.15,
    ),
];

fn memory(outcomes: &[Outcome], bounds: &mut Vec<Bound>) {
    let all = Tally::of(outcomes.iter(), None);
    if let Some(coverage) = all.alarm_coverage() {
        bounds.push(at_least(
            "the true time within the stated interval in 90 % of runs",
            coverage,
            0.9,
        ));
    }
    for (words, shape, least) in GOOD {
        let mut tally = all.clone();
        tally.forecasts.retain(|score| score.shape == *shape);
        if let Some(good) = tally.good() {
            bounds.push(at_least(words, good, *least));
        }
    }
    let teeth = of(outcomes, &["gc_runtime"]);
    if teeth.runs > 0 {
        bounds.push(at_most(
            "no forecast in an hour of sawtooth without a leak",
            teeth.wrong_forecasts as f64,
            0.0,
        ));
    }
}

fn phases(outcomes: &[Outcome], bounds: &mut Vec<Bound>) {
    let all = Tally::of(outcomes.iter(), None);
    if all.phases > 0 {
        let mut times = all.phases_s.clone();
        times.resize(all.phases as usize, f64::INFINITY);
        let worst = quantile(&times, 1.0).unwrap_or(f64::INFINITY);
        bounds.push(at_most(
            "self-sustaining overload is told within 3 s after the trigger ends, none late",
            worst,
            3.0,
        ));
    }
    if all.never_phases > 0 {
        bounds.push(at_most(
            "transient overload is never called self-sustaining",
            all.wrong_phases as f64,
            0.0,
        ));
    }
}
