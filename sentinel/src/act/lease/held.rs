//! One lease from the order to its end: when it is renewed, when it has had its effect, when it ends. Pure: every moment
//! is an argument, and what is to be done comes out as a [`Next`].

use super::{
    effect::{Effect as Told, Expectation, Measured},
    need::{CALM_NS, Need},
    view::{Effect, LeaseView},
};
use crate::{
    act::{action::Order, actuator::Tally},
    judge::verdict::{Level, Signal},
    time::Now,
};

const SECOND_NS: u64 = 1_000_000_000;
/// A lease is renewed when this part of its time has passed: three renewals may fail before it lapses.
const RENEW_PART: u64 = 4;
/// No renewal comes sooner after the last; it also brings what was refused so far.
const RENEW_LEAST_NS: u64 = SECOND_NS / 5;
const RENEW_MOST_NS: u64 = SECOND_NS;

/// Who called for it.
#[derive(Clone, Debug)]
pub(super) struct Called {
    /// The rule; `None` when a person did.
    pub(super) rule: Option<String>,
    /// Signal and verdict; `None` when a person did.
    pub(super) signal: Option<Signal>,
    pub(super) verdict_id: Option<String>,
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Ordered, and not heard of yet.
    Ordered,
    /// It holds.
    Holds,
    /// It is being undone.
    Ending,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// Nothing.
    Nothing,
    /// Renew it.
    Renew,
    /// Undo it, because of this.
    End(String),
}

/// What was seen of the scope at one reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// The level of its signal; `None` when there is no such scope any more.
    pub(super) level: Option<Level>,
    /// What was measured.
    pub(super) measured: &'a Measured,
    /// How long what was seen is good for, nanoseconds.
    pub(super) good_for_ns: u64,
}

/// One lease.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) order: Order,
    pub(super) called: Called,
    pub(super) standing: Standing,
    began: Now,
    /// When the last renewal was asked for, and when it lapses without another.
    renewed_ns: u64,
    expires_ns: u64,
    /// A renewal is under way.
    asked: bool,
    renewals: u64,
    need: Need,
    /// No renewal goes beyond it.
    last_ns: u64,
    expectation: Expectation,
    effect: Effect,
    pub(super) detail: String,
    /// Why it is being undone.
    pub(super) why: Option<String>,
}

impl Held {
    /// Ordered now. `hold_ns`: how long it may be renewed; a person's order needs no other reason until then.
    pub(super) fn new(order: Order, called: Called, expectation: Expectation, hold_ns: u64, now: Now) -> Self {
        let by_hand = called.rule.is_none();
        let last_ns = now.monotonic_ns.saturating_add(hold_ns);
        let expires_ns = now.monotonic_ns.saturating_add(order.ttl().ns());
        Self {
            called,
            standing: Standing::Ordered,
            began: now,
            renewed_ns: now.monotonic_ns,
            expires_ns,
            asked: false,
            renewals: 0,
            need: Need::until(if by_hand { last_ns } else { expires_ns }),
            last_ns,
            expectation,
            effect: Effect::Pending,
            detail: String::new(),
            why: None,
            order,
        }
    }

    /// It holds: `detail` says what.
    pub(super) fn holds(&mut self, detail: String, now: Now) {
        self.standing = Standing::Holds;
        self.detail = detail;
        self.began = now;
        (self.renewed_ns, self.expires_ns) = (now.monotonic_ns, now.monotonic_ns.saturating_add(self.order.ttl().ns()));
    }

    /// What it should bring, in one sentence.
    pub(super) fn expects(&self) -> String {
        self.expectation.sentence()
    }

