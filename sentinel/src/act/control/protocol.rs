//! `sentinel.control/1`: one line of JSON each way. Plain data, checked when it is decoded; nothing here sends.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    act::{
        action::{LeaseId, Ttl},
        lease::{LeaseView, WaitingView},
    },
    config::{Autonomy, RuleAction},
};

/// The schema name in every message.
pub const SCHEMA: &str = "sentinel.control/1";
/// The longest request, bytes.
pub const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// What holds, and what waits.
    List,
    /// Carry out a plan that waits.
    Approve {
        /// The plan's id.
        plan: LeaseId,
    },
    /// Undo an action now, or drop a plan that waits.
    Lift {
        /// The lease's id.
        lease: LeaseId,
    },
    /// Do this to a cgroup, on the asker's own account.
    Apply(Apply),
    /// Let a rule act again that disarmed itself.
    Arm {
        /// Its name.
        rule: String,
    },
}

/// An action as a person asks for it. How much the scope has or uses is measured by the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    /// cgroup path from the root of the hierarchy, or systemd unit.
    pub scope: String,
    /// What to do.
    pub action: RuleAction,
    /// `retry_budget`: attempts per second that need no inbound work; 1 to 10,000.
    pub reserve_per_s: u64,
    /// `retry_budget`: attempts for each unit of work that comes in, in thousandths; `None` for one.
    pub fan_out_milli: Option<u64>,
    /// Other actions: what the scope keeps of what it has or uses, percent; 25 to 99.
    pub keep_pct: u64,
    /// How long it holds without being renewed.
    pub ttl_ms: Ttl,
    /// How long the agent renews it, milliseconds, at most a day; not at all when this is no more than `ttl_ms`.
    pub for_ms: u64,
    /// Why, in one sentence.
    pub reason: String,
}

/// Who asks, as the kernel or the surface tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// Somebody on the socket.
    Socket {
        /// User id.
        uid: u32,
        /// Process id.
        pid: i32,
    },
    /// Somebody with the token on the web page.
    Web,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { uid, pid } => write!(f, "uid {uid} (pid {pid})"),
            Self::Web => f.write_str("the web page"),
        }
    }
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// What holds, and what waits.
    Listed(Listed),
    /// It was done.
    Done {
        /// What, in one sentence.
        text: String,
    },
    /// It was not; nothing has changed.
    Refused {
        /// Why, with the remedy.
        reason: String,
    },
}

/// Everything that is held or waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Listed {
    /// What the agent may do.
    pub autonomy: Autonomy,
    /// What holds.
    pub leases: Vec<LeaseView>,
    /// What waits for approval.
    pub waiting: Vec<WaitingView>,
    /// Rules, and whether they act.
    pub rules: Vec<RuleView>,
}

/// A rule, and whether it acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleView {
    /// Its name.
    pub name: String,
    /// Its action.
    pub action: String,
    /// Why it does not act: it disarmed itself, or this host cannot; `None` when it acts.
    pub disarmed: Option<String>,
}

/// A message with its schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope<T> {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// What is said.
    pub message: T,
}

impl<T> Envelope<T> {
    /// One to send.
    pub fn new(message: T) -> Self {
        Self {
            schema: SCHEMA.into(),
            message,
        }
    }
}
