//! Which lease an order is under, and how long it holds.

use std::{fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use super::error::{ActionError, start, within};

/// How long an order may hold without being renewed, milliseconds.
pub const TTL_MS: RangeInclusive<u64> = 1_000..=60_000;
/// How long it holds unless told otherwise, milliseconds.
pub const DEFAULT_TTL_MS: u64 = 10_000;

/// Longest lease id, bytes.
pub(super) const MAX_LEASE_BYTES: usize = 64;

/// The id of a lease: what is renewed and reverted. Chosen by whoever gives the order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LeaseId(String);

impl LeaseId {
    /// Checks it.
    ///
    /// # Errors
    /// Empty, longer than 64 bytes, or with other characters than letters, digits and `-_.:`.
    pub fn new(id: impl Into<String>) -> Result<Self, ActionError> {
        let id = id.into();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if (1..=MAX_LEASE_BYTES).contains(&id.len()) && id.bytes().all(plain) {
            Ok(Self(id))
        } else {
            Err(ActionError::Lease { lease: start(&id) })
        }
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for LeaseId {
    type Error = ActionError;

    fn try_from(id: String) -> Result<Self, ActionError> {
        Self::new(id)
    }
}

impl From<LeaseId> for String {
    fn from(id: LeaseId) -> Self {
        id.0
    }
}

/// How long an order holds without being renewed: [`TTL_MS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Ttl(u64);

impl Ttl {
    /// Milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// Nanoseconds.
    #[must_use]
    pub const fn ns(self) -> u64 {
        self.0 * 1_000_000
    }
}

impl Default for Ttl {
    fn default() -> Self {
        Self(DEFAULT_TTL_MS)
    }
}

impl TryFrom<u64> for Ttl {
    type Error = ActionError;

    fn try_from(ms: u64) -> Result<Self, ActionError> {
        within("ttl_ms", ms, &TTL_MS).map(|()| Self(ms))
    }
}

impl From<Ttl> for u64 {
    fn from(ttl: Ttl) -> Self {
        ttl.0
    }
}
