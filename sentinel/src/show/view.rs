//! What a reader sees on a terminal or in a log: state in, text out. Nothing here writes, reads a clock or a sensor.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anstyle::{AnsiColor, Style as Paint};
use sentinel_common::loss::LESS_EXACT;

use super::{Unavailable, escape, words};
use crate::{
    act::Outcome,
    config::Autonomy,
    judge::{
        Verdict,
        verdict::{Cause, Level, Signal},
    },
    sense::sample::Origin,
};

pub(super) const GREEN: Paint = AnsiColor::Green.on_default();
pub(super) const YELLOW: Paint = AnsiColor::Yellow.on_default();
pub(super) const RED: Paint = AnsiColor::Red.on_default().bold();
pub(super) const BOLD: Paint = Paint::new().bold();
pub(super) const DIM: Paint = Paint::new().dimmed();

/// Columns of a scope's name.
const NAME_COLUMNS: usize = 24;
/// Columns of a summary at the most; a terminal wraps it.
const SUMMARY_COLUMNS: usize = 320;

/// How text is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether to use colour.
    pub colour: bool,
    /// Columns of the terminal; `None` when it is none. Without columns, times carry their date.
    pub columns: Option<usize>,
}

impl Style {
    /// No colour, no terminal.
    #[must_use]
    pub const fn plain() -> Self {
        Self {
            colour: false,
            columns: None,
        }
    }

    pub(super) fn paint(self, paint: Paint, text: &str) -> String {
        if self.colour {
            format!("{paint}{text}{paint:#}")
        } else {
            text.to_owned()
        }
    }
}

/// What is known when a run begins.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Version of the agent.
    pub version: String,
    /// Host and kernel.
    pub origin: Arc<Origin>,
    /// Sensors that run.
    pub sensors: Vec<String>,
    /// Sensors that do not, with the reason.
    pub unavailable: Arc<Vec<Unavailable>>,
    /// Where verdicts go: `journald`, `standard output`.
    pub destinations: Vec<String>,
    /// Where the page is served; `None` when it is not.
    pub page: Option<String>,
    /// Time between ticks.
    pub interval: Duration,
    /// What the agent may do by itself.
    pub autonomy: Autonomy,
    /// Names of the hooks, in the order of the configuration.
    pub hooks: Vec<String>,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Ticks.
    pub ticks: u64,
    /// Ticks that began late.
    pub late_ticks: u64,
    /// Verdicts by level.
    pub verdicts: BTreeMap<Level, u64>,
    /// Actions that ended as they should.
    pub actions_well: u64,
    /// Actions that did not.
    pub actions_failed: u64,
    /// What was lost, by kind.
    pub losses: BTreeMap<String, u64>,
    /// What the agent cost of late, and what it may, shares of one CPU; `None` while it was not known.
    pub cost: Option<(f64, f64)>,
}

/// The head of a run: what is watched, what is not and why, where verdicts go, what the agent may do.
#[must_use]
pub fn opening(opening: &Opening, style: &Style) -> String {
    let origin = &opening.origin;
    let host = escape::line(&origin.host);
    let mut text = format!(
        "{} on {host}, Linux {}, {}; a tick every {}\n",
        style.paint(BOLD, &format!("sentinel {}", opening.version)),
        escape::line(&origin.kernel),
        count(u64::from(origin.cpus), "CPU"),
        humantime::format_duration(opening.interval),
    );
    let mut row = |name: &str, value: &str| text.push_str(&format!("  {name:<9} {value}\n"));
    row("watches", &listed(&opening.sensors, "nothing"));
    for unavailable in opening.unavailable.iter() {
        let reason = format!("{}: {}", unavailable.sensor, unavailable.reason);
        row("does not", &style.paint(YELLOW, &escape::line(&reason)));
    }
    row("verdicts", &format!("to {}", listed(&opening.destinations, "nowhere")));
    if let Some(page) = &opening.page {
        row("page", &escape::line(page));
    }
    row("hooks", &listed(&opening.hooks, "none"));
    row("autonomy", autonomy(opening.autonomy));
    text
}

