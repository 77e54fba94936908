//! A configuration that was read again while the agent runs: what the stages are told, and what the surfaces say of it.

use crate::{
    act::outcome::{self, ActionResult, Outcome},
    config::Config,
    time::Now,
};

/// What came of reading it again.
#[derive(Debug)]
pub enum Reload {
    /// It is good.
    Good {
        /// What holds from now on.
        config: Box<Config>,
        /// What differs, and what needs a restart.
        said: String,
    },
    /// It is not: what held goes on.
    Bad {
        /// What is wrong with it, and where.
        reason: String,
    },
}

impl Reload {
    /// The line for the surfaces.
    pub(super) fn outcome(&self, now: Now) -> Outcome {
        let result = match self {
            Self::Good { said, .. } => ActionResult::Began { detail: said.clone() },
            Self::Bad { reason } => ActionResult::Failed {
                reason: format!("{reason}; the configuration that was in force stays"),
            },
        };
        Outcome {
            schema: outcome::SCHEMA.into(),
            time: now.rfc3339(),
            verdict_id: None,
            lease: None,
            action: "reload".into(),
            scope: "host".into(),
            signal: None,
            result,
            duration_ms: 0,
            output_tail: String::new(),
            output_bytes: 0,
        }
    }
}
