//! From what is wanted to an order: how much a scope keeps rests on what it was measured to have or use. Pure.

use crate::{
    act::action::{Action, ActionError, LeaseId, Order, Target, Ttl},
    config::{RuleAction, RuleConfig},
    judge::Verdict,
    sense::sample::Scope,
};

use super::effect::Measured;

/// The period of `cpu.max` that is written, microseconds: the kernel's default.
const PERIOD_US: u64 = 100_000;
/// The least quota that the kernel takes, microseconds.
const LEAST_QUOTA_US: u64 = 1_000;
/// The weight every cgroup has until somebody sets another.
const DEFAULT_WEIGHT: u64 = 100;
/// Fan-out that counts while a scope has no past: one attempt for each request.
const FAN_OUT_MILLI: u64 = 1_000;
/// Most fan-out that a budget takes.
const MOST_FAN_OUT_MILLI: f64 = 100_000.0;
/// Longest reason, characters; an order takes 512 bytes.
const REASON_CHARS: usize = 120;

/// What is wanted: a rule's action, or a person's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) action: RuleAction,
    pub(super) reserve_per_s: u64,
    pub(super) keep_pct: u64,
    /// Attempts for each unit of work that comes in, in thousandths; `None` to take what is usual.
    pub(super) fan_out_milli: Option<u64>,
}

impl Wanted {
    /// By a rule, because of a verdict.
    pub(super) fn by(rule: &RuleConfig, verdict: &Verdict) -> Self {
        let usual = verdict.baseline.map(|baseline| baseline.mean);
        Self {
            action: rule.action,
            reserve_per_s: u64::from(rule.reserve_per_s),
            keep_pct: u64::from(rule.keep_pct),
            // Never less than one attempt for each request: a past without work would leave nothing.
            fan_out_milli: usual.map(|usual| (usual * 1e3).clamp(FAN_OUT_MILLI as f64, MOST_FAN_OUT_MILLI) as u64),
        }
    }

    /// As an action on a scope of which this was measured.
    ///
    /// # Errors
    /// What it would take from was not measured.
    pub(super) fn action(&self, measured: &Measured) -> Result<Action, String> {
        let kept = |amount: f64| (amount * self.keep_pct as f64 / 100.0).ceil();
        Ok(match self.action {
            RuleAction::RetryBudget => Action::RetryBudget {
                per_s: self.reserve_per_s,
                fan_out_milli: self.fan_out_milli.unwrap_or(FAN_OUT_MILLI),
            },
            RuleAction::Admission => {
                measured
                    .accepts
                    .filter(|(accepts, _)| *accepts > 0.0)
                    .ok_or("it accepts no connections that were measured, so there are none to admit fewer of")?;
                Action::Admission {
                    share_permille: self.keep_pct * 10,
                }
            }
            RuleAction::CpuMax => {
                let (on_cpu_ms, seconds) = measured
                    .on_cpu
                    .filter(|(on_cpu_ms, _)| *on_cpu_ms > 0.0)
                    .ok_or("the CPU time it uses was not measured, so nothing may be taken from it")?;
                let used_us_per_s = (on_cpu_ms * 1e3 / seconds).ceil();
                let quota_us = kept(used_us_per_s * PERIOD_US as f64 / 1e6) as u64;
                Action::CpuMax {
                    quota_us: quota_us.max(LEAST_QUOTA_US),
                    period_us: PERIOD_US,
                    used_us_per_s: used_us_per_s as u64,
                }
            }
            RuleAction::CpuWeight => Action::CpuWeight {
                weight: kept(DEFAULT_WEIGHT as f64) as u64,
            },
            RuleAction::MemoryHigh => {
                let used_mb = measured
                    .memory_mb
                    .ok_or("the memory it uses was not measured: its cgroup has no memory controller")?;
                Action::MemoryHigh {
                    bytes: kept(used_mb * 1e6) as u64,
                }
            }
            RuleAction::Freeze => Action::Freeze,
        })
    }
}

/// An order on one scope.
///
/// # Errors
/// See [`ActionError`].
pub(super) fn order(lease: &str, scope: &Scope, action: Action, ttl: Ttl, reason: &str) -> Result<Order, ActionError> {
    let target = Target::new(scope.path.clone(), scope.cgroup_id)?;
    // Names in it are hostile; an order takes one plain line.
    let plain = reason.chars().map(|c| if c.is_control() { '?' } else { c });
    let reason: String = plain.take(REASON_CHARS).collect();
    Order::new(LeaseId::new(lease)?, target, action, ttl, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(action: RuleAction) -> Wanted {
        Wanted {
            action,
            reserve_per_s: 10,
            keep_pct: 50,
            fan_out_milli: None,
        }
    }

    #[test]
    fn half_of_the_cpu_time_used_is_half_of_it_in_each_period() {
        let measured = Measured {
            on_cpu: Some((360.0, 0.2)),
            ..Measured::default()
        };
        let action = wanted(RuleAction::CpuMax).action(&measured).expect("an action");
        let expected = Action::CpuMax {
            quota_us: 90_000,
            period_us: 100_000,
            used_us_per_s: 1_800_000,
        };
        assert_eq!(action, expected);
    }

    #[test]
    fn nothing_is_taken_from_what_was_not_measured() {
        for action in [RuleAction::CpuMax, RuleAction::MemoryHigh, RuleAction::Admission] {
            assert!(wanted(action).action(&Measured::default()).is_err());
        }
        assert!(wanted(RuleAction::RetryBudget).action(&Measured::default()).is_ok());
    }

    #[test]
    fn a_server_keeps_a_share_of_the_connections_it_is_asked_for() {
        let measured = Measured {
            accepts: Some((60.0, 0.2)),
            ..Measured::default()
        };
        let action = wanted(RuleAction::Admission).action(&measured);
        assert_eq!(action, Ok(Action::Admission { share_permille: 500 }));
    }

    #[test]
    fn a_hostile_name_in_the_reason_becomes_one_plain_line() {
        let scope = Scope {
            path: "/a".into(),
            cgroup_id: 7,
            ..Scope::default()
        };
        let ttl = Ttl::try_from(10_000).expect("a ttl");
        let reason = format!("amplification of a\n\u{1b}[31m{} rose", "ü".repeat(400));
        assert!(order("01J", &scope, Action::Freeze, ttl, &reason).is_ok());
    }
}
