//! One action on one target under one lease.

use serde::{Deserialize, Serialize};

use super::{Action, ActionError, LeaseId, Target, Ttl};

/// Longest reason, bytes.
pub(super) const MAX_REASON_BYTES: usize = 512;

/// One action on one target under one lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawOrder")]
pub struct Order {
    lease: LeaseId,
    target: Target,
    action: Action,
    ttl_ms: Ttl,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOrder {
    lease: LeaseId,
    target: Target,
    action: Action,
    ttl_ms: Ttl,
    reason: String,
}

impl TryFrom<RawOrder> for Order {
    type Error = ActionError;

    fn try_from(raw: RawOrder) -> Result<Self, ActionError> {
        Self::new(raw.lease, raw.target, raw.action, raw.ttl_ms, raw.reason)
    }
}

impl Order {
    /// Checks the action and the reason.
    ///
    /// # Errors
    /// A number out of its range, a limit below the floor, or a reason that is none.
    pub fn new(
        lease: LeaseId,
        target: Target,
        action: Action,
        ttl_ms: Ttl,
        reason: impl Into<String>,
    ) -> Result<Self, ActionError> {
        let reason = reason.into();
        action.check()?;
        if !(1..=MAX_REASON_BYTES).contains(&reason.len()) || reason.chars().any(char::is_control) {
            return Err(ActionError::Reason);
        }
        Ok(Self {
            lease,
            target,
            action,
            ttl_ms,
            reason,
        })
    }

    /// Under which lease.
    #[must_use]
    pub const fn lease(&self) -> &LeaseId {
        &self.lease
    }

    /// On which cgroup.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// What is done.
    #[must_use]
    pub const fn action(&self) -> &Action {
        &self.action
    }

    /// How long it holds without being renewed.
    #[must_use]
    pub const fn ttl(&self) -> Ttl {
        self.ttl_ms
    }

    /// Why, in one sentence.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
