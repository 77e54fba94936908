//! What may be done to a cgroup: a small, checked set of orders. Plain data; comes in from whoever decides, goes to
//! whoever acts. Nothing here touches a cgroup, and no order that breaks a rule can be built or decoded.

use std::{fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

/// How long an order may hold without being renewed, milliseconds.
pub const TTL_MS: RangeInclusive<u64> = 1_000..=60_000;
/// How long it holds unless told otherwise, milliseconds.
pub const DEFAULT_TTL_MS: u64 = 10_000;
/// The part of what a scope used that it always keeps, as a divisor: a quarter, so at most 75 % is ever shed.
pub const KEPT: u64 = 4;

/// Longest path of a target, bytes.
const MAX_PATH_BYTES: usize = 1024;
/// Longest name of one cgroup, bytes: `NAME_MAX` of the kernel.
const MAX_NAME_BYTES: usize = 255;
/// Longest lease id, bytes.
const MAX_LEASE_BYTES: usize = 64;
/// Longest reason, bytes.
const MAX_REASON_BYTES: usize = 512;
/// The kernel's bounds for the period of `cpu.max`, microseconds.
const PERIOD_US: RangeInclusive<u64> = 1_000..=1_000_000;
/// The least quota: what the kernel accepts, microseconds.
const MIN_QUOTA_US: u64 = 1_000;
/// CPU time per second that no host exceeds: 8,192 CPUs, microseconds.
const MAX_CPU_US_PER_S: u64 = 8_192_000_000;
/// The kernel's bounds for `cpu.weight`.
const WEIGHT: RangeInclusive<u64> = 1..=10_000;
/// Bounds for `memory.high`, bytes: 1 MiB to 1 EiB.
const MEMORY_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 60;
/// Bounds of a retry budget: share of inbound work in percent, attempts per second, usual fan-out in thousandths.
const RETRY_PCT: RangeInclusive<u64> = 0..=100;
const RETRY_PER_S: RangeInclusive<u64> = 1..=10_000;
const FAN_OUT_MILLI: RangeInclusive<u64> = 0..=1_000_000;
/// The root of the hierarchy has this id.
const ROOT_ID: u64 = 1;

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

/// One cgroup: where it is, and which one it was when it was judged. Never the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawTarget")]
pub struct Target {
    path: String,
    cgroup_id: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTarget {
    path: String,
    cgroup_id: u64,
}

impl TryFrom<RawTarget> for Target {
    type Error = ActionError;

    fn try_from(raw: RawTarget) -> Result<Self, ActionError> {
        Self::new(raw.path, raw.cgroup_id)
    }
}

impl Target {
    /// Checks that `path` is one of a cgroup below the root, from the root of the hierarchy, and `cgroup_id` one that
    /// such a cgroup can have. Whether they belong together is looked at when it is used.
    ///
    /// # Errors
    /// See [`ActionError::Target`].
    pub fn new(path: impl Into<String>, cgroup_id: u64) -> Result<Self, ActionError> {
        let path = path.into();
        let named = |name: &str| (1..=MAX_NAME_BYTES).contains(&name.len()) && name != "." && name != "..";
        let why = match path.strip_prefix('/') {
            _ if path.len() > MAX_PATH_BYTES => Some("it is longer than 1024 bytes"),
            _ if path.contains('\0') => Some("it has a zero byte"),
            None => Some("it does not begin at the root"),
            Some("") => Some("it is the root"),
            Some(names) if !names.split('/').all(named) => Some("a name in it is empty, too long, `.` or `..`"),
            Some(_) if cgroup_id <= ROOT_ID => Some("its cgroup_id is that of no cgroup below the root"),
            Some(_) => None,
        };
        match why {
            Some(why) => Err(ActionError::Target {
                path: start(&path),
                why,
            }),
            None => Ok(Self { path, cgroup_id }),
        }
    }

    /// From the root of the hierarchy, with a leading slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// cgroup v2 id: the inode of its directory.
    #[must_use]
    pub const fn cgroup_id(&self) -> u64 {
        self.cgroup_id
    }
}

/// What is done to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// A budget for connection attempts, kept by the kernel programs.
    RetryBudget {
        /// Retries allowed, percent of inbound work: 0 to 100.
        retry_pct: u64,
        /// Retries allowed besides, per second: 1 to 10,000.
        per_s: u64,
        /// Attempts per unit of inbound work when all is well, in thousandths: 0 to 1,000,000.
        fan_out_milli: u64,
    },
    /// `cpu.max`.
    CpuMax {
        /// CPU time in each period, microseconds: at least 1,000, and a quarter of what was used.
        quota_us: u64,
        /// Period, microseconds: 1,000 to 1,000,000.
        period_us: u64,
        /// CPU time the scope used lately, microseconds per second. Measured; without it nothing may be limited.
        used_us_per_s: u64,
    },
    /// `cpu.weight`.
    CpuWeight {
        /// 1 to 10,000; not below a quarter of what is found.
        weight: u64,
    },
    /// `memory.high`.
    MemoryHigh {
        /// Bytes, 1 MiB to 1 EiB; not below half of what is used.
        bytes: u64,
    },
    /// `cgroup.freeze`: the one action that takes everything, so it must be allowed by name and ends after a minute.
    Freeze,
}

impl Action {
    /// Its name in messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RetryBudget { .. } => "retry_budget",
            Self::CpuMax { .. } => "cpu_max",
            Self::CpuWeight { .. } => "cpu_weight",
            Self::MemoryHigh { .. } => "memory_high",
            Self::Freeze => "freeze",
        }
    }

    fn check(&self) -> Result<(), ActionError> {
        match *self {
            Self::RetryBudget {
                retry_pct,
                per_s,
                fan_out_milli,
            } => {
                within("retry_pct", retry_pct, &RETRY_PCT)?;
                within("per_s", per_s, &RETRY_PER_S)?;
                within("fan_out_milli", fan_out_milli, &FAN_OUT_MILLI)
            }
            Self::CpuMax {
                quota_us,
                period_us,
                used_us_per_s,
            } => {
                within("period_us", period_us, &PERIOD_US)?;
                within("quota_us", quota_us, &(MIN_QUOTA_US..=MAX_CPU_US_PER_S))?;
                within("used_us_per_s", used_us_per_s, &(1..=MAX_CPU_US_PER_S))?;
                // 8.2e9 x 1e6 fits in 64 bits.
                let least_us = (used_us_per_s * period_us).div_ceil(KEPT * 1_000_000);
                let enough = quota_us >= least_us;
                enough.then_some(()).ok_or(ActionError::Floor {
                    quota_us,
                    period_us,
                    used_us_per_s,
                    least_us,
                })
            }
            Self::CpuWeight { weight } => within("weight", weight, &WEIGHT),
            Self::MemoryHigh { bytes } => within("bytes", bytes, &MEMORY_BYTES),
            Self::Freeze => Ok(()),
        }
    }
}

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

fn within(name: &'static str, value: u64, range: &RangeInclusive<u64>) -> Result<(), ActionError> {
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
fn start(text: &str) -> String {
    text.chars().take(80).collect()
}
