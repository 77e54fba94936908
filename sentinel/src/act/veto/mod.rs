//! What forbids a step. Each rule sees plain facts, time included, and says no with a reason or nothing at all.
//!
//! `hooks` has the rules for commands, `leases` those for actions on cgroups; what holds for both stands here.

mod hooks;
mod leases;

use crate::{config::Autonomy, judge::Verdict, sense::sample::Scope};

pub use self::{
    hooks::{HookFacts, MAX_RUNNING},
    leases::{LeaseFacts, WHOLE_COVERAGE},
};

/// Share of a verdict's window that must have been measured for it to act.
pub const MIN_COVERAGE: f64 = 0.5;

/// The window of every hourly cap.
pub(super) const HOUR_NS: u64 = 3_600_000_000_000;

/// Everything a rule may look at.
#[derive(Debug)]
pub struct PlanContext<'a> {
    /// The verdict that calls for action; `None` when a person does.
    pub verdict: Option<&'a Verdict>,
    /// What it is for.
    pub scope: &'a Scope,
    /// What it calls for.
    pub step: Step<'a>,
    /// What the agent may do by itself.
    pub autonomy: Autonomy,
    /// `CLOCK_MONOTONIC` now, nanoseconds.
    pub now_ns: u64,
}

/// What is to be done, and what is known of that.
#[derive(Debug)]
pub enum Step<'a> {
    /// A hook is to run.
    Hook(HookFacts<'a>),
    /// Something is to be done to a cgroup.
    Lease(LeaseFacts<'a>),
}

impl<'a> PlanContext<'a> {
    /// What is known of the hook, if it is one.
    #[must_use]
    pub const fn hook(&self) -> Option<&HookFacts<'a>> {
        match &self.step {
            Step::Hook(facts) => Some(facts),
            Step::Lease(_) => None,
        }
    }

    /// What is known of the action on a cgroup, if it is one.
    #[must_use]
    pub const fn lease(&self) -> Option<&LeaseFacts<'a>> {
        match &self.step {
            Step::Hook(_) => None,
            Step::Lease(facts) => Some(facts),
        }
    }
}

/// A rule that can forbid a step.
pub trait Veto: Send {
    /// Its name in messages about it.
    fn name(&self) -> &'static str;

    /// Why the step is forbidden; `None` when this rule has nothing against it. The same facts give the same answer.
    fn forbids(&self, context: &PlanContext<'_>) -> Option<String>;
}

/// Every rule, in the order in which the first to object gives the reason.
pub(super) fn all() -> Vec<Box<dyn Veto>> {
    let mut rules: Vec<Box<dyn Veto>> = vec![Box::new(IncompleteData)];
    rules.extend(hooks::all());
    rules.extend(leases::all());
    rules
}

/// No action on data that was hardly measured.
struct IncompleteData;

impl Veto for IncompleteData {
    fn name(&self) -> &'static str {
        "incomplete_data"
    }

    fn forbids(&self, context: &PlanContext<'_>) -> Option<String> {
        let coverage = context.verdict?.coverage;
        let complete = coverage >= MIN_COVERAGE;
        (!complete).then(|| {
            format!(
                "only {:.0} % of the window was measured, and acting needs {:.0} %",
                coverage.max(0.0) * 100.0,
                MIN_COVERAGE * 100.0
            )
        })
    }
}
