//! What programs in the kernel limit: connection attempts, by a budget, and new connections, by a share. Which lease is on
//! which cgroup, and what it refused.
//!
//! An [`Order`] comes in, a policy goes to [`Enforcer`]. What a policy means and when it ends is the kernel's: here nothing
//! is decided about a connection. Needs no record on disk, because nothing outlives the process.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{Actuator, ActuatorError, Knob, Tally, directory::not_ours};
use crate::{
    act::{
        action::{Action, LeaseId, Order, Target, Ttl},
        message::{Applied, Ending, PutBack, Why},
    },
    kernel::enforce::{Accepts, Connects, Counts, EnforceError, Enforcer, Limits, Refusal, Scope},
    time::Now,
};

/// Its name in messages.
const NAME: &str = "shedding";
/// What is found, and put back.
const NO_LIMIT: &str = "no limit";

/// Puts retry budgets and admission on cgroups. Dropping it lifts them all.
pub struct Shedding {
    mount: PathBuf,
    enforcer: Enforcer,
    held: BTreeMap<LeaseId, Held>,
}

struct Held {
    target: Target,
    knob: Knob,
    wrote: String,
}

impl Shedding {
    /// With the programs of an enforcer, on the hierarchy mounted there.
    #[must_use]
    pub const fn new(mount: PathBuf, enforcer: Enforcer) -> Self {
        Self {
            mount,
            enforcer,
            held: BTreeMap::new(),
        }
    }

    fn error(target: &Target, error: &EnforceError) -> ActuatorError {
        let path = target.path().to_owned();
        match error {
            EnforceError::Vanished { found: None, .. } => ActuatorError::Vanished { path },
            EnforceError::Vanished {
                id, found: Some(found), ..
            } => ActuatorError::Recreated {
                path,
                expected: *id,
                found: *found,
            },
            other => ActuatorError::Invalid {
                reason: crate::kernel::describe(other),
            },
        }
    }

    fn put_back(lease: &LeaseId, held: &Held, why: Why, ending: Ending, now: Now) -> PutBack {
        PutBack {
            lease: lease.clone(),
            target: held.target.clone(),
            knob: held.knob,
            found: NO_LIMIT.into(),
            wrote: held.wrote.clone(),
            why,
            ending,
            unix_ms: now.unix_ms,
        }
    }

    /// What an action limits, and that in words; `None` for what others do.
    fn limits(&self, action: &Action) -> Option<Result<(Limits, String), ActuatorError>> {
        Some(match *action {
            Action::RetryBudget { per_s, fan_out_milli } => self.budget(per_s, fan_out_milli),
            Action::Admission { share_permille } => admission(share_permille),
            _ => return None,
        })
    }

    fn budget(&self, per_s: u64, fan_out_milli: u64) -> Result<(Limits, String), ActuatorError> {
        let error = match self.enforcer.refusal() {
            Refusal::ConnectionRefused => "ECONNREFUSED",
            Refusal::NotPermitted => "EPERM",
        };
        let limits = Limits {
            connects: Some(Connects {
                fan_out_permille: narrow("fan_out_milli", fan_out_milli)?,
                reserve_per_s: narrow("per_s", per_s)?,
                by_answers: true,
            }),
            accepts: None,
        };
        let words = format!(
            "{:.2} attempts for each request that comes in and {per_s}/s, less while none is answered; others end with {error}",
            fan_out_milli as f64 * 1.2 / 1000.0
        );
        Ok((limits, words))
    }
}

fn admission(share_permille: u64) -> Result<(Limits, String), ActuatorError> {
    let limits = Limits {
        connects: None,
        accepts: Some(Accepts {
            finish_per_s: None,
            share_permille: narrow("share_permille", share_permille)?,
        }),
    };
    let words = format!(
        "{:.0} % of new connections at first, fewer while it is overloaded and never less than 25 %, slowly more again \
         after that; others get no answer",
        share_permille as f64 / 10.0
    );
    Ok((limits, words))
}

fn narrow(name: &str, value: u64) -> Result<u32, ActuatorError> {
    u32::try_from(value).map_err(|_| ActuatorError::Invalid {
        reason: format!("{name} is {value}, which is too much"),
    })
}

