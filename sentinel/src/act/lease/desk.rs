//! All leases of a run, and what they rest on: the rules, the limits, who is protected, the hands. Keeps them and shows
//! them; what is done with them stands in the files beside. It never touches a cgroup by itself and never waits.

use std::{collections::BTreeMap, sync::Arc};

use super::{Answer, LeaseView, Protected, caps::Starts, held::Held, held::Standing, rules::Rules};
use crate::{
    act::{
        action::LeaseId,
        control::protocol::RuleView,
        hands::{Hand, Hands},
        outcome::Outcome,
    },
    config::{Autonomy, Config, VetoConfig},
    sense::sample::Sample,
};

/// The leases of a run.
pub(in crate::act) struct Desk {
    pub(super) autonomy: Autonomy,
    pub(super) limits: VetoConfig,
    pub(super) rules: Rules,
    pub(super) protected: Protected,
    /// Sensors that do not run, with the reason.
    pub(super) blind: Vec<(String, String)>,
    pub(super) hands: Option<Box<dyn Hands>>,
    pub(super) unavailable: BTreeMap<Hand, String>,
    pub(super) held: BTreeMap<LeaseId, Held>,
    pub(super) starts: Starts,
    pub(super) answers: BTreeMap<LeaseId, Answer>,
    pub(super) said: Vec<Outcome>,
    pub(super) last: Arc<Sample>,
    pub(super) good_for_ns: u64,
}

impl Desk {
    /// Without hands: it plans, and nothing is ever ordered.
    pub(in crate::act) fn new(config: &Config) -> Self {
        let interval_ns = u64::try_from(config.interval.as_nanos()).unwrap_or(u64::MAX);
        Self {
            autonomy: config.autonomy,
            limits: config.veto.clone(),
            rules: Rules::of(&config.rules),
            protected: Protected::named(&config.veto.protect),
            blind: Vec::new(),
            hands: None,
            unavailable: BTreeMap::new(),
            held: BTreeMap::new(),
            starts: Starts::default(),
            answers: BTreeMap::new(),
            said: Vec::new(),
            last: Arc::default(),
            // As long as the judge takes a reading for the present.
            good_for_ns: interval_ns.saturating_mul(5) / 2,
        }
    }

    /// On this host, with these hands.
    pub(in crate::act) fn on_this_host(
        &mut self,
        hands: Box<dyn Hands>,
        protected: Protected,
        blind: Vec<(String, String)>,
    ) {
        self.hands = Some(hands);
        self.protected = protected;
        self.blind = blind;
    }

    /// A sensor does not run any more.
    pub(in crate::act) fn blinded(&mut self, sensor: &str, reason: &str) {
        self.blind.push((sensor.to_owned(), reason.to_owned()));
    }

    pub(in crate::act) fn sees_again(&mut self, sensor: &str) {
        self.blind.retain(|(name, _)| name != sensor);
    }

    /// Rules and limits of another config from now on; what holds goes on as it began.
    pub(in crate::act) fn take_over(&mut self, config: &Config) {
        self.rules.take_over(&config.rules);
        self.limits = config.veto.clone();
    }

    /// Lets a rule act again. False when it was armed.
    ///
    /// # Errors
    /// There is no such rule.
    pub(in crate::act) fn arm(&mut self, name: &str) -> Result<bool, String> {
        self.rules.arm(name)
    }

    /// What there is to say since the last call.
    pub(in crate::act) fn said(&mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.said)
    }

    /// Whether anything is held.
    pub(in crate::act) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// What holds, as of a moment, the oldest first.
    pub(in crate::act) fn views(&self, now_ns: u64) -> Vec<LeaseView> {
        let holds = self.held.values().filter(|held| held.standing != Standing::Ordered);
        holds.map(|held| held.view(now_ns)).collect()
    }

    /// Rules, and whether they act.
    pub(in crate::act) fn rules(&self) -> Vec<RuleView> {
        self.rules.views(|action| self.unavailable.get(&Hand::of_rule(action)))
    }

    /// Lets the threads go.
    pub(in crate::act) fn finish(&mut self) {
        if let Some(hands) = self.hands.take() {
            hands.finish();
        }
    }
}
