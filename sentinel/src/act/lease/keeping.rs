//! The life of a lease: ordered, watched, renewed while there is reason to, ended. Drafts and readings come in, tasks for
//! the hands go out. What is due when is [`Held`]'s to say.

use std::sync::Arc;

use super::{
    Desk, Draft,
    effect::Effect,
    held::{Held, Next, Seen, Standing},
    planning::measured,
    said,
};
use crate::{
    act::{
        action::LeaseId,
        hands::{Hand, Task},
        outcome::ActionResult,
    },
    judge::verdict::{Level, Signal},
    sense::sample::Sample,
    time::Now,
};

/// Why nothing is done where nothing could be.
const NO_HAND: &str = "nothing is done to cgroups in this run";

impl Desk {
    /// Orders it. From here on it counts as held.
    pub(in crate::act) fn grant(&mut self, draft: Draft, now: Now) {
        let Draft {
            order,
            called,
            expectation,
            hold_ns,
        } = draft;
        let hand = Hand::of(order.action());
        let lease = order.lease().clone();
        let given = self.give(hand, Task::Apply(order.clone()));
        let held = Held::new(order, called, expectation, hold_ns, now);
        if !given {
            let reason = self.unavailable.get(&hand).cloned().unwrap_or_else(|| NO_HAND.into());
            self.answer(&lease, Err(reason.clone()));
            self.said
                .push(said::outcome(&held, ActionResult::Failed { reason }, now));
            return;
        }
        self.starts.note(now.monotonic_ns);
        self.held.insert(lease, held);
    }

    /// Takes in a reading: what it says of every scope that is held, and of the effect of what holds.
    pub(in crate::act) fn observe(
        &mut self,
        sample: &Arc<Sample>,
        level_of: &dyn Fn(u64, Signal) -> Option<Level>,
        now: Now,
    ) {
        self.last = Arc::clone(sample);
        let mut missed = Vec::new();
        for (lease, held) in &mut self.held {
            let id = held.order.target().cgroup_id();
            let measured = measured(sample, id);
            let seen = Seen {
                level: held.called.signal.and_then(|signal| level_of(id, signal)),
                measured: &measured,
                good_for_ns: self.good_for_ns,
            };
            match held.observe(&seen, now.monotonic_ns) {
                None => {}
                Some(Effect::Met(measured)) => {
                    self.said
                        .push(said::outcome(held, ActionResult::Effective { measured }, now));
                }
                Some(Effect::Missed(measured) | Effect::Unknown(measured)) => {
                    let result = ActionResult::Ineffective {
                        measured: measured.clone(),
                    };
                    self.said.push(said::outcome(held, result, now));
                    missed.push((lease.clone(), held.called.rule.clone(), measured));
                }
            }
        }
        for (lease, rule, measured) in missed {
            self.end(&lease, "it had no effect that was measured".into());
            if let Some(rule) = rule {
                let said = self
                    .rules
                    .disarm(&rule, &format!("its last action had no effect: {measured}"), now);
                self.said.extend(said);
            }
        }
    }

    /// Renews and ends what is due. To be called often while anything is held.
    pub(in crate::act) fn tend(&mut self, now: Now) {
        let mut next = Vec::new();
        for (lease, held) in &mut self.held {
            match held.next(now.monotonic_ns) {
                Next::Nothing if held.is_over(now.monotonic_ns) => next.push((lease.clone(), None)),
                Next::Nothing => {}
                other => next.push((lease.clone(), Some(other))),
            }
        }
        for (lease, next) in next {
            match next {
                Some(Next::End(why)) => self.end(&lease, why),
                Some(_) => {
                    let Some(held) = self.held.get(&lease) else { continue };
                    let (hand, ttl) = (Hand::of(held.order.action()), held.order.ttl());
                    self.give(hand, Task::Renew(lease, ttl, held.overloaded()));
                }
                None => self.over(
                    &lease,
                    "its time is over, and whoever holds it does not answer".into(),
                    None,
                    now,
                ),
            }
        }
    }

    /// Undoes a lease, because of this.
    pub(super) fn end(&mut self, lease: &LeaseId, why: String) {
        let Some(held) = self.held.get_mut(lease) else { return };
        if held.standing == Standing::Ending {
            return;
        }
        held.standing = Standing::Ending;
        held.why = Some(why);
        let hand = Hand::of(held.order.action());
        self.give(hand, Task::Revert(lease.clone()));
    }

    /// Undoes everything: the agent ends.
    pub(in crate::act) fn end_all(&mut self) {
        let all: Vec<LeaseId> = self.held.keys().cloned().collect();
        for lease in all {
            self.end(&lease, "the agent ends".into());
        }
    }

    fn give(&self, hand: Hand, task: Task) -> bool {
        self.hands.as_ref().is_some_and(|hands| hands.give(hand, task))
    }
}
