//! How much is done at once and in an hour: what the limits of `[veto]` are held against. Pure; says numbers, forbids
//! nothing.

use std::collections::{BTreeSet, VecDeque};

use super::Desk;
use crate::{
    act::{hands::Hand, veto::HOUR_NS},
    config::RuleAction,
    sense::sample::{Sample, Scope, ScopeKind},
};

/// When the actions of the last hour began.
#[derive(Debug, Default)]
pub(super) struct Starts(VecDeque<u64>);

impl Starts {
    /// One begins.
    pub(super) fn note(&mut self, now_ns: u64) {
        self.0.push_back(now_ns);
        while self
            .0
            .front()
            .is_some_and(|start| now_ns.saturating_sub(*start) >= HOUR_NS)
        {
            self.0.pop_front();
        }
    }

    /// How many in the last hour.
    pub(super) fn last_hour(&self, now_ns: u64) -> usize {
        let recent = |start: &&u64| now_ns.saturating_sub(**start) < HOUR_NS;
        self.0.iter().filter(recent).count()
    }
}

impl Desk {
    /// Whether a scope is held by this action, or by another one that the kernel keeps in the same place: it knows one
    /// policy for a cgroup.
    pub(super) fn is_held(&self, cgroup_id: u64, action: RuleAction) -> bool {
        let hand = Hand::of_rule(action);
        let mut held = self.held.values();
        held.any(|held| {
            let same = held.order.action().name() == action.name();
            let beside = hand == Hand::Kernel && Hand::of(held.order.action()) == hand;
            held.order.target().cgroup_id() == cgroup_id && (same || beside)
        })
    }

    /// Scopes that are held.
    pub(super) fn scopes(&self) -> usize {
        let ids = self.held.values().map(|held| held.order.target().cgroup_id());
        ids.collect::<BTreeSet<u64>>().len()
    }
}

/// Scopes that use the network in this reading, this one included.
pub(super) fn active(sample: &Sample, this: &Scope) -> usize {
    let moves = |traffic: &crate::sense::sample::Traffic| traffic.ingress_packets + traffic.egress_packets > 0;
    let others = sample.scopes.iter().filter(|scope| {
        let uses = scope
            .net
            .as_ref()
            .is_some_and(|net| moves(&net.external) || moves(&net.loopback));
        uses && scope.scope.kind == ScopeKind::Cgroup && scope.scope.cgroup_id != this.cgroup_id
    });
    1 + others.count()
}