    /// Nanoseconds since it began.
    pub(super) const fn held_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.began.monotonic_ns)
    }

    /// Whether its scope is overloaded, as last judged.
    pub(super) const fn overloaded(&self) -> Option<bool> {
        self.need.overloaded()
    }

    /// What it did so far.
    pub(super) const fn tally(&self) -> Option<Tally> {
        self.need.tally()
    }

    /// Takes in a reading; what came of the effect, once.
    pub(super) fn observe(&mut self, seen: &Seen<'_>, now_ns: u64) -> Option<Told> {
        if self.standing != Standing::Holds {
            return None;
        }
        if self.called.rule.is_some() {
            self.need.weigh(seen.level, seen.good_for_ns, now_ns);
        }
        if self.effect != Effect::Pending {
            return None;
        }
        let told = self.expectation.observe(seen.measured, self.held_ns(now_ns))?;
        self.effect = match &told {
            Told::Met(_) => Effect::Met,
            Told::Missed(_) => Effect::Missed,
            Told::Unknown(_) => Effect::Unknown,
        };
        Some(told)
    }

    /// What is to be done now.
    pub(super) fn next(&mut self, now_ns: u64) -> Next {
        if self.standing != Standing::Holds {
            return Next::Nothing;
        }
        if now_ns >= self.last_ns {
            let held_s = self.held_ns(now_ns) / SECOND_NS;
            return Next::End(if self.called.rule.is_some() {
                format!("it was held for {held_s} s, the longest allowed for one verdict")
            } else {
                format!("the {held_s} s it was asked for are over")
            });
        }
        if self.need.is_past(now_ns) {
            return Next::End(format!(
                "its scope has been back to normal for {} s, and nothing had to be refused",
                CALM_NS / SECOND_NS
            ));
        }
        let part = (self.order.ttl().ns() / RENEW_PART).clamp(RENEW_LEAST_NS, RENEW_MOST_NS);
        let due = now_ns.saturating_sub(self.renewed_ns) >= part;
        // A person's order that is for no longer than its ttl is not renewed at all.
        let once = self.last_ns.saturating_sub(self.began.monotonic_ns) <= self.order.ttl().ns();
        if due && !self.asked && !once && self.need.lasts(now_ns) {
            self.asked = true;
            self.renewed_ns = now_ns;
            return Next::Renew;
        }
        Next::Nothing
    }

    /// A renewal was done.
    pub(super) fn renewed(&mut self, tally: Option<Tally>) {
        self.asked = false;
        self.renewals += 1;
        // It holds from when the renewal was asked for, at the least.
        self.expires_ns = self.renewed_ns.saturating_add(self.order.ttl().ns());
        self.need.count(tally);
    }

    /// The last count, when it ended.
    pub(super) fn counted(&mut self, tally: Option<Tally>) {
        self.need.count(tally);
    }

    /// Whether nobody has heard of it for longer than it can hold.
    pub(super) const fn is_over(&self, now_ns: u64) -> bool {
        now_ns > self.expires_ns.saturating_add(SECOND_NS)
    }

    /// As a surface shows it.
    pub(super) fn view(&self, now_ns: u64) -> LeaseView {
        LeaseView {
            id: self.order.lease().to_string(),
            action: self.order.action().name().into(),
            detail: self.detail.clone(),
            rule: self.called.rule.clone(),
            scope: self.order.target().path().into(),
            cgroup_id: self.order.target().cgroup_id(),
            signal: self.called.signal,
            verdict_id: self.called.verdict_id.clone(),
            reason: self.order.reason().into(),
            began: self.began.rfc3339(),
            held_s: self.held_ns(now_ns) as f64 / 1e9,
            ttl_ms: self.order.ttl().ms(),
            left_ms: self.expires_ns.saturating_sub(now_ns) / 1_000_000,
            renewals: self.renewals,
            expects: self.expects(),
            effect: self.effect,
            refused: self.need.tally().map(|tally| tally.refused),
            allowed: self.need.tally().map(|tally| tally.allowed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::action::{Action, LeaseId, Target, Ttl};

    const GOOD_FOR_NS: u64 = 5 * SECOND_NS / 2;

    fn at(ns: u64) -> Now {
        Now {
            unix_ms: 0,
            monotonic_ns: ns,
        }
    }

    fn held(rule: Option<&str>, hold_ns: u64) -> Held {
        let action = Action::RetryBudget {
            per_s: 10,
            fan_out_milli: 1000,
        };
        let order = Order::new(
            LeaseId::new("01J").expect("an id"),
            Target::new("/shop.service", 4711).expect("a target"),
            action.clone(),
            Ttl::try_from(10_000).expect("a ttl"),
            "a storm",
        )
        .expect("an order");
        let called = Called {
            rule: rule.map(Into::into),
            signal: None,
            verdict_id: None,
        };
        let expectation = Expectation::of(&action, &Measured::default(), 5 * SECOND_NS);
        let mut held = Held::new(order, called, expectation, hold_ns, at(0));
        held.holds("all of it".into(), at(0));
        held
    }

    /// Readings every 200 ms of this level and these refusals per second, from one second to another; what was to be done.
    fn walk(held: &mut Held, level: Option<Level>, refused_per_s: u64, seconds: std::ops::Range<u64>) -> Vec<Next> {
        let mut all = Vec::new();
        for step in seconds.start * 5 + 1..=seconds.end * 5 {
            let now_ns = step * SECOND_NS / 5;
            let seen = Seen {
                level,
                measured: &Measured::default(),
                good_for_ns: GOOD_FOR_NS,
            };
            held.observe(&seen, now_ns);
            let next = held.next(now_ns);
            if next == Next::Renew {
                let before = held.tally().unwrap_or_default();
                held.renewed(Some(Tally {
                    refused: before.refused + refused_per_s,
                    allowed: before.allowed + 100,
                }));
            }
            if next != Next::Nothing {
                all.push(next);
            }
        }
        all
    }

    #[test]
    fn it_is_renewed_every_second_while_the_verdict_stands() {
        let mut held = held(Some("storm"), 600 * SECOND_NS);
        let done = walk(&mut held, Some(Level::Veto), 300, 0..30);
        assert_eq!(done.len(), 30);
        assert!(done.iter().all(|next| *next == Next::Renew));
        assert!(held.view(30 * SECOND_NS).left_ms >= 9_000);
    }

    #[test]
    fn it_goes_on_while_something_is_refused_although_the_level_is_nominal() {
        let mut held = held(Some("storm"), 600 * SECOND_NS);
        walk(&mut held, Some(Level::Veto), 300, 0..5);
        let done = walk(&mut held, Some(Level::Nominal), 300, 5..25);
        assert!(done.iter().all(|next| *next == Next::Renew), "{done:?}");
        let done = walk(&mut held, Some(Level::Nominal), 0, 25..35);
        let ended = done.iter().position(|next| matches!(next, Next::End(_)));
        assert!(ended.is_some_and(|after| (4..=7).contains(&after)), "{done:?}");
    }

    #[test]
    fn without_data_it_is_not_renewed_and_lapses() {
        for level in [None, Some(Level::Unknown)] {
            let mut held = held(Some("storm"), 600 * SECOND_NS);
            walk(&mut held, Some(Level::Veto), 300, 0..5);
            let done = walk(&mut held, level, 300, 5..20);
            assert!(done.len() <= 3, "{done:?}");
            assert!(held.is_over(20 * SECOND_NS));
        }
    }

    #[test]
    fn it_is_not_held_longer_than_allowed() {
        let mut held = held(Some("storm"), 20 * SECOND_NS);
        let done = walk(&mut held, Some(Level::Veto), 300, 0..21);
        assert!(
            matches!(done.last(), Some(Next::End(why)) if why.contains("longest allowed")),
            "{done:?}"
        );
    }

    #[test]
    fn a_persons_order_needs_no_verdict_and_ends_when_its_time_is_over() {
        let mut held = held(None, 30 * SECOND_NS);
        let done = walk(&mut held, Some(Level::Unknown), 0, 0..30);
        assert_eq!(done.iter().filter(|next| **next == Next::Renew).count(), 29);
        assert!(
            matches!(done.last(), Some(Next::End(why)) if why.contains("are over")),
            "{done:?}"
        );
    }

    #[test]
    fn a_renewal_that_is_not_answered_is_not_asked_for_again() {
        let mut held = held(Some("storm"), 600 * SECOND_NS);
        let seen = Seen {
            level: Some(Level::Veto),
            measured: &Measured::default(),
            good_for_ns: GOOD_FOR_NS,
        };
        let mut renewals = 0;
        for second in 1..12 {
            held.observe(&seen, second * SECOND_NS);
            renewals += u32::from(held.next(second * SECOND_NS) == Next::Renew);
        }
        assert_eq!(renewals, 1);
        assert!(held.is_over(13 * SECOND_NS));
    }
}
