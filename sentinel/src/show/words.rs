//! Sentences that more than one surface uses. What comes out prints safely and fits on a line.

use super::{escape, state::SurfaceState};
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

/// What is wrong with a surface, or was; `None` when nothing ever was.
#[must_use]
pub fn surface(surface: &SurfaceState) -> Option<String> {
    let lost = (surface.lost > 0).then(|| format!("{} lost", surface.lost));
    let unwell = surface.unwell.as_deref().map(bounded);
    let said: Vec<_> = unwell.into_iter().chain(lost).collect();
    (!said.is_empty()).then(|| format!("{}: {}", bounded(&surface.name), said.join(", ")))
}

/// One line of a plan: what would be done, is done, or is held back and why.
#[must_use]
pub fn planned(action: &PlannedAction) -> String {
    let name = spaced(&action.action);
    let Some(rule) = &action.rule else {
        return match (&action.forbidden, action.would, action.waits) {
            (Some(why), ..) => format!("{name} held back: {}", bounded(why)),
            (None, true, _) => format!("would run {name}"),
            (None, false, true) => format!("{name} {}", waits(action)),
            (None, false, false) => format!("runs {name}"),
        };
    };
    let what = format!("{name} (rule {})", bounded(rule));
    match (&action.forbidden, action.would, action.waits) {
        (Some(why), ..) => format!("{what} held back: {}", bounded(why)),
        (None, true, _) => format!("would begin {what}"),
        (None, false, true) => format!("{what} {}", waits(action)),
        (None, false, false) => format!("begins {what}"),
    }
}

fn waits(action: &PlannedAction) -> String {
    format!("waits for `sentinel veto approve {}`", bounded(&action.id))
}

/// Whether an action ended as it should.
#[must_use]
pub fn ended_well(outcome: &Outcome) -> bool {
    matches!(
        outcome.result,
        ActionResult::Exited { code: 0 }
            | ActionResult::Began { .. }
            | ActionResult::Effective { .. }
            | ActionResult::Ended { .. }
    )
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
        ActionResult::Began { detail } => format!("{name} holds: {}", bounded(detail)),
        ActionResult::Effective { measured } => format!("{name} has its effect: {}", bounded(measured)),
        ActionResult::Ineffective { measured } => {
            format!("{name} had no effect and is undone: {}", bounded(measured))
        }
        ActionResult::Ended { why, refused, allowed } => {
            let counts = match (refused, allowed) {
                (Some(refused), Some(allowed)) => format!("; {refused} refused, {allowed} let through"),
                _ => String::new(),
            };
            format!("{name} ended {after}: {}{counts}", bounded(why))
        }
        ActionResult::Failed { reason } => format!("{name} failed: {}", bounded(reason)),
        ActionResult::Expired => format!("{name} was not approved in time, and is dropped"),
        ActionResult::Disarmed { rule, reason } => {
            format!("rule {} acts no more: {}", bounded(rule), bounded(reason))
        }
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
