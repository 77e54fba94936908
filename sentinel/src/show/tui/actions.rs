//! What the agent holds and what waits for approval, as it stands between two answers: a countdown goes on by itself.

use crate::act::{LeaseView, WaitingView, control::Listed};

/// What was answered, and when.
#[derive(Clone, Debug, Default)]
pub(super) struct Actions {
    listed: Option<Listed>,
    received_ns: u64,
    /// Why there is no answer.
    pub(super) missing: Option<String>,
}

/// A plan that waits, or an action that holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'a> {
    Plan(&'a WaitingView),
    Lease(&'a LeaseView),
}

impl<'a> Item<'a> {
    pub(super) fn id(self) -> &'a str {
        match self {
            Self::Plan(plan) => &plan.plan.id,
            Self::Lease(lease) => &lease.id,
        }
    }

    pub(super) fn action(self) -> &'a str {
        match self {
            Self::Plan(plan) => &plan.plan.action,
            Self::Lease(lease) => &lease.action,
        }
    }

    pub(super) fn scope(self) -> &'a str {
        match self {
            Self::Plan(plan) => &plan.plan.scope,
            Self::Lease(lease) => &lease.scope,
        }
    }

    pub(super) const fn waits(self) -> bool {
        matches!(self, Self::Plan(_))
    }

    const fn left_ms(self) -> u64 {
        match self {
            Self::Plan(plan) => plan.left_ms,
            Self::Lease(lease) => lease.left_ms,
        }
    }
}

impl Actions {
    pub(super) fn hear(&mut self, listed: Listed, now_ns: u64) {
        self.listed = Some(listed);
        self.received_ns = now_ns;
        self.missing = None;
    }

    /// An agent that does not answer holds nothing that could be told of.
    pub(super) fn miss(&mut self, why: String) {
        self.listed = None;
        self.missing = Some(why);
    }

    /// Plans first: they want something of the reader.
    pub(super) fn items(&self) -> Vec<Item<'_>> {
        let Some(listed) = &self.listed else {
            return Vec::new();
        };
        let plans = listed.waiting.iter().map(Item::Plan);
        plans.chain(listed.leases.iter().map(Item::Lease)).collect()
    }

    /// Whole seconds until a plan is dropped or a lease lapses.
    pub(super) fn left_s(&self, item: Item<'_>, now_ns: u64) -> u64 {
        let since_ms = now_ns.saturating_sub(self.received_ns) / 1_000_000;
        item.left_ms().saturating_sub(since_ms).div_ceil(1000)
    }
}
