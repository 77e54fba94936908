//! What forbids a run of a hook.

use std::time::Duration;

use super::{PlanContext, Veto};
use crate::config::{HookConfig, keys::time};

/// Hooks that may run at the same time.
pub const MAX_RUNNING: usize = 8;

/// What a rule may know of a hook.
#[derive(Debug)]
pub struct HookFacts<'a> {
    /// The hook the verdict concerns.
    pub hook: &'a HookConfig,
    /// When this hook last began for this scope, or would have; `None` when not within its cooldown.
    pub last_run_ns: Option<u64>,
    /// Runs of this hook that began in the last 60 minutes, all scopes together, or would have.
    pub runs_last_hour: usize,
    /// Whether this hook still runs for this scope.
    pub still_running: bool,
    /// Hooks that run now, all together.
    pub running: usize,
}

/// Every rule about hooks, in the order in which the first to object gives the reason.
pub(super) fn all() -> Vec<Box<dyn Veto>> {
    vec![
        Box::new(StillRunning),
        Box::new(Cooldown),
        Box::new(HourlyCap),
        Box::new(TooManyRunning),
    ]
}

/// One run of a hook for a scope at a time.
struct StillRunning;

impl Veto for StillRunning {
    fn name(&self) -> &'static str {
        "still_running"
    }

    fn forbids(&self, context: &PlanContext<'_>) -> Option<String> {
        context
            .hook()?
            .still_running
            .then(|| "it still runs for this scope".into())
    }
}

/// A pause after each run of a hook for a scope.
struct Cooldown;

impl Veto for Cooldown {
    fn name(&self) -> &'static str {
        "cooldown"
    }

    fn forbids(&self, context: &PlanContext<'_>) -> Option<String> {
        let facts = context.hook()?;
        let passed = Duration::from_nanos(context.now_ns.saturating_sub(facts.last_run_ns?));
        let cooldown = facts.hook.cooldown;
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
        let facts = context.hook()?;
        let cap = facts.hook.max_per_hour;
        (facts.runs_last_hour >= cap as usize)
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
        let running = context.hook()?.running;
        (running >= MAX_RUNNING).then(|| format!("{running} hooks run already, the most at a time"))
    }
}
