//! What may be done to a cgroup: a small, checked set of orders. Plain data; comes in from whoever decides, goes to
//! whoever acts. Nothing here touches a cgroup, and no order that breaks a rule can be built or decoded.

mod error;
mod lease;
mod order;
mod target;

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use self::error::within;
pub use self::{
    error::ActionError,
    lease::{DEFAULT_TTL_MS, LeaseId, TTL_MS, Ttl},
    order::Order,
    target::Target,
};

/// The part of what a scope used that it always keeps, as a divisor: a quarter, so at most 75 % is ever shed.
pub const KEPT: u64 = 4;

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
/// Bounds of a retry budget: attempts per second, usual fan-out in thousandths.
const RETRY_PER_S: RangeInclusive<u64> = 1..=10_000;
const FAN_OUT_MILLI: RangeInclusive<u64> = 0..=100_000;
/// Bounds of what is admitted: never less than a quarter, and less than all.
const SHARE_PERMILLE: RangeInclusive<u64> = 250..=990;

/// What is done to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// A budget for connection attempts, kept by the kernel programs: what inbound work usually brings, and 20 % more.
    RetryBudget {
        /// Attempts allowed besides, per second: 1 to 10,000.
        per_s: u64,
        /// Attempts per unit of inbound work when all is well, in thousandths: 0 to 100,000.
        fan_out_milli: u64,
    },
    /// A share of new connections from outside, kept by a kernel program: less, step by step, while the scope is
    /// overloaded, and slowly more when it is not any more.
    Admission {
        /// What is admitted at first, per thousand: 250 to 990.
        share_permille: u64,
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
            Self::Admission { .. } => "admission",
            Self::CpuMax { .. } => "cpu_max",
            Self::CpuWeight { .. } => "cpu_weight",
            Self::MemoryHigh { .. } => "memory_high",
            Self::Freeze => "freeze",
        }
    }

    fn check(&self) -> Result<(), ActionError> {
        match *self {
            Self::RetryBudget { per_s, fan_out_milli } => {
                within("per_s", per_s, &RETRY_PER_S)?;
                within("fan_out_milli", fan_out_milli, &FAN_OUT_MILLI)
            }
            Self::Admission { share_permille } => within("share_permille", share_permille, &SHARE_PERMILLE),
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
