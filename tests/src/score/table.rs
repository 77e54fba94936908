//! The score as tables for a terminal: by signal, by kind, bounds.

use comfy_table::{CellAlignment, Table, presets};
use sentinel::judge::verdict::Signal;

use super::{
    bounds::Bound,
    outcome::Outcome,
    tally::{Tally, quantile, rate_at_most},
};
use crate::corpus::KINDS;

const NONE: &str = "–";

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{:.1} %", 100.0 * value))
}

fn seconds(value: Option<f64>) -> String {
    match value {
        None => NONE.to_owned(),
        Some(value) if value.is_infinite() => "never".to_owned(),
        Some(value) if value < 100.0 => format!("{value:.1} s"),
        Some(value) => format!("{value:.0} s"),
    }
}

fn per_week(events: u64, weeks: f64) -> String {
    if weeks <= 0.0 {
        return NONE.to_owned();
    }
    format!("{:.2} (≤ {:.2})", events as f64 / weeks, rate_at_most(events, weeks))
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(head.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// One row per signal.
#[must_use]
pub fn by_signal(outcomes: &[Outcome]) -> String {
    let mut rows = table(&[
        "signal",
        "faults",
        "found",
        "delay median",
        "p95",
        "false verdicts/host-week",
        "false vetoes/host-week",
        "forecast holds",
        "lead",
        "cause right",
    ]);
    for signal in Signal::ALL {
        let tally = Tally::of(outcomes.iter(), Some(signal));
        rows.add_row(row(signal.name(), &tally));
    }
    rows.add_row(row("all", &Tally::of(outcomes.iter(), None)));
    rows.to_string()
}

fn row(name: &str, tally: &Tally) -> Vec<String> {
    let weeks = tally.healthy_weeks();
    vec![
        name.to_owned(),
        tally.faults.to_string(),
        percent(tally.detection()),
        seconds(quantile(&tally.delays_s, 0.5)),
        seconds(quantile(&tally.delays_s, 0.95)),
        per_week(tally.false_verdicts, weeks),
        per_week(tally.false_vetoes, weeks),
        percent(tally.alarm_coverage()),
        seconds(tally.lead_s()),
        percent(tally.cause_accuracy()),
    ]
}

/// One row per kind, healthy ones first.
#[must_use]
pub fn by_kind(outcomes: &[Outcome]) -> String {
    format!("{}\n\n{}", healthy(outcomes), faulty(outcomes))
}

fn kinds<'a>(outcomes: &'a [Outcome], faulty: bool) -> impl Iterator<Item = (&'a str, Tally)> + 'a {
    let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    for outcome in outcomes {
        if !names.contains(&outcome.kind.as_str()) {
            names.push(&outcome.kind);
        }
    }
    names.into_iter().filter_map(move |name| {
        let mine = outcomes
            .iter()
            .filter(|outcome| outcome.kind == name && outcome.faulty == faulty);
        let tally = Tally::of(mine, None);
        (tally.runs > 0).then_some((name, tally))
    })
}

fn healthy(outcomes: &[Outcome]) -> String {
    let mut rows = table(&[
        "healthy kind",
        "runs",
        "hours",
        "false verdicts",
        "false vetoes",
        "verdicts/host-week",
    ]);
    for (name, tally) in kinds(outcomes, false) {
        rows.add_row(vec![
            name.to_owned(),
            tally.runs.to_string(),
            format!("{:.1}", tally.healthy_h),
            tally.false_verdicts.to_string(),
            tally.false_vetoes.to_string(),
            per_week(tally.false_verdicts, tally.healthy_weeks()),
        ]);
    }
    rows.to_string()
}

fn faulty(outcomes: &[Outcome]) -> String {
    let mut rows = table(&[
        "faulty kind",
        "faults",
        "found",
        "delay median",
        "p95",
        "cause right",
        "lost",
        "clears p95",
        "beside (vetoes)",
        "forecast holds",
        "over life",
        "within 25 %",
        "lead",
        "phase p95",
    ]);
    for (name, tally) in kinds(outcomes, true) {
        let mut phases = tally.phases_s.clone();
        phases.resize(tally.phases as usize, f64::INFINITY);
        rows.add_row(vec![
            name.to_owned(),
            tally.faults.to_string(),
            percent(tally.detection()),
            seconds(quantile(&tally.delays_s, 0.5)),
            seconds(quantile(&tally.delays_s, 0.95)),
            percent(tally.cause_accuracy()),
            if tally.staying > 0 {
                tally.lost.to_string()
            } else {
                NONE.to_owned()
            },
            seconds(quantile(&tally.clears_s, 0.95)),
            format!("{} ({})", tally.beside, tally.beside_vetoes),
            percent(tally.alarm_coverage()),
            percent(tally.life_coverage()),
            percent(tally.good()),
            seconds(tally.lead_s()),
            seconds(quantile(&phases, 0.95)),
        ]);
    }
    rows.to_string()
}

/// Every bound and how it stands.
#[must_use]
pub fn bounds(bounds: &[Bound]) -> String {
    let mut rows = table(&["bound", "measured", "limit", ""]);
    for bound in bounds {
        let sign = if bound.least { "≥" } else { "≤" };
        rows.add_row(vec![
            bound.words.to_owned(),
            if bound.value.is_infinite() {
                "never".to_owned()
            } else {
                format!("{:.2}", bound.value)
            },
            format!("{sign} {}", bound.limit),
            if bound.holds() { "holds" } else { "BROKEN" }.to_owned(),
        ]);
    }
    rows.to_string()
}

/// One line per miss and per wrong verdict, for those who look for the reason.
#[must_use]
pub fn details(outcome: &Outcome) -> Vec<String> {
    let place = format!("{} seed {}", outcome.kind, outcome.seed);
    let mut lines = Vec::new();
    for wrong in &outcome.wrong {
        let what = if outcome.faulty { "beside" } else { "false" };
        lines.push(format!(
            "{place}: {what} {} {} {} of {} at {:.1} s: {}",
            wrong.signal.name(),
            wrong.level.name(),
            wrong.cause.name(),
            wrong.scope,
            wrong.at_s,
            wrong.summary
        ));
    }
    for finding in &outcome.findings {
        let fault = format!("{place}: {} of {}", finding.signal.name(), finding.scope);
        if finding.delay_s.is_none() {
            let late = finding
                .late_s
                .map_or_else(|| "never".to_owned(), |late_s| format!("after {late_s:.1} s"));
            lines.push(format!("{fault}: missed, {} came {late}", finding.level.name()));
        }
        if let Some((cause, false)) = finding.cause {
            lines.push(format!("{fault}: wrong cause {}", cause.name()));
        }
        if finding.lost.is_some_and(|lost| lost > 0) {
            lines.push(format!(
                "{fault}: lost {} times before its end",
                finding.lost.unwrap_or(0)
            ));
        }
        if finding.phase == Some(None) {
            lines.push(format!("{fault}: the phase was never named, or before its time"));
        }
        if let Some(forecast) = &finding.forecast
            && forecast.alarm_inside != Some(true)
        {
            lines.push(format!("{fault}: the alarm's forecast does not hold: {forecast:?}"));
        }
        if let (Some(within_s), clear_s) = (finding.clears_s, finding.clear_s)
            && clear_s.is_none_or(|clear_s| clear_s > within_s)
        {
            lines.push(format!("{fault}: cleared after {clear_s:?} s"));
        }
    }
    if outcome.wrong_forecasts > 0 {
        lines.push(format!("{place}: {} readings with a forecast", outcome.wrong_forecasts));
    }
    if outcome.wrong_phase == Some(true) {
        lines.push(format!("{place}: a phase was named that is not so"));
    }
    lines
}
