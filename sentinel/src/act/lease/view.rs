//! What a surface shows of a lease, and of a plan that waits: plain data, as of one moment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{act::plan::Plan, judge::verdict::Signal};

/// One action that holds now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeaseView {
    /// Its id: that of the plan it came from. What is lifted by `sentinel veto lift`.
    pub id: String,
    /// What: `retry_budget`, `admission`, `cpu_max`, `cpu_weight`, `memory_high` or `freeze`.
    pub action: String,
    /// What that means here, in one sentence.
    pub detail: String,
    /// Rule that called for it; `None` when a person did.
    pub rule: Option<String>,
    /// cgroup path it holds for.
    pub scope: String,
    /// cgroup v2 id it holds for.
    pub cgroup_id: u64,
    /// Signal that called for it; `None` when a person did.
    pub signal: Option<Signal>,
    /// Verdict that called for it; `None` when a person did.
    pub verdict_id: Option<String>,
    /// Why, in one sentence.
    pub reason: String,
    /// RFC 3339 time at which it began.
    pub began: String,
    /// Seconds since then.
    pub held_s: f64,
    /// How long it holds without being renewed, milliseconds.
    pub ttl_ms: u64,
    /// Milliseconds until it lapses, unless it is renewed before.
    pub left_ms: u64,
    /// How often it was renewed.
    pub renewals: u64,
    /// What it should bring, in one sentence.
    pub expects: String,
    /// Whether it did.
    pub effect: Effect,
    /// What it refused so far; `None` where the action refuses nothing, or this was not read yet.
    pub refused: Option<u64>,
    /// What it let through so far; `None` as for `refused`.
    pub allowed: Option<u64>,
}

/// Whether an action had the effect that was expected of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is not time to say.
    #[default]
    Pending,
    /// It had.
    Met,
    /// It had not: it is being undone.
    Missed,
    /// It cannot be told: what it is measured by was not measured.
    Unknown,
}

/// A plan that waits for approval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WaitingView {
    /// The plan. Its `id` is what `sentinel veto approve` takes.
    pub plan: Plan,
    /// Milliseconds until it is dropped.
    pub left_ms: u64,
}
