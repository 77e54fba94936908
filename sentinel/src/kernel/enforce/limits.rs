//! What a scope may still do, as numbers a person understands, and as the kernel keeps it.

use sentinel_common::budget::{
    LIMIT_ACCEPTS, LIMIT_BY_ANSWERS, LIMIT_CONNECTS, MOST_PER_S, POLICY_VERSION, Policy, RESERVE_PER_S, SHARE_ALL,
    SHARE_LEAST, deposit, floor,
};

use super::EnforceError;

/// Largest fan-out: more than a hundred attempts for each request that comes in is no service's habit.
const MOST_FAN_OUT: u32 = 100_000;

/// What a scope may still do. At least one of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// For a scope that retries too much: a budget for its connection attempts.
    pub connects: Option<Connects>,
    /// For a scope that is hit: admission of new connections.
    pub accepts: Option<Accepts>,
}

/// A budget for connection attempts: what inbound work usually causes, and 20 % more, and a reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connects {
    /// Work that usually goes out for a thousand units that come in: the baseline of alpha, times 1000.
    pub fan_out_permille: u32,
    /// Attempts per second that need no inbound work. A scope whose work comes in other ways than TCP lives on it.
    pub reserve_per_s: u32,
    /// Whether an attempt needs a credit too, which answers bring: for a scope whose attempts stay unanswered, as in an
    /// overload that sustains itself. Its inbound work must be seen, because a quarter of that is what always passes.
    pub by_answers: bool,
}

impl Default for Connects {
    /// One attempt for each request, and the reserve of ten per second.
    fn default() -> Self {
        Self {
            fan_out_permille: 1000,
            reserve_per_s: RESERVE_PER_S,
            by_answers: false,
        }
    }
}

/// Admission of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepts {
    /// Connections per second that the scope can finish; `None` when that is not known, and only the share counts.
    pub finish_per_s: Option<u32>,
    /// Share that is admitted, per thousand: 250 to 1000.
    pub share_permille: u32,
}

impl Limits {
    /// As the kernel keeps it, but for the time and the index.
    pub(super) fn policy(&self) -> Result<Policy, EnforceError> {
        let mut policy = Policy {
            version: POLICY_VERSION,
            share: SHARE_ALL,
            ..Policy::default()
        };
        if let Some(connects) = self.connects {
            within("fan_out_permille", connects.fan_out_permille, 0, MOST_FAN_OUT)?;
            within("reserve_per_s", connects.reserve_per_s, 0, MOST_PER_S)?;
            policy.limits |= LIMIT_CONNECTS;
            policy.deposit = deposit(connects.fan_out_permille);
            policy.reserve_per_s = connects.reserve_per_s;
            if connects.by_answers {
                policy.limits |= LIMIT_BY_ANSWERS;
                policy.floor = floor(connects.fan_out_permille);
            }
        }
        if let Some(accepts) = self.accepts {
            if let Some(per_s) = accepts.finish_per_s {
                within("finish_per_s", per_s, 1, MOST_PER_S)?;
            }
            within("share_permille", accepts.share_permille, SHARE_LEAST, SHARE_ALL)?;
            policy.limits |= LIMIT_ACCEPTS;
            policy.finish_per_s = accepts.finish_per_s.unwrap_or(0);
            policy.share = accepts.share_permille;
        }
        if policy.limits == 0 {
            return Err(EnforceError::Limits("a policy without a limit limits nothing".into()));
        }
        Ok(policy)
    }
}

fn within(name: &str, value: u32, least: u32, most: u32) -> Result<(), EnforceError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(EnforceError::Limits(format!(
        "{name} is {value}; it goes from {least} to {most}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_attempt_per_request_brings_a_token_and_a_fifth() {
        let limits = Limits {
            connects: Some(Connects::default()),
            accepts: None,
        };
        let policy = limits.policy().unwrap();
        assert_eq!(policy.deposit, 1_200_000_000);
        assert_eq!((policy.reserve_per_s, policy.limits), (10, LIMIT_CONNECTS));
    }

    #[test]
    fn limits_out_of_range_are_refused_by_name() {
        let accepts = |finish_per_s, share_permille| Limits {
            connects: None,
            accepts: Some(Accepts {
                finish_per_s,
                share_permille,
            }),
        };
        let connects = Connects {
            fan_out_permille: MOST_FAN_OUT + 1,
            reserve_per_s: 0,
            by_answers: false,
        };
        let wrong = [
            (Limits::default(), "without a limit"),
            (accepts(Some(0), 1000), "finish_per_s is 0"),
            (accepts(None, 249), "share_permille is 249; it goes from 250 to 1000"),
            (accepts(None, 1001), "share_permille is 1001"),
            (
                Limits {
                    connects: Some(connects),
                    accepts: None,
                },
                "fan_out_permille is 100001",
            ),
        ];
        for (limits, said) in wrong {
            let error = limits.policy().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
