//! What may be done to cgroups: `[veto]`, how far it may go, and `[[rule]]`, what is done about which cause.

use std::collections::BTreeMap;

use super::{
    Config, ConfigError, Origin, RuleAction, RuleConfig, VetoConfig,
    check::{did_you_mean, entry_name, glob, missing, scope, word},
    keys,
    read::Section,
};
use crate::judge::verdict::{Cause, Level};

/// Rules a file may have, and globs of protected scopes.
const MAX_RULES: usize = 64;
const MAX_PROTECTED: usize = 64;
/// The least that `memory_high` leaves: below half of what a scope uses it mostly waits for reclaim.
const LEAST_MEMORY_PCT: u32 = 50;

/// Causes by name.
const CAUSES: [Cause; 9] = [
    Cause::Thrash,
    Cause::Starved,
    Cause::Convoy,
    Cause::Leak,
    Cause::Burst,
    Cause::Reclaim,
    Cause::RetryStorm,
    Cause::FanOut,
    Cause::Flood,
];

/// `[veto]`
pub(super) fn veto(section: &mut Section<'_>) -> Result<VetoConfig, ConfigError> {
    let defaults = VetoConfig::default();
    let patterns = section.texts("protect")?.unwrap_or_default();
    if patterns.len() > MAX_PROTECTED {
        let found = format!("a list of {}", patterns.len());
        return Err(section.refuse(
            "protect",
            found,
            "put several scopes into one glob, as \"/a.slice/{b,c}\"",
        ));
    }
    let protect = patterns.iter().map(|pattern| glob(section, "protect", pattern));
    Ok(VetoConfig {
        protect: protect.collect::<Result<_, _>>()?,
        enabled: section.flag("enabled")?.unwrap_or(defaults.enabled),
        ttl: section.time("ttl")?.unwrap_or(defaults.ttl),
        max_hold: section.time("max_hold")?.unwrap_or(defaults.max_hold),
        effect_after: section.time("effect_after")?.unwrap_or(defaults.effect_after),
        approval: section.time("approval")?.unwrap_or(defaults.approval),
        max_scopes: section.integer("max_scopes")?.unwrap_or(defaults.max_scopes),
        max_per_hour: section.integer("max_per_hour")?.unwrap_or(defaults.max_per_hour),
        max_share_pct: section.integer("max_share_pct")?.unwrap_or(defaults.max_share_pct),
        allow_freeze: section.flag("allow_freeze")?.unwrap_or(defaults.allow_freeze),
    })
}

/// One `[[rule]]`.
pub(super) fn rule(
    section: &mut Section<'_>,
    config: &Config,
    origins: &BTreeMap<String, Origin>,
) -> Result<RuleConfig, ConfigError> {
    if config.rules.len() >= MAX_RULES {
        let found = format!("rule {} of this file", MAX_RULES + 1);
        return Err(section.refuse("name", found, "remove some rules"));
    }
    let name = entry_name(section, "rule", "retry-storm", origins)?;
    let actions = RuleAction::ALL.map(|action| (action.name(), action));
    let Some(action) = word(section, "action", &actions)? else {
        return Err(missing(section, "rule", "action", "\"retry_budget\""));
    };
    if action == RuleAction::Freeze && !config.veto.allow_freeze {
        let remedy = "set `allow_freeze = true` below [veto], or choose another action";
        return Err(section.refuse_beside("action", "\"freeze\"", "an action that is allowed", remedy));
    }
    let keep_pct = section.integer("keep_pct")?.unwrap_or(RuleConfig::KEEP_PCT);
    if action == RuleAction::MemoryHigh && keep_pct < LEAST_MEMORY_PCT {
        let allowed = format!("{LEAST_MEMORY_PCT} to 99 for `memory_high`");
        let remedy = format!("write {LEAST_MEMORY_PCT} or more: below that a scope mostly waits for reclaim");
        return Err(section.refuse_beside("keep_pct", keep_pct.to_string(), allowed, remedy));
    }
    Ok(RuleConfig {
        causes: causes(section)?,
        level: word(section, "level", &[("watch", Level::Watch), ("veto", Level::Veto)])?.unwrap_or(Level::Veto),
        scope: scope(section)?,
        reserve_per_s: section.integer("reserve_per_s")?.unwrap_or(RuleConfig::RESERVE_PER_S),
        action,
        keep_pct,
        name,
    })
}

fn causes(section: &mut Section<'_>) -> Result<Vec<Cause>, ConfigError> {
    let texts = section.texts("causes")?.unwrap_or_default();
    if texts.is_empty() {
        return Err(missing(section, "rule", "causes", "[\"retry_storm\"]"));
    }
    let mut causes = Vec::new();
    for text in texts {
        let Some(cause) = CAUSES.into_iter().find(|cause| cause.name() == text) else {
            let remedy = did_you_mean(&text, keys::CAUSES);
            return Err(section.refuse("causes", format!("a list with {text:?}"), remedy));
        };
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    Ok(causes)
}
