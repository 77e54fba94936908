//! Verdicts and outcomes as JSON, written once per tick: every surface that carries JSON carries these bytes.

use std::sync::Arc;

use serde::Serialize;

use super::{Snapshot, escape};
use crate::{act::Outcome, judge::Verdict};

/// One thing to publish.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it is.
    pub body: Body,
    /// One JSON object without a line break, schema `sentinel.verdict/1` or `sentinel.outcome/1`. Prints safely.
    pub json: Arc<str>,
}

/// What a record is.
#[derive(Clone, Debug)]
pub enum Body {
    /// Schema `sentinel.verdict/1`.
    Verdict(Arc<Verdict>),
    /// Schema `sentinel.outcome/1`.
    Outcome(Arc<Outcome>),
}

/// The records of one tick: verdicts in order, then outcomes in order.
///
/// # Errors
/// Only if a type that is shown stops being representable in JSON.
pub fn records(snapshot: &Snapshot) -> Result<Vec<Record>, serde_json::Error> {
    let verdicts = snapshot.verdicts.iter().map(|verdict| {
        Ok(Record {
            json: object(verdict.as_ref())?,
            body: Body::Verdict(Arc::clone(verdict)),
        })
    });
    let outcomes = snapshot.outcomes.iter().map(|outcome| {
        Ok(Record {
            json: object(outcome.as_ref())?,
            body: Body::Outcome(Arc::clone(outcome)),
        })
    });
    verdicts.chain(outcomes).collect()
}

/// One value as one line of JSON.
///
/// # Errors
/// See [`records`].
pub fn object(value: &impl Serialize) -> Result<Arc<str>, serde_json::Error> {
    Ok(escape::json(serde_json::to_string(value)?).into())
}
