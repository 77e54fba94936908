//! `Plan`: what would be done or is done about one verdict, and which hooks a verdict concerns.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::HookConfig,
    judge::{
        Verdict,
        verdict::{Level, PlannedAction, Signal},
    },
    sense::sample::{Scope, ScopeKind},
};

/// The schema name in every plan.
pub const SCHEMA: &str = "sentinel.plan/1";

/// One action about one verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Id of the verdict that calls for it.
    pub verdict_id: String,
    /// What: `hook:NAME`.
    pub action: String,
    /// Scope it is for: cgroup path, `host` or `other`.
    pub scope: String,
    /// Signal it is for.
    pub signal: Signal,
    /// Level that calls for it.
    pub level: Level,
    /// Why, in one sentence.
    pub reason: String,
    /// How long it holds at the most, milliseconds; a hook's timeout.
    pub ttl_ms: u64,
    /// True when this is only what would be done: autonomy is below `auto`.
    pub would: bool,
    /// Why it is not done although it matches; `None` when nothing forbids it.
    pub forbidden: Option<String>,
}

impl Plan {
    /// Whether it is to be carried out.
    #[must_use]
    pub fn runs(&self) -> bool {
        !self.would && self.forbidden.is_none()
    }

    /// The plan as a verdict shows it.
    #[must_use]
    pub fn planned_action(&self) -> PlannedAction {
        PlannedAction {
            action: self.action.clone(),
            would: self.would,
            forbidden: self.forbidden.clone(),
            ttl_ms: self.ttl_ms,
        }
    }

    pub(super) fn for_hook(verdict: &Verdict, hook: &HookConfig, would: bool, forbidden: Option<String>) -> Self {
        Self {
            schema: SCHEMA.into(),
            verdict_id: verdict.id.clone(),
            action: action(hook),
            scope: label(&verdict.scope).to_owned(),
            signal: verdict.signal,
            level: verdict.level,
            reason: format!(
                "{} of {} rose from {} to {} ({})",
                verdict.signal.name(),
                verdict.scope.name(),
                verdict.previous.name(),
                verdict.level.name(),
                verdict.cause.name()
            ),
            ttl_ms: u64::try_from(hook.timeout.as_millis()).unwrap_or(u64::MAX),
            would,
            forbidden,
        }
    }
}

/// `hook:NAME`
pub(super) fn action(hook: &HookConfig) -> String {
    format!("hook:{}", hook.name)
}

/// What a scope is called where a path is expected: its path, or `host` or `other`.
pub(super) fn label(scope: &Scope) -> &str {
    match scope.kind {
        ScopeKind::Host => "host",
        ScopeKind::Other => "other",
        ScopeKind::Cgroup => &scope.path,
    }
}

/// Whether a verdict concerns a hook: it rose into the hook's level or above, for one of its signals and scopes.
/// A verdict of level `unknown` concerns none.
pub(super) fn concerns(verdict: &Verdict, hook: &HookConfig) -> bool {
    let rose = verdict.level >= hook.level && verdict.previous < hook.level;
    let signal = hook.signals.is_empty() || hook.signals.contains(&verdict.signal);
    let scope = hook.scope.as_ref().is_none_or(|glob| {
        let unit = verdict.scope.unit.as_deref();
        // As bytes of a path: the glob's rules for `/` hold for both.
        glob.is_match(Path::new(label(&verdict.scope))) || unit.is_some_and(|unit| glob.is_match(Path::new(unit)))
    });
    verdict.level != Level::Unknown && rose && signal && scope
}
