//! What there is to say of a lease or a rule, as an [`Outcome`]. Pure; nothing here decides anything.

use super::held::Held;
use crate::{
    act::{
        message::{Ending, PutBack},
        outcome::{self, ActionResult, Outcome},
    },
    time::Now,
};

/// An outcome of a lease, now.
pub(super) fn outcome(held: &Held, result: ActionResult, now: Now) -> Outcome {
    Outcome {
        schema: outcome::SCHEMA.into(),
        time: now.rfc3339(),
        verdict_id: held.called.verdict_id.clone(),
        lease: Some(held.order.lease().to_string()),
        action: held.order.action().name().into(),
        scope: held.order.target().path().into(),
        signal: held.called.signal,
        result,
        duration_ms: held.held_ns(now.monotonic_ns) / 1_000_000,
        output_tail: String::new(),
        output_bytes: 0,
    }
}

/// A rule does not act any more.
pub(super) fn disarmed(rule: &str, action: &str, reason: String, now: Now) -> Outcome {
    Outcome {
        schema: outcome::SCHEMA.into(),
        time: now.rfc3339(),
        verdict_id: None,
        lease: None,
        action: action.into(),
        scope: "host".into(),
        signal: None,
        result: ActionResult::Disarmed {
            rule: rule.into(),
            reason,
        },
        duration_ms: 0,
        output_tail: String::new(),
        output_bytes: 0,
    }
}

/// What an earlier agent left, and what came of it.
pub(super) fn left(put_back: &PutBack, now: Now) -> Outcome {
    Outcome {
        schema: outcome::SCHEMA.into(),
        time: now.rfc3339(),
        verdict_id: None,
        lease: Some(put_back.lease.to_string()),
        action: put_back.knob.file().into(),
        scope: put_back.target.path().into(),
        signal: None,
        result: ActionResult::Ended {
            why: words(put_back, "an earlier agent left it".into()),
            refused: None,
            allowed: None,
        },
        duration_ms: 0,
        output_tail: String::new(),
        output_bytes: 0,
    }
}

/// Why something ended, and what came of undoing it where that is not plain.
pub(super) fn words(put_back: &PutBack, why: String) -> String {
    match &put_back.ending {
        Ending::Restored | Ending::AlreadyBack => why,
        Ending::Left { now } => format!(
            "{why}; somebody had set {} to {now:?} meanwhile, which was left",
            put_back.knob.file()
        ),
        Ending::Gone => format!("{why}; the cgroup is gone"),
        Ending::Rebooted => format!("{why}; the host was started anew"),
        Ending::NotYet { reason } => format!("{why}; it cannot be undone yet, and is tried again: {reason}"),
    }
}