impl Actuator for Shedding {
    fn name(&self) -> &'static str {
        NAME
    }

    fn apply(&mut self, order: &Order, _now: Now) -> Result<Applied, ActuatorError> {
        let (limits, wrote) = self.limits(order.action()).ok_or_else(|| ActuatorError::NotMine {
            actuator: NAME.into(),
            action: order.action().name().into(),
        })??;
        let (lease, target) = (order.lease(), order.target());
        if self.held.contains_key(lease) {
            return Err(ActuatorError::LeaseTaken { lease: lease.clone() });
        }
        not_ours(target)?;
        let scope = Scope {
            path: self.mount.join(target.path().trim_start_matches('/')),
            id: target.cgroup_id(),
        };
        let put = self
            .enforcer
            .put(&scope, &limits, Duration::from_nanos(order.ttl().ns()));
        put.map_err(|error| Self::error(target, &error))?;
        let knob = Knob::of(order.action());
        let held = Held {
            target: target.clone(),
            knob,
            wrote: wrote.clone(),
        };
        self.held.insert(lease.clone(), held);
        Ok(Applied {
            lease: lease.clone(),
            knob,
            found: NO_LIMIT.into(),
            wrote,
        })
    }

    fn renew(&mut self, lease: &LeaseId, ttl: Ttl, _now: Now) -> Result<(), ActuatorError> {
        let held = self
            .held
            .get(lease)
            .ok_or_else(|| ActuatorError::Unknown { lease: lease.clone() })?;
        let renewed = self
            .enforcer
            .renew(held.target.cgroup_id(), Duration::from_nanos(ttl.ns()));
        match renewed {
            Ok(()) => Ok(()),
            Err(EnforceError::NotHeld(_)) => {
                self.held.remove(lease);
                Err(ActuatorError::Lapsed { lease: lease.clone() })
            }
            Err(error) => {
                // A policy that cannot be changed was ended.
                let error = Self::error(&held.target, &error);
                self.held.remove(lease);
                Err(error)
            }
        }
    }

    /// Down by 5 % of what is admitted, or up by 1 % of everything: re-admission is slower than shedding.
    fn adjust(&mut self, lease: &LeaseId, overloaded: bool) {
        let Some(held) = self.held.get(lease).filter(|held| held.knob == Knob::Accept) else {
            return;
        };
        // One that cannot be changed was ended, which the renewal that follows tells.
        if let Err(error) = self.enforcer.step(held.target.cgroup_id(), overloaded) {
            tracing::debug!(%error, "a step of admission");
        }
    }

    fn revert(&mut self, lease: &LeaseId, now: Now) -> Result<PutBack, ActuatorError> {
        let held = self
            .held
            .remove(lease)
            .ok_or_else(|| ActuatorError::Unknown { lease: lease.clone() })?;
        let ending = match self.enforcer.lift(held.target.cgroup_id()) {
            Ok(_) => Ending::Restored,
            // Its time was over before.
            Err(_) => Ending::AlreadyBack,
        };
        Ok(Self::put_back(lease, &held, Why::Asked, ending, now))
    }

    fn tally(&self, lease: &LeaseId) -> Option<Tally> {
        let held = self.held.get(lease)?;
        let Counts { connects, accepts, .. } = self.enforcer.counts(held.target.cgroup_id()).ok()?;
        // One of both: the other limits nothing and stays at zero.
        let counted = if held.knob == Knob::Accept { accepts } else { connects };
        Some(Tally {
            refused: counted.refused,
            allowed: counted.within + counted.by_floor,
        })
    }

    fn lapse(&mut self, now: Now) -> Vec<PutBack> {
        self.enforcer.lapse();
        let held: std::collections::BTreeSet<u64> = self.enforcer.held().collect();
        let over: Vec<LeaseId> = self
            .held
            .iter()
            .filter(|(_, lease)| !held.contains(&lease.target.cgroup_id()))
            .map(|(id, _)| id.clone())
            .collect();
        let ended = over.iter().filter_map(|lease| {
            let held = self.held.remove(lease)?;
            Some(Self::put_back(lease, &held, Why::Lapsed, Ending::Restored, now))
        });
        ended.collect()
    }
}
