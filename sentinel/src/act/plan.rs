//! `Plan`: what would be done or is done about one verdict, and which hooks a verdict concerns.

use std::path::Path;

use globset::GlobMatcher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use crate::{
    config::{Autonomy, HookConfig, RuleConfig},
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
    /// ULID from the verdict and the action: the same on every replay. What is approved, and the id of its lease.
    pub id: String,
    /// Id of the verdict that calls for it.
    pub verdict_id: String,
    /// What: `hook:NAME`, or the action of a rule, as `retry_budget`.
    pub action: String,
    /// Rule that calls for it; `None` for a hook.
    pub rule: Option<String>,
    /// Scope it is for: cgroup path, `host` or `other`.
    pub scope: String,
    /// Signal it is for.
    pub signal: Signal,
    /// Level that calls for it.
    pub level: Level,
    /// Why, in one sentence.
    pub reason: String,
    /// How long it holds unless it is renewed, milliseconds; a hook's timeout.
    pub ttl_ms: u64,
    /// What it should bring, in one sentence; `None` for a hook.
    pub expects: Option<String>,
    /// True when this is only what would be done: autonomy is `observe`.
    pub would: bool,
    /// True while it waits for approval: autonomy is `approve`.
    pub waits: bool,
    /// Why it is not done although it matches; `None` when nothing forbids it.
    pub forbidden: Option<String>,
}

impl Plan {
    /// Whether it is to be carried out at once.
    #[must_use]
    pub fn runs(&self) -> bool {
        !self.would && !self.waits && self.forbidden.is_none()
    }

    /// The plan as a verdict shows it.
    #[must_use]
    pub fn planned_action(&self) -> PlannedAction {
        PlannedAction {
            id: self.id.clone(),
            action: self.action.clone(),
            rule: self.rule.clone(),
            would: self.would,
            waits: self.waits,
            forbidden: self.forbidden.clone(),
            ttl_ms: self.ttl_ms,
            expects: self.expects.clone(),
        }
    }

    pub(super) fn for_hook(
        verdict: &Verdict,
        hook: &HookConfig,
        autonomy: Autonomy,
        forbidden: Option<String>,
    ) -> Self {
        let action = action(hook);
        Self {
            schema: SCHEMA.into(),
            id: id(verdict, &action),
            verdict_id: verdict.id.clone(),
            action,
            rule: None,
            scope: label(&verdict.scope).to_owned(),
            signal: verdict.signal,
            level: verdict.level,
            reason: reason(verdict),
            ttl_ms: u64::try_from(hook.timeout.as_millis()).unwrap_or(u64::MAX),
            expects: None,
            would: autonomy == Autonomy::Observe,
            waits: autonomy == Autonomy::Approve && forbidden.is_none(),
            forbidden,
        }
    }
}

impl Plan {
    pub(super) fn for_rule(
        verdict: &Verdict,
        rule: &RuleConfig,
        id: String,
        ttl_ms: u64,
        expects: Option<String>,
        autonomy: Autonomy,
        forbidden: Option<String>,
    ) -> Self {
        Self {
            schema: SCHEMA.into(),
            id,
            verdict_id: verdict.id.clone(),
            action: rule.action.name().into(),
            rule: Some(rule.name.clone()),
            scope: label(&verdict.scope).to_owned(),
            signal: verdict.signal,
            level: verdict.level,
            reason: reason(verdict),
            ttl_ms,
            expects,
            would: autonomy == Autonomy::Observe,
            waits: autonomy == Autonomy::Approve && forbidden.is_none(),
            forbidden,
        }
    }
}

/// Why a verdict calls for something, in one sentence. Names in it are escaped where it is shown.
pub(super) fn reason(verdict: &Verdict) -> String {
    format!(
        "{} of {} rose from {} to {} ({})",
        verdict.signal.name(),
        verdict.scope.name(),
        verdict.previous.name(),
        verdict.level.name(),
        verdict.cause.name()
    )
}

/// ULID of a plan: the time of its verdict, and 80 bits of a hash where others have randomness, so that a replay gives the
/// same one.
pub(super) fn id(verdict: &Verdict, action: &str) -> String {
    let hash = Sha256::new()
        .chain_update(SCHEMA)
        .chain_update([0])
        .chain_update(&verdict.id)
        .chain_update([0])
        .chain_update(action)
        .finalize();
    let time = Ulid::from_string(&verdict.id).map_or(0, |id| id.timestamp_ms());
    let random = hash
        .iter()
        .take(10)
        .fold(0u128, |all, byte| all << 8 | u128::from(*byte));
    Ulid::from_parts(time, random).to_string()
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
        ScopeKind::Agent => "agent",
        ScopeKind::Cgroup => &scope.path,
    }
}

/// Whether a verdict concerns a hook: it rose into the hook's level or above, for one of its signals and scopes.
/// A verdict of level `unknown` concerns none.
pub(super) fn concerns(verdict: &Verdict, hook: &HookConfig) -> bool {
    let rose = verdict.level >= hook.level && verdict.previous < hook.level;
    let signal = hook.signals.is_empty() || hook.signals.contains(&verdict.signal);
    verdict.level != Level::Unknown && rose && signal && matches(&verdict.scope, hook.scope.as_ref())
}

/// Whether a glob of the configuration is for a scope; without one it is for all.
pub(super) fn matches(scope: &Scope, glob: Option<&GlobMatcher>) -> bool {
    glob.is_none_or(|glob| {
        let unit = scope.unit.as_deref();
        // As bytes of a path: the glob's rules for `/` hold for both.
        glob.is_match(Path::new(label(scope))) || unit.is_some_and(|unit| glob.is_match(Path::new(unit)))
    })
}
