//! What is in force and where each value came from, for `config show`; and what is allowed but probably not meant.

use std::{
    fmt::{self, Write as _},
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
};

use nix::unistd::Uid;
use serde::Serialize;

use super::{Autonomy, Config, HookConfig, RuleAction, RuleConfig, VetoConfig, keys};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the config file, counted from 1.
    File {
        /// The file.
        path: Arc<Path>,
        /// The line.
        line: usize,
    },
    /// An option of the command line.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// One line of `config show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// `interval`, `jitter.sigma`, `hook.NAME.timeout`.
    pub key: String,
    /// Its value as it would be written in the file; `-` where it is not set.
    pub value: String,
    /// Unit of the value, empty for none. Times carry theirs in the value.
    pub unit: &'static str,
    /// Where it came from: `default`, `FILE:LINE` or `command line`.
    pub origin: String,
}

impl Config {
    /// Every key with its value and origin, in a fixed order.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let of_list = |list: &'static str| keys::KEYS.iter().filter(move |key| key.table == list);
        let global = keys::KEYS.iter().filter(|key| !keys::LISTS.contains(&key.table));
        let setting = |key: String, value: String, unit| {
            let origin = self.origins.get(&key).unwrap_or(&Origin::Default).to_string();
            Setting {
                key,
                value,
                unit,
                origin,
            }
        };
        let mut settings: Vec<_> = global
            .map(|key| {
                let dot = if key.table.is_empty() { "" } else { "." };
                setting(
                    format!("{}{dot}{}", key.table, key.name),
                    self.value(key.table, key.name),
                    key.unit,
                )
            })
            .collect();
        for rule in &self.rules {
            settings.extend(of_list("rule").map(|key| {
                setting(
                    format!("rule.{}.{}", rule.name, key.name),
                    rule.value(key.name),
                    key.unit,
                )
            }));
        }
        for hook in &self.hooks {
            settings.extend(of_list("hook").map(|key| {
                setting(
                    format!("hook.{}.{}", hook.name, key.name),
                    hook.value(key.name),
                    key.unit,
                )
            }));
        }
        settings
    }

    /// The settings as a table for a reader, one line each.
    #[must_use]
    pub fn render(&self) -> String {
        let settings = self.settings();
        let width = |of: fn(&Setting) -> &str| settings.iter().map(|s| of(s).chars().count()).max().unwrap_or(0);
        let (key, value, unit) = (width(|s| &s.key), width(|s| &s.value).min(60), width(|s| s.unit));
        let mut table = format!(
            "{:key$}  {:value$}  {:unit$}  ORIGIN\n",
            "KEY",
            "VALUE",
            "UNIT",
            unit = unit.max(4)
        );
        for s in &settings {
            let unit = unit.max(4);
            let _ = writeln!(
                table,
                "{:key$}  {:value$}  {:unit$}  {}",
                s.key, s.value, s.unit, s.origin
            );
        }
        table
    }

    fn value(&self, table: &str, name: &str) -> String {
        match (table, name) {
            ("", "interval") => keys::time(self.interval),
            ("", "network_interval") => keys::time(self.network_interval),
            ("", "max_cgroups") => self.max_cgroups.to_string(),
            ("", "autonomy") => self.autonomy.name().into(),
            ("", "false_alarms_per_week") => self.false_alarms_per_week.to_string(),
            ("", "cost_budget") => self.cost_budget.to_string(),
            ("", "listen") => self.listen.to_string(),
            ("", "listen_token_file") => path(self.listen_token_file.as_deref()),
            ("", "user") => self.user.as_ref().map_or_else(|| "-".into(), |user| user.name.clone()),
            ("", "heartbeat_file") => path(self.heartbeat_file.as_deref()),
            ("", "state_dir") => path(self.state_dir.as_deref()),
            ("", "state_every") => keys::time(self.state_every),
            ("", "log") => self.log.name().into(),
            ("jitter", "enabled") => self.jitter.enabled.to_string(),
            ("jitter", "sigma") => self.jitter.sigma.to_string(),
            ("jitter", "floor_ms_per_s") => self.jitter.floor_ms_per_s.to_string(),
            ("fever", "enabled") => self.fever.enabled.to_string(),
            ("fever", "floor_mb_per_s") => self.fever.floor_mb_per_s.to_string(),
            ("fever", "horizon") => keys::time(self.fever.horizon),
            ("amplification", "enabled") => self.amplification.enabled.to_string(),
            ("amplification", "watch_ratio") => self.amplification.watch_ratio.to_string(),
            ("amplification", "veto_ratio") => self.amplification.veto_ratio.to_string(),
            ("amplification", "storm_ratio") => self.amplification.storm_ratio.to_string(),
            ("amplification", "floor_per_s") => self.amplification.floor_per_s.to_string(),
            ("otlp", "endpoint") => self.otlp.endpoint.clone().unwrap_or_else(|| "-".into()),
            ("otlp", "interval") => keys::time(self.otlp.interval),
            ("otlp", "headers_file") => path(self.otlp.headers_file.as_deref()),
            ("veto", name) => self.veto.value(name),
            _ => "-".into(),
        }
    }

    /// What is allowed but probably not meant: a command that is not there, a file others may write. One sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let acts = self.veto.enabled && !self.rules.is_empty();
        if self.hooks.is_empty() && !acts && self.autonomy != Autonomy::Observe {
            warnings.push(format!(
                "autonomy is `{}`, but there is neither a hook nor a rule that may act, so nothing will be done; add a \
                 [[hook]], or set `enabled = true` below [veto]",
                self.autonomy.name()
            ));
        }
        if let Some(path) = self
            .source
            .as_deref()
            .filter(|path| !self.hooks.is_empty() && others_may_write(path))
        {
            warnings.push(format!(
                "{}: others than its owner may write this file, and so run commands as this agent; run `chmod go-w` on it",
                path.display()
            ));
        }
        warnings.extend(self.hooks.iter().flat_map(HookConfig::warnings));
        warnings
    }
}

