//! What forbids an action on a cgroup. These rules hold for a person's order too, but for those that only a verdict can
//! break.

use super::{PlanContext, Veto};
use crate::{
    config::{RuleConfig, VetoConfig},
    judge::verdict::Level,
    sense::sample::ScopeKind,
};

/// Share of a verdict's window that must have been measured for anything to be done to a cgroup.
pub const WHOLE_COVERAGE: f64 = 0.95;

/// What a rule may know of an action on a cgroup.
#[derive(Debug)]
pub struct LeaseFacts<'a> {
    /// The rule that calls for it.
    pub rule: &'a RuleConfig,
    /// How far actions may go.
    pub limits: &'a VetoConfig,
    /// Why the rule does not act any more; `None` while it does.
    pub disarmed: Option<&'a str>,
    /// Why this host cannot; `None` where it can.
    pub unavailable: Option<&'a str>,
    /// A sensor of the verdict's signal that does not run, with the reason.
    pub blind: Option<&'a str>,
    /// Whom the action would reach although that is protected, and why it is.
    pub protected: Option<String>,
    /// What is not known and would have to be, to say how much may be taken.
    pub unmeasured: Option<String>,
    /// Whether this scope is held by a lease of the same action already, or waits for one.
    pub held: bool,
    /// Scopes that something is done to now.
    pub scopes: usize,
    /// Scopes that use the network now, this one included.
    pub active: usize,
    /// Actions that began in the last 60 minutes.
    pub last_hour: usize,
}

/// Every rule about actions on cgroups, in the order in which the first to object gives the reason.
pub(super) fn all() -> Vec<Box<dyn Veto>> {
    vec![
        Box::new(Rule("switched_off", |_, facts| {
            (!facts.limits.enabled).then(|| "actions are switched off: `enabled = false` below [veto]".into())
        })),
        Box::new(Rule("not_known", |context, _| {
            (context.verdict?.level < Level::Watch).then(|| "nothing is done on a level below watch".into())
        })),
        Box::new(Rule("no_cgroup", |context, _| {
            let scope = context.scope;
            let one = scope.kind == ScopeKind::Cgroup && scope.path.starts_with('/') && scope.path != "/";
            (!one).then(|| format!("{:?} is no cgroup below the root, and an action is for one", scope.path))
        })),
        Box::new(Rule("partial_data", |context, _| {
            let coverage = context.verdict?.coverage;
            (coverage < WHOLE_COVERAGE).then(|| {
                format!(
                    "only {:.0} % of the window was measured, and acting on a cgroup needs {:.0} %",
                    coverage.max(0.0) * 100.0,
                    WHOLE_COVERAGE * 100.0
                )
            })
        })),
        Box::new(Rule("blind", |_, facts| {
            facts
                .blind
                .map(|sensor| format!("a sensor of this signal does not run: {sensor}"))
        })),
        Box::new(Rule("protected", |_, facts| facts.protected.clone())),
        Box::new(Rule("disarmed", |_, facts| {
            let why = facts.disarmed?;
            Some(format!("rule {} is disarmed: {why}", facts.rule.name))
        })),
        Box::new(Rule("unavailable", |_, facts| facts.unavailable.map(Into::into))),
        Box::new(Rule("unmeasured", |_, facts| facts.unmeasured.clone())),
        Box::new(Rule("held", |_, facts| {
            facts
                .held
                .then(|| "this scope is held by such an action already, or one waits for approval".into())
        })),
        Box::new(Rule("scopes", |_, facts| {
            let most = facts.limits.max_scopes;
            (facts.scopes >= most as usize)
                .then(|| format!("{} scopes are held already, and max_scopes is {most}", facts.scopes))
        })),
        Box::new(Rule("share", |_, facts| {
            let pct = facts.limits.max_share_pct as usize;
            let most = (facts.active * pct / 100).max(1);
            (facts.scopes >= most).then(|| {
                format!(
                    "{} of the {} scopes that use the network are held already, and max_share_pct is {pct}",
                    facts.scopes, facts.active
                )
            })
        })),
        Box::new(Rule("hourly_cap", |_, facts| {
            let cap = facts.limits.max_per_hour;
            (facts.last_hour >= cap as usize).then(|| {
                format!("max_per_hour below [veto] is {cap}, and that many actions began in the last 60 minutes")
            })
        })),
    ]
}

/// One rule: its name, and what it looks at.
struct Rule(&'static str, fn(&PlanContext<'_>, &LeaseFacts<'_>) -> Option<String>);

impl Veto for Rule {
    fn name(&self) -> &'static str {
        self.0
    }

    fn forbids(&self, context: &PlanContext<'_>) -> Option<String> {
        (self.1)(context, context.lease()?)
    }
}
