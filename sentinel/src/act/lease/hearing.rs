//! What the hands said: a lease holds, goes on, or is over. Replies come in, outcomes and answers go out.

use super::{Desk, held::Standing, said};
use crate::{
    act::{
        action::LeaseId,
        actuator::Tally,
        hands::{Done, Hand},
        outcome::ActionResult,
    },
    time::Now,
};

impl Desk {
    /// Takes in what a hand said.
    pub(in crate::act) fn hear(&mut self, done: Done, now: Now) {
        match done {
            Done::Ready(_, Ok(put_back)) => self.said.extend(put_back.iter().map(|one| said::left(one, now))),
            Done::Ready(hand, Err(reason)) => {
                tracing::warn!("{reason}");
                self.unavailable.insert(hand, reason);
            }
            Done::Applied(lease, Ok(applied)) => {
                let Some(held) = self.held.get_mut(&lease) else { return };
                if held.standing == Standing::Ordered {
                    held.holds(applied.wrote.clone(), now);
                }
                let began = ActionResult::Began { detail: applied.wrote };
                self.said.push(said::outcome(held, began, now));
                self.answer(&lease, Ok(()));
            }
            Done::Applied(lease, Err(error)) => {
                let reason = error.to_string();
                self.answer(&lease, Err(reason.clone()));
                if let Some(held) = self.held.remove(&lease) {
                    self.said
                        .push(said::outcome(&held, ActionResult::Failed { reason }, now));
                }
            }
            Done::Renewed(lease, Ok(tally)) => {
                if let Some(held) = self.held.get_mut(&lease) {
                    held.renewed(tally);
                }
            }
            Done::Renewed(lease, Err(error)) => self.over(&lease, error.to_string(), None, now),
            Done::Reverted(lease, Ok(put_back), tally) => {
                let why = self.held.get(&lease).and_then(|held| held.why.clone());
                let why = said::words(&put_back, why.unwrap_or_default());
                self.over(&lease, why, tally, now);
            }
            Done::Reverted(lease, Err(error), tally) => self.over(&lease, error.to_string(), tally, now),
            Done::Gone(reason) => {
                tracing::error!("{reason}");
                for hand in [Hand::Kernel, Hand::Files] {
                    self.unavailable.insert(hand, reason.clone());
                }
                let held: Vec<LeaseId> = self.held.keys().cloned().collect();
                for lease in held {
                    self.over(&lease, reason.clone(), None, now);
                }
            }
            Done::Lapsed(put_back) => {
                let lease = put_back.lease.clone();
                self.over(
                    &lease,
                    said::words(&put_back, "it was not renewed in time".into()),
                    None,
                    now,
                );
            }
        }
    }

    /// A lease has ended.
    pub(super) fn over(&mut self, lease: &LeaseId, why: String, tally: Option<Tally>, now: Now) {
        self.answer(lease, Ok(()));
        let Some(mut held) = self.held.remove(lease) else {
            return;
        };
        held.counted(tally);
        let tally = held.tally();
        let ended = ActionResult::Ended {
            why,
            refused: tally.map(|tally| tally.refused),
            allowed: tally.map(|tally| tally.allowed),
        };
        self.said.push(said::outcome(&held, ended, now));
    }
}
