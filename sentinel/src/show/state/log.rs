//! The log of what was said: the latest verdicts and outcomes under one sequence number, bounded.

use std::{collections::VecDeque, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    act::{ActionResult, Outcome},
    judge::{
        Verdict,
        verdict::{Cause, Level, Phase, PlannedAction, Signal},
    },
    show::{escape, words},
};

/// Columns of a sentence at the most.
const SENTENCE_COLUMNS: usize = 480;
/// Columns of a name at the most.
const NAME_COLUMNS: usize = 80;

/// What an entry tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A verdict.
    Verdict,
    /// What became of an action.
    Outcome,
}

/// One entry, short: the whole record is served beside it, and stands in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Counts entries of a run from 1.
    pub seq: u64,
    /// Wall clock, RFC 3339.
    pub time: String,
    /// What it tells of.
    pub kind: Kind,
    /// Id of the verdict; `None` when a person asked for the action.
    pub verdict_id: Option<String>,
    /// Name of the scope, printable.
    pub name: String,
    /// Its signal; `None` when a person asked for the action.
    pub signal: Option<Signal>,
    /// The action, for an outcome.
    pub action: Option<String>,
    /// The level now; `None` for an outcome.
    pub level: Option<Level>,
    /// The level before; `None` for an outcome.
    pub previous: Option<Level>,
    /// Why; `None` for an outcome.
    pub cause: Option<Cause>,
    /// Phase of an amplifying scope.
    pub phase: Option<Phase>,
    /// The incident it belongs to.
    pub incident: Option<String>,
    /// Whether an action ended as it should; `None` for a verdict.
    pub well: Option<bool>,
    /// One sentence, printable.
    pub text: String,
    /// What would be done or is done.
    pub plan: Vec<PlannedAction>,
}

/// The latest entries.
#[derive(Debug, Default)]
pub struct Log {
    entries: VecDeque<Arc<Entry>>,
    most: usize,
    seq: u64,
}

impl Log {
    /// Keeps at most this many.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// The sequence number of the last entry; 0 when there was none.
    #[must_use]
    pub const fn last_seq(&self) -> u64 {
        self.seq
    }

    /// What is kept, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.iter()
    }

    /// Takes note of a verdict.
    pub(super) fn verdict(&mut self, verdict: &Verdict) {
        self.push(Entry {
            seq: 0,
            time: verdict.time.clone(),
            kind: Kind::Verdict,
            verdict_id: Some(verdict.id.clone()),
            name: name(verdict.scope.name()),
            signal: Some(verdict.signal),
            action: None,
            level: Some(verdict.level),
            previous: Some(verdict.previous),
            cause: Some(verdict.cause),
            phase: verdict.phase,
            incident: verdict.incident.as_ref().map(|incident| incident.id.clone()),
            well: None,
            text: sentence(&verdict.summary),
            plan: verdict.plan.clone(),
        });
    }

    /// Takes note of an outcome.
    pub(super) fn outcome(&mut self, outcome: &Outcome) {
        let scope = &outcome.scope;
        self.push(Entry {
            seq: 0,
            time: outcome.time.clone(),
            kind: Kind::Outcome,
            verdict_id: outcome.verdict_id.clone(),
            name: name(scope.rsplit('/').find(|part| !part.is_empty()).unwrap_or(scope)),
            signal: outcome.signal,
            action: Some(name(&outcome.action)),
            level: None,
            previous: None,
            cause: None,
            phase: None,
            incident: None,
            well: Some(words::ended_well(outcome)),
            text: sentence(&words::outcome(outcome)),
            plan: Vec::new(),
        });
    }

    fn push(&mut self, entry: Entry) {
        self.seq += 1;
        if self.entries.len() == self.most {
            self.entries.pop_front();
        }
        self.entries.push_back(Arc::new(Entry { seq: self.seq, ..entry }));
    }
}

/// A name of a scope that prints and is not long.
pub(super) fn name(name: &str) -> String {
    escape::cut(&escape::line(name), NAME_COLUMNS)
}

/// A sentence that prints and is not long.
pub(super) fn sentence(text: &str) -> String {
    escape::cut(&escape::line(text), SENTENCE_COLUMNS)
}

/// What became of an action, in a word.
pub(super) const fn kind(result: &ActionResult) -> &'static str {
    match result {
        ActionResult::Exited { code: 0 } => "succeeded",
        ActionResult::Exited { .. } | ActionResult::Failed { .. } => "failed",
        ActionResult::Killed { .. } => "killed",
        ActionResult::TimedOut => "timed_out",
        ActionResult::NotStarted { .. } => "not_started",
        ActionResult::Began { .. } => "began",
        ActionResult::Effective { .. } => "effective",
        ActionResult::Ineffective { .. } => "ineffective",
        ActionResult::Ended { .. } => "ended",
        ActionResult::Expired => "expired",
        ActionResult::Disarmed { .. } => "disarmed",
    }
}