impl VetoConfig {
    fn value(&self, name: &str) -> String {
        match name {
            "enabled" => self.enabled.to_string(),
            "ttl" => keys::time(self.ttl),
            "max_hold" => keys::time(self.max_hold),
            "effect_after" => keys::time(self.effect_after),
            "approval" => keys::time(self.approval),
            "max_scopes" => self.max_scopes.to_string(),
            "max_per_hour" => self.max_per_hour.to_string(),
            "max_share_pct" => self.max_share_pct.to_string(),
            "protect" => format!(
                "{:?}",
                self.protect.iter().map(|glob| glob.glob().glob()).collect::<Vec<_>>()
            ),
            "allow_freeze" => self.allow_freeze.to_string(),
            _ => "-".into(),
        }
    }
}

impl RuleConfig {
    fn value(&self, name: &str) -> String {
        match name {
            "name" => self.name.clone(),
            "causes" => format!("{:?}", self.causes.iter().map(|cause| cause.name()).collect::<Vec<_>>()),
            "level" => self.level.name().into(),
            "scope" => pattern(self.scope.as_ref()),
            "action" => self.action.name().into(),
            "reserve_per_s" if self.action == RuleAction::RetryBudget => self.reserve_per_s.to_string(),
            "keep_pct" if !matches!(self.action, RuleAction::RetryBudget | RuleAction::Freeze) => {
                self.keep_pct.to_string()
            }
            _ => "-".into(),
        }
    }
}

/// A path; `-` where there is none.
fn path(path: Option<&Path>) -> String {
    path.map_or_else(|| "-".into(), |path| path.display().to_string())
}

/// A glob as it was written; `-` where there is none.
fn pattern(glob: Option<&globset::GlobMatcher>) -> String {
    glob.map_or_else(|| "-".into(), |glob| glob.glob().glob().escape_debug().to_string())
}

impl HookConfig {
    fn value(&self, name: &str) -> String {
        match name {
            "name" => self.name.clone(),
            "command" => format!("{:?}", self.command),
            "signals" => format!(
                "{:?}",
                self.signals.iter().map(|signal| signal.name()).collect::<Vec<_>>()
            ),
            "level" => self.level.name().into(),
            "scope" => pattern(self.scope.as_ref()),
            "timeout" => keys::time(self.timeout),
            "cooldown" => keys::time(self.cooldown),
            "max_per_hour" => self.max_per_hour.to_string(),
            "user" => self.user.as_ref().map_or_else(|| "-".into(), |user| user.name.clone()),
            _ => "-".into(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let program = Path::new(&self.command[0]);
        let said = |what: &str| format!("hook `{}`: {} {what}", self.name, program.display());
        match fs::metadata(program) {
            Err(error) => warnings.push(said(&format!(
                "cannot be found ({error}), so the hook will not start; install it"
            ))),
            Ok(found) if !found.is_file() => {
                warnings.push(said("is no file, so the hook will not start; name a program"))
            }
            Ok(found) if found.mode() & 0o111 == 0 => {
                warnings.push(said(
                    "is not executable, so the hook will not start; run `chmod +x` on it",
                ));
            }
            Ok(_) if others_may_write(program) => {
                warnings.push(said("may be written by others than its owner; run `chmod go-w` on it"));
            }
            Ok(_) => {}
        }
        let own = Uid::effective();
        if let Some(user) = self
            .user
            .as_ref()
            .filter(|user| !own.is_root() && user.uid != own.as_raw())
        {
            warnings.push(format!(
                "hook `{}`: only root can run it as `{}`; run the agent as root, or remove `user`",
                self.name, user.name
            ));
        }
        warnings
    }
}

fn others_may_write(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o022 != 0)
}
