//! Sentences that more than one surface uses. What comes out prints safely and fits on a line.

use super::escape;
use crate::{
    act::{Outcome, outcome::ActionResult},
    judge::verdict::PlannedAction,
    sense::sample::Scope,
};

/// Columns of foreign text in a sentence.
const FOREIGN_COLUMNS: usize = 160;

/// The scope as a reader finds it again: its path, or `host`.
#[must_use]
pub fn scope(scope: &Scope) -> String {
    escape::line(if scope.path.is_empty() {
        scope.name()
    } else {
        &scope.path
    })
}

/// One line of a plan: what would be done, is done, or is held back and why.
#[must_use]
pub fn planned(action: &PlannedAction) -> String {
    let name = spaced(&action.action);
    match (&action.forbidden, action.would) {
        (Some(why), _) => format!("{name} held back: {}", bounded(why)),
        (None, true) => format!("would run {name}"),
        (None, false) => format!("runs {name}"),
    }
}

/// Whether an action ended as it should.
#[must_use]
pub fn ended_well(outcome: &Outcome) -> bool {
    outcome.result == ActionResult::Exited { code: 0 }
}

/// What became of an action, with the last line it printed.
#[must_use]
pub fn outcome(outcome: &Outcome) -> String {
    let name = spaced(&outcome.action);
    let after = format!("after {} ms", outcome.duration_ms);
    let ended = match &outcome.result {
        ActionResult::Exited { code: 0 } => format!("{name} succeeded {after}"),
        ActionResult::Exited { code } => format!("{name} failed with exit code {code} {after}"),
        ActionResult::Killed { signal } => format!("{name} was killed by signal {signal} {after}"),
        ActionResult::TimedOut => format!("{name} was still running {after} and was killed with its process group"),
        ActionResult::NotStarted { reason } => format!("{name} could not be started: {}", bounded(reason)),
    };
    match outcome.output_tail.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(last) => format!(
            "{ended}; printed {} bytes, last: {}",
            outcome.output_bytes,
            bounded(last.trim())
        ),
        None => ended,
    }
}

fn spaced(action: &str) -> String {
    bounded(&action.replacen(':', " ", 1))
}

fn bounded(text: &str) -> String {
    escape::cut(&escape::line(text), FOREIGN_COLUMNS)
}
