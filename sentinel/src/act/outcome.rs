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
    /// Id of the verdict that called for it.
    pub verdict_id: String,
    /// What: `hook:NAME`.
    pub action: String,
    /// Scope it was for: cgroup path, `host` or `other`.
    pub scope: String,
    /// Signal it was for.
    pub signal: Signal,
    /// How it ended.
    pub result: ActionResult,
    /// From start to end, milliseconds.
    pub duration_ms: u64,
    /// The last bytes it printed (standard output and error together), at most 4 KiB, escaped where not UTF-8.
    pub output_tail: String,
    /// Bytes it printed in all.
    pub output_bytes: u64,
}

/// How an action ended.
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
}
