//! The rules of the configuration, and whether they act: what disarms one, and what arms it again. Pure; which verdict
//! calls on a rule is told, not judged here.

use std::{collections::VecDeque, sync::Arc};

use super::said;
use crate::{
    act::{control::protocol::RuleView, outcome::Outcome},
    config::{RuleAction, RuleConfig},
    sense::sample::{Scope, ScopeKind},
    time::Now,
};

/// Time in which a rule may be called on for `max_scopes` scopes; more disarm it.
const MATCH_NS: u64 = 60_000_000_000;

/// A rule, and whether it acts.
#[derive(Debug)]
struct Rule {
    config: Arc<RuleConfig>,
    disarmed: Option<String>,
    /// Scopes that called for it lately, and when.
    called: VecDeque<(u64, u64)>,
}

impl Rule {
    fn of(config: &RuleConfig) -> Self {
        Self {
            config: Arc::new(config.clone()),
            disarmed: None,
            called: VecDeque::new(),
        }
    }
}

/// All rules, in the order of the configuration.
#[derive(Debug)]
pub(super) struct Rules(Vec<Rule>);

impl Rules {
    /// Each of them acts.
    pub(super) fn of(configs: &[RuleConfig]) -> Self {
        Self(configs.iter().map(Rule::of).collect())
    }

    /// Those of another configuration from now on. A rule that is the same in both stays disarmed where it was.
    pub(super) fn take_over(&mut self, configs: &[RuleConfig]) {
        let mut old = std::mem::take(&mut self.0);
        for new in configs {
            let said = format!("{new:?}");
            let same = old.iter().position(|rule| format!("{:?}", rule.config) == said);
            self.0.push(match same {
                Some(place) => old.swap_remove(place),
                None => Rule::of(new),
            });
        }
    }

    /// What they are.
    pub(super) fn configs(&self) -> Vec<Arc<RuleConfig>> {
        self.0.iter().map(|rule| Arc::clone(&rule.config)).collect()
    }

    /// One by its name.
    pub(super) fn config(&self, name: &str) -> Option<Arc<RuleConfig>> {
        self.find(name).map(|rule| Arc::clone(&rule.config))
    }

    /// Why one does not act; `None` when it does.
    pub(super) fn disarmed(&self, name: &str) -> Option<&str> {
        self.find(name)?.disarmed.as_deref()
    }

    fn find(&self, name: &str) -> Option<&Rule> {
        self.0.iter().find(|rule| rule.config.name == name)
    }

    fn find_mut(&mut self, name: &str) -> Option<&mut Rule> {
        self.0.iter_mut().find(|rule| rule.config.name == name)
    }

    /// Lets one act no more; what there is to say about that, once.
    pub(super) fn disarm(&mut self, name: &str, why: &str, now: Now) -> Option<Outcome> {
        let rule = self.find_mut(name).filter(|rule| rule.disarmed.is_none())?;
        let reason = format!("{why}; `sentinel veto arm {name}` lets it act again");
        rule.disarmed = Some(reason.clone());
        Some(said::disarmed(name, rule.config.action.name(), reason, now))
    }

    /// Lets one act again. False when it was armed.
    ///
    /// # Errors
    /// There is no such rule.
    pub(super) fn arm(&mut self, name: &str) -> Result<bool, String> {
        if let Some(rule) = self.find_mut(name) {
            rule.called.clear();
            return Ok(rule.disarmed.take().is_some());
        }
        let names: Vec<&str> = self.0.iter().map(|rule| rule.config.name.as_str()).collect();
        let known = if names.is_empty() {
            "none".into()
        } else {
            names.join(", ")
        };
        Err(format!(
            "there is no rule {name:?}; rules of the configuration: {known}"
        ))
    }

    /// Notes that a scope called for one; more than `most` at once disarm it.
    pub(super) fn note_call(&mut self, name: &str, scope: &Scope, most: usize, now: Now) -> Option<Outcome> {
        if scope.kind != ScopeKind::Cgroup {
            return None;
        }
        let rule = self.find_mut(name)?;
        rule.called
            .retain(|(id, at_ns)| *id != scope.cgroup_id && now.monotonic_ns.saturating_sub(*at_ns) < MATCH_NS);
        rule.called.push_back((scope.cgroup_id, now.monotonic_ns));
        if rule.called.len() <= most {
            return None;
        }
        // Enough to know; more would only cost memory.
        rule.called.truncate(most);
        let why = format!(
            "{} scopes called for it within a minute, and max_scopes is {most}: what they have in common is not theirs",
            most + 1
        );
        self.disarm(name, &why, now)
    }

    /// As surfaces show them; `unavailable` says of an action why this host cannot do it.
    pub(super) fn views<'a>(&self, unavailable: impl Fn(RuleAction) -> Option<&'a String>) -> Vec<RuleView> {
        let view = |rule: &Rule| RuleView {
            name: rule.config.name.clone(),
            action: rule.config.action.name().into(),
            disarmed: rule
                .disarmed
                .clone()
                .or_else(|| unavailable(rule.config.action).cloned()),
        };
        self.0.iter().map(view).collect()
    }
}
