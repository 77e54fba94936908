//! What forbids a step. Each rule sees plain facts, time included, and says no with a reason or nothing at all.

use std::time::Duration;

use crate::{
    config::{Autonomy, HookConfig, keys::time},
    judge::Verdict,
};

/// Hooks that may run at the same time.
pub const MAX_RUNNING: usize = 8;

/// Share of a verdict's window that must have been measured for it to act.
pub const MIN_COVERAGE: f64 = 0.5;

/// The window of `max_per_hour`.
pub(super) const HOUR_NS: u64 = 3_600_000_000_000;

/// Everything a rule may look at.
#[derive(Debug)]
pub struct PlanContext<'a> {
    /// The verdict that calls for action.
    pub verdict: &'a Verdict,
    /// The hook it concerns.
    pub hook: &'a HookConfig,
    /// What the agent may do by itself.
    pub autonomy: Autonomy,
    /// `CLOCK_MONOTONIC` now, nanoseconds.
    pub now_ns: u64,
    /// When this hook last began for this scope, or would have; `None` when not within its cooldown.
    pub last_run_ns: Option<u64>,
    /// Runs of this hook that began in the last 60 minutes, all scopes together, or would have.
    pub runs_last_hour: usize,
    /// Whether this hook still runs for this scope.
    pub still_running: bool,
    /// Hooks that run now, all together.
    pub running: usize,
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
    vec![
        Box::new(IncompleteData),
        Box::new(Unapproved),
        Box::new(StillRunning),
        Box::new(Cooldown),
        Box::new(HourlyCap),
        Box::new(TooManyRunning),
    ]
}

/// No action on data that was hardly measured.
struct IncompleteData;

impl Veto for IncompleteData {
    fn name(&self) -> &'static str {
        "incomplete_data"
    }

    fn forbids(&self, context: &PlanContext<'_>) -> Option<String> {
        let coverage = context.verdict.coverage;
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

/// Approval has no way to be given yet.
struct Unapproved;

impl Veto for Unapproved {
    fn name(&self) -> &'static str {
        "unapproved"
    }

    fn forbids(&self, context: &PlanContext<'_>) -> Option<String> {
        (context.autonomy == Autonomy::Approve).then(|| {
            "approval is not available yet: this version cannot wait for one; use autonomy `auto` to run hooks".into()
        })
    }
}

/// One run of a hook for a scope at a time.
struct StillRunning;

impl Veto for StillRunning {
    fn name(&self) -> &'static str {
        "still_running"
    }

    fn forbids(&self, context: &PlanContext<'_>) -> Option<String> {
        context.still_running.then(|| "it still runs for this scope".into())
    }
}

/// A pause after each run of a hook for a scope.
struct Cooldown;

impl Veto for Cooldown {
    fn name(&self) -> &'static str {
        "cooldown"
    }

    fn forbids(&self, context: &PlanContext<'_>) -> Option<String> {
        let passed = Duration::from_nanos(context.now_ns.saturating_sub(context.last_run_ns?));
        let cooldown = context.hook.cooldown;
        let left_ms = cooldown
            .checked_sub(passed)
            .filter(|left| !left.is_zero())?
            .as_nanos()
            .div_ceil(1_000_000);
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(u64::MAX));
        Some(format!(
            "its cooldown of {} for this scope ends in {}",
            time(cooldown),
            time(left)
        ))
    }
}

/// A cap on the runs of a hour, over all scopes.
struct HourlyCap;

impl Veto for HourlyCap {
    fn name(&self) -> &'static str {
        "hourly_cap"
    }

    fn forbids(&self, context: &PlanContext<'_>) -> Option<String> {
        let cap = context.hook.max_per_hour;
        (context.runs_last_hour >= cap as usize)
            .then(|| format!("its max_per_hour is {cap}, and that many runs began in the last 60 minutes"))
    }
}

/// A cap on hooks that run at the same time, so that hooks cannot fill the host.
struct TooManyRunning;

impl Veto for TooManyRunning {
    fn name(&self) -> &'static str {
        "too_many_running"
    }

    fn forbids(&self, context: &PlanContext<'_>) -> Option<String> {
        (context.running >= MAX_RUNNING).then(|| format!("{} hooks run already, the most at a time", context.running))
    }
}
