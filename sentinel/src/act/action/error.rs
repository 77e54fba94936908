//! Why an order may not be given.

use std::ops::RangeInclusive;

use super::{lease::MAX_LEASE_BYTES, order::MAX_REASON_BYTES};

/// An order that may not be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// The target is no cgroup below the mount.
    #[error("{path:?} is no target ({why}); name a cgroup below the root by its path, as in a verdict's scope.path")]
    Target {
        /// As given, cut to its first bytes.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The lease id cannot be used.
    #[error("{lease:?} is no lease id; use 1 to {MAX_LEASE_BYTES} letters, digits, `-`, `_`, `.` or `:`")]
    Lease {
        /// As given, cut to its first bytes.
        lease: String,
    },
    /// A number is out of its range.
    #[error("{name} is {value}, and may be {least} to {most}; correct it")]
    Range {
        /// Which number.
        name: &'static str,
        /// What was given.
        value: u64,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
    /// The limit would take more than three quarters of what is used.
    #[error(
        "a quota of {quota_us} us in {period_us} us takes more than 75 % of the {used_us_per_s} us per second used; \
         allow at least {least_us} us"
    )]
    Floor {
        /// Quota as given.
        quota_us: u64,
        /// Period as given.
        period_us: u64,
        /// What the scope uses.
        used_us_per_s: u64,
        /// The least quota in that period.
        least_us: u64,
    },
    /// The reason is empty, too long, or has control characters.
    #[error("the reason is empty, longer than {MAX_REASON_BYTES} bytes or has control characters; give one sentence")]
    Reason,
}

/// Checks a number.
pub(super) fn within(name: &'static str, value: u64, range: &RangeInclusive<u64>) -> Result<(), ActionError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(ActionError::Range {
        name,
        value,
        least: *range.start(),
        most: *range.end(),
    })
}

/// The first characters of what may be long, for a message.
pub(super) fn start(text: &str) -> String {
    text.chars().take(80).collect()
}
