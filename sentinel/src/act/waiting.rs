//! Plans that wait for approval: what each is about, and until when. Pure; carries nothing out.

use std::sync::Arc;

use super::{
    action::LeaseId,
    lease::{Draft, WaitingView},
    plan::Plan,
};
use crate::judge::Verdict;

/// Plans that wait at the most; the oldest makes room.
const MOST: usize = 64;

/// One plan that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) plan: Plan,
    pub(super) verdict: Arc<Verdict>,
    /// What to order; `None` for a hook.
    pub(super) draft: Option<Draft>,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub(super) until_ns: u64,
}

/// All that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    plans: Vec<Waiting>,
}

impl Queue {
    /// Adds one. Returns the one that had to make room.
    pub(super) fn add(&mut self, waiting: Waiting) -> Option<Waiting> {
        let crowded = (self.plans.len() >= MOST).then(|| self.plans.remove(0));
        self.plans.push(waiting);
        crowded
    }

    /// Takes one out, by the id of its plan.
    pub(super) fn take(&mut self, id: &LeaseId) -> Option<Waiting> {
        let id = id.to_string();
        let index = self.plans.iter().position(|waiting| waiting.plan.id == id)?;
        Some(self.plans.remove(index))
    }

    /// Takes out those whose time is over.
    pub(super) fn expire(&mut self, now_ns: u64) -> Vec<Waiting> {
        self.plans
            .extract_if(.., |waiting| waiting.until_ns <= now_ns)
            .collect()
    }

    /// Whether one waits for this cgroup and action.
    pub(super) fn has(&self, cgroup_id: u64, action: &str) -> bool {
        let mut plans = self.plans.iter();
        plans.any(|waiting| waiting.plan.action == action && waiting.verdict.scope.cgroup_id == cgroup_id)
    }

    /// As surfaces show them.
    pub(super) fn views(&self, now_ns: u64) -> Vec<WaitingView> {
        let view = |waiting: &Waiting| WaitingView {
            plan: waiting.plan.clone(),
            left_ms: waiting.until_ns.saturating_sub(now_ns) / 1_000_000,
        };
        self.plans.iter().map(view).collect()
    }
}
