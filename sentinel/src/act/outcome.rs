//! `Outcome`: what became of an action.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::judge::verdict::Signal;

/// The schema name in every outcome.
pub const SCHEMA: &str = "sentinel.outcome/1";

/// What became of one action. Schema `sentinel.outcome/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// RFC 3339 time at which it ended.
    pub time: String,
    /// Id of the verdict that called for it; `None` when a person did.
    pub verdict_id: Option<String>,
    /// Its lease, which is the id of its plan; `None` for a hook.
    #[serde(default)]
    pub lease: Option<String>,
    /// What: `hook:NAME`, the action of a lease, as `retry_budget`, or `reload`: the configuration was read again.
    pub action: String,
    /// Scope it was for: cgroup path, `host` or `other`.
    pub scope: String,
    /// Signal it was for; `None` when a person asked.
    pub signal: Option<Signal>,
    /// What became of it.
    pub result: ActionResult,
    /// From start to this, milliseconds.
    pub duration_ms: u64,
    /// The last bytes it printed (standard output and error together), at most 4 KiB, escaped where not UTF-8.
    pub output_tail: String,
    /// Bytes it printed in all.
    pub output_bytes: u64,
}

/// What became of an action. Those of a lease come in order: it began, its effect came or not, it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ActionResult {
    /// It ended by itself with this code.
    Exited {
        /// Exit code; 0 is success.
        code: i32,
    },
    /// A signal ended it; the agent sends 9 when it stops.
    Killed {
        /// Number of the signal.
        signal: i32,
    },
    /// It was still running at its timeout; its process group was killed.
    TimedOut,
    /// It could not be started.
    NotStarted {
        /// Why, with the remedy.
        reason: String,
    },
    /// A lease began: it holds from now on.
    Began {
        /// What holds.
        detail: String,
    },
    /// The effect that was expected of a lease came.
    Effective {
        /// What was measured, beside what was expected.
        measured: String,
    },
    /// The effect did not come: the action is undone, and its rule does not act any more.
    Ineffective {
        /// What was measured, beside what was expected.
        measured: String,
    },
    /// A lease ended: it was undone.
    Ended {
        /// Why.
        why: String,
        /// What it refused in all; `None` where it refuses nothing.
        refused: Option<u64>,
        /// What it let through in all; `None` as for `refused`.
        allowed: Option<u64>,
    },
    /// It could not be done, or not be undone yet.
    Failed {
        /// Why, with the remedy.
        reason: String,
    },
    /// Nobody approved it in time.
    Expired,
    /// A rule stopped acting.
    Disarmed {
        /// Its name.
        rule: String,
        /// Why, with the remedy.
        reason: String,
    },
}