/// One verdict: a line, and one more per planned action.
#[must_use]
pub fn verdict(verdict: &Verdict, style: &Style) -> String {
    let mut text = format!(
        "{}  {}  {}  {:<13}  {}",
        style.paint(DIM, &time(&verdict.time, style)),
        style.paint(paint(verdict.level), &format!("{:<7}", verdict.level.name())),
        escape::column(verdict.scope.name(), NAME_COLUMNS),
        verdict.signal.name(),
        escape::cut(&escape::line(&verdict.summary), SUMMARY_COLUMNS),
    );
    if !matches!(verdict.cause, Cause::None | Cause::Undetermined) {
        text.push_str(&style.paint(DIM, &format!(" ({})", verdict.cause.name())));
    }
    text.push('\n');
    for action in &verdict.plan {
        text.push_str(&format!(
            "{}{}\n",
            indent(style),
            style.paint(DIM, &format!("→ {}", words::planned(action)))
        ));
    }
    text
}

/// One outcome: a line.
#[must_use]
pub fn outcome(outcome: &Outcome, style: &Style) -> String {
    let level = if words::ended_well(outcome) { GREEN } else { YELLOW };
    let scope = outcome
        .scope
        .rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or(&outcome.scope);
    format!(
        "{}  {}  {}  {:<13}  {}\n",
        style.paint(DIM, &time(&outcome.time, style)),
        style.paint(level, "action "),
        escape::column(scope, NAME_COLUMNS),
        outcome.signal.map_or("-", Signal::name),
        words::outcome(outcome),
    )
}

/// The end of a run: ticks, verdicts, actions, losses, and what it cost.
#[must_use]
pub fn closing(totals: &Totals, style: &Style) -> String {
    let late = match totals.late_ticks {
        0 => "none late".to_owned(),
        late => style.paint(YELLOW, &format!("{late} late")),
    };
    let levels = [Level::Veto, Level::Watch, Level::Nominal, Level::Unknown].map(|level| {
        let count = totals.verdicts.get(&level).copied().unwrap_or(0);
        format!("{count} {}", level.name())
    });
    let mut text = format!(
        "{}, {late}; verdicts: {}",
        count(totals.ticks, "tick"),
        levels.join(", ")
    );
    if totals.actions_well + totals.actions_failed > 0 {
        text.push_str(&format!(
            "; actions: {} succeeded, {} failed",
            totals.actions_well, totals.actions_failed
        ));
    }
    let (inexact, lost): (Vec<_>, Vec<_>) = totals
        .losses
        .iter()
        .partition(|(kind, _)| LESS_EXACT.contains(&kind.as_str()));
    let kinds = |losses: Vec<(&String, &u64)>| -> Vec<String> {
        losses
            .into_iter()
            .map(|(kind, count)| format!("{} {count}", escape::line(kind)))
            .collect()
    };
    text.push_str(&format!("\nlost: {}\n", listed(&kinds(lost), "nothing")));
    if !inexact.is_empty() {
        text.push_str(&format!("less exact: {}\n", kinds(inexact).join(", ")));
    }
    if let Some((cost, budget)) = totals.cost {
        let (cost, budget) = (100.0 * cost, 100.0 * budget);
        text.push_str(&format!("cost: {cost:.2} % of one CPU, budget {budget:.2} %\n"));
    }
    text
}

/// The paint of a level.
pub(super) const fn paint(level: Level) -> Paint {
    match level {
        Level::Veto => RED,
        Level::Watch => YELLOW,
        Level::Nominal => GREEN,
        Level::Unknown => DIM,
    }
}

/// `1 tick`, `2 ticks`.
pub(super) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The clock alone on a terminal, the whole time in a log.
fn time(rfc3339: &str, style: &Style) -> String {
    let whole = escape::line(rfc3339);
    match (style.columns, whole.get(11..19)) {
        (Some(_), Some(clock)) => clock.to_owned(),
        _ => whole,
    }
}

fn indent(style: &Style) -> String {
    " ".repeat(if style.columns.is_some() { 10 } else { 26 })
}

fn listed(names: &[String], none: &str) -> String {
    if names.is_empty() {
        return none.to_owned();
    }
    names
        .iter()
        .map(|name| escape::line(name))
        .collect::<Vec<_>>()
        .join(", ")
}

const fn autonomy(autonomy: Autonomy) -> &'static str {
    match autonomy {
        Autonomy::Observe => "observe: says what it would do, does nothing",
        Autonomy::Approve => "approve: does what a person approves",
        Autonomy::Auto => "auto: acts by itself",
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
