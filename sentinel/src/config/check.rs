//! From typed values to a checked config: what must hold between them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use globset::GlobBuilder;

use super::{
    Account, AmplificationConfig, Autonomy, Config, ConfigError, FeverConfig, HookConfig, JitterConfig, Listen,
    LogLevel, Origin, OtlpConfig, keys,
    read::{Document, Section},
    rules,
};
use crate::judge::verdict::{Level, Signal};

/// Hooks a file may have.
const MAX_HOOKS: usize = 64;
/// Items a command may have.
const MAX_ARGS: usize = 64;
/// What `listen` must be without a token.
pub(super) const NOT_LOCAL: &str =
    "an address of this host only (127.0.0.1, ::1, a unix socket) as long as no token is asked for";
/// What to do about it.
pub(super) const TOKEN_REMEDY: &str = "write a token of at least 16 characters into a file that only this agent may read, and name it as `listen_token_file`";

impl Config {
    /// Checks the text of a config; `path` is for messages and for `source`.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let document = Document {
            path: Arc::from(path),
            text,
        };
        let mut top = document.parse()?;
        let mut config = Self {
            source: Some(path.to_owned()),
            ..Self::default()
        };
        let defaults = Self::default();
        config.interval = top.time("interval")?.unwrap_or(defaults.interval);
        config.network_interval = network_interval(&mut top, config.interval)?;
        config.max_cgroups = top.integer("max_cgroups")?.unwrap_or(defaults.max_cgroups);
        config.autonomy = word(&mut top, "autonomy", &Autonomy::ALL.map(|it| (it.name(), it)))?.unwrap_or_default();
        config.false_alarms_per_week = top
            .number("false_alarms_per_week")?
            .unwrap_or(defaults.false_alarms_per_week);
        config.cost_budget = top.number("cost_budget")?.unwrap_or(defaults.cost_budget);
        (config.listen, config.listen_token_file) = listen(&mut top)?;
        config.user = account(&mut top)?;
        config.heartbeat_file = file(&mut top, "heartbeat_file")?;
        config.state_dir = directory(&mut top, "state_dir")?;
        config.state_every = top.time("state_every")?.unwrap_or(defaults.state_every);
        config.log = word(&mut top, "log", &LogLevel::ALL.map(|it| (it.name(), it)))?.unwrap_or_default();
        if let Some(mut section) = top.section("jitter")? {
            config.jitter = jitter(&mut section)?;
            top.origins.append(&mut section.origins);
        }
        if let Some(mut section) = top.section("fever")? {
            config.fever = fever(&mut section)?;
            top.origins.append(&mut section.origins);
        }
        if let Some(mut section) = top.section("amplification")? {
            config.amplification = amplification(&mut section)?;
            top.origins.append(&mut section.origins);
        }
        if let Some(mut section) = top.section("otlp")? {
            config.otlp = OtlpConfig::read(&mut section)?;
            top.origins.append(&mut section.origins);
        }
        if let Some(mut section) = top.section("veto")? {
            config.veto = rules::veto(&mut section)?;
            top.origins.append(&mut section.origins);
        }
        if let Some(sections) = top.list("rule")? {
            config.rules.clear();
            for mut section in sections {
                let rule = rules::rule(&mut section, &config, &top.origins)?;
                config.rules.push(rule);
                top.origins.append(&mut section.origins);
            }
        }
        for mut section in top.list("hook")?.unwrap_or_default() {
            let hook = hook(&mut section, &config.hooks, &top.origins)?;
            config.hooks.push(hook);
            top.origins.append(&mut section.origins);
        }
        config.origins = top.origins;
        Ok(config)
    }
}

fn network_interval(top: &mut Section<'_>, interval: Duration) -> Result<Duration, ConfigError> {
    let Some(network) = top.time("network_interval")? else {
        return Ok(Config::default().network_interval.min(interval));
    };
    if network > interval {
        let (found, interval) = (format!("\"{}\"", keys::time(network)), keys::time(interval));
        let allowed = format!("no longer than `interval` (\"{interval}\")");
        let remedy = format!("write \"{interval}\" or shorter, or raise `interval`");
        return Err(top.refuse_beside("network_interval", found, allowed, remedy));
    }
    Ok(network)
}

fn listen(top: &mut Section<'_>) -> Result<(Listen, Option<PathBuf>), ConfigError> {
    let listen = match top.text("listen")? {
        None => Listen::default(),
        Some(text) => {
            Listen::parse(&text).map_err(|(why, remedy)| top.refuse("listen", format!("{text:?}, {why}"), remedy))?
        }
    };
    let file = file(top, "listen_token_file")?;
    if file.is_none() && !listen.is_local() {
        return Err(top.refuse_beside("listen", format!("\"{listen}\""), NOT_LOCAL, TOKEN_REMEDY));
    }
    Ok((listen, file))
}

/// The full path of a file; `None` where it is empty.
fn file(top: &mut Section<'_>, key: &'static str) -> Result<Option<PathBuf>, ConfigError> {
    let file = top.text(key)?.filter(|path| !path.is_empty());
    if let Some(path) = file
        .as_ref()
        .filter(|path| !path.starts_with('/') || path.ends_with('/'))
    {
        return Err(top.refuse(key, format!("{path:?}"), "write the full path of a file"));
    }
    Ok(file.map(|path| path.as_ref().into()))
}

fn directory(top: &mut Section<'_>, key: &'static str) -> Result<Option<PathBuf>, ConfigError> {
    let directory = top.text(key)?.filter(|path| !path.is_empty());
    if let Some(path) = directory.as_ref().filter(|path| !path.starts_with('/')) {
        return Err(top.refuse(key, format!("{path:?}"), "write the full path of a directory"));
    }
    Ok(directory.map(|path| path.as_ref().into()))
}

fn jitter(section: &mut Section<'_>) -> Result<JitterConfig, ConfigError> {
    let defaults = Config::default().jitter;
    Ok(JitterConfig {
        enabled: section.flag("enabled")?.unwrap_or(defaults.enabled),
        sigma: section.number("sigma")?.unwrap_or(defaults.sigma),
        floor_ms_per_s: section.number("floor_ms_per_s")?.unwrap_or(defaults.floor_ms_per_s),
    })
}

fn fever(section: &mut Section<'_>) -> Result<FeverConfig, ConfigError> {
    let defaults = Config::default().fever;
    Ok(FeverConfig {
        enabled: section.flag("enabled")?.unwrap_or(defaults.enabled),
        floor_mb_per_s: section.number("floor_mb_per_s")?.unwrap_or(defaults.floor_mb_per_s),
        horizon: section.time("horizon")?.unwrap_or(defaults.horizon),
    })
}

fn amplification(section: &mut Section<'_>) -> Result<AmplificationConfig, ConfigError> {
    let defaults = Config::default().amplification;
    let config = AmplificationConfig {
        enabled: section.flag("enabled")?.unwrap_or(defaults.enabled),
        watch_ratio: section.number("watch_ratio")?.unwrap_or(defaults.watch_ratio),
        veto_ratio: section.number("veto_ratio")?.unwrap_or(defaults.veto_ratio),
        storm_ratio: section.number("storm_ratio")?.unwrap_or(defaults.storm_ratio),
        floor_per_s: section.number("floor_per_s")?.unwrap_or(defaults.floor_per_s),
    };
    let ladder = [
        ("watch_ratio", config.watch_ratio),
        ("veto_ratio", config.veto_ratio),
        ("storm_ratio", config.storm_ratio),
    ];
    for pair in ladder.windows(2) {
        let ((low_name, low), (high_name, high)) = (pair[0], pair[1]);
        if low > high {
            // The one that is written in the file is the one to correct.
            let remedy = "keep watch_ratio <= veto_ratio <= storm_ratio";
            let written = section.origins.contains_key(&format!("amplification.{high_name}"));
            return Err(if written {
                section.refuse_beside(
                    high_name,
                    high.to_string(),
                    format!("at least `{low_name}` ({low})"),
                    remedy,
                )
            } else {
                section.refuse_beside(
                    low_name,
                    low.to_string(),
                    format!("at most `{high_name}` ({high})"),
                    remedy,
                )
            });
        }
    }
    Ok(config)
}

fn hook(
    section: &mut Section<'_>,
    others: &[HookConfig],
    origins: &BTreeMap<String, Origin>,
) -> Result<HookConfig, ConfigError> {
    if others.len() >= MAX_HOOKS {
        return Err(section.refuse(
            "name",
            format!("hook {} of this file", MAX_HOOKS + 1),
            "remove some hooks",
        ));
    }
    let name = entry_name(section, "hook", "page-oncall", origins)?;
    Ok(HookConfig {
        command: command(section)?,
        signals: signals(section)?,
        level: word(section, "level", &[("watch", Level::Watch), ("veto", Level::Veto)])?.unwrap_or(Level::Veto),
        scope: scope(section)?,
        timeout: section.time("timeout")?.unwrap_or(HookConfig::TIMEOUT),
        cooldown: section.time("cooldown")?.unwrap_or(HookConfig::COOLDOWN),
        max_per_hour: section.integer("max_per_hour")?.unwrap_or(HookConfig::MAX_PER_HOUR),
        user: user(section)?,
        name,
    })
}

/// The error for a key that an entry of a list must have.
pub(super) fn missing(
    section: &Section<'_>,
    list: &'static str,
    key: &'static str,
    example: &'static str,
) -> ConfigError {
    ConfigError::MissingKey {
        at: section.start.clone(),
        key,
        table: if list == "rule" { "[[rule]]" } else { "[[hook]]" },
        allowed: keys::find(list, key)
            .map_or_else(String::new, |key| key.kind.allowed())
            .into(),
        example,
    }
}

/// The name of an entry of a list, which is its own; from there on messages and origins use it.
pub(super) fn entry_name(
    section: &mut Section<'_>,
    list: &'static str,
    example: &str,
    origins: &BTreeMap<String, Origin>,
) -> Result<String, ConfigError> {
    let Some(name) = section.text("name")? else {
        let example = if list == "rule" {
            "\"retry-storm\""
        } else {
            "\"page-oncall\""
        };
        return Err(missing(section, list, "name", example));
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        let short: String = name.chars().take(80).collect();
        return Err(section.refuse(
            "name",
            format!("{short:?}"),
            format!("write a name such as \"{example}\""),
        ));
    }
    if let Some(first) = origins.get(&format!("{list}.{name}.name")) {
        return Err(section.refuse(
            "name",
            format!("{name:?} again (first at {first})"),
            format!("give each {list} its own name"),
        ));
    }
    section.prefix = format!("{list}.{name}.");
    let named = std::mem::take(&mut section.origins)
        .into_values()
        .map(|at| (format!("{list}.{name}.name"), at));
    section.origins = named.collect();
    Ok(name.into_owned())
}

fn command(section: &mut Section<'_>) -> Result<Vec<String>, ConfigError> {
    let Some(command) = section.texts("command")? else {
        return Err(missing(section, "hook", "command", "[\"/usr/local/bin/page-oncall\"]"));
    };
    let refuse = |found: &str, remedy: &str| Err(section.refuse("command", found, remedy));
    match command.first() {
        None => return refuse("an empty list", "name the program to run"),
        Some(program) if !program.starts_with('/') => {
            let found = format!("a command that starts with {program:?}");
            return refuse(
                &found,
                "write the program's full path, as `command -v` prints it; no shell is used",
            );
        }
        Some(program) if program.ends_with('/') => {
            return refuse(
                &format!("a command that starts with {program:?}, a directory"),
                "name the program to run",
            );
        }
        Some(_) => {}
    }
    if command.len() > MAX_ARGS {
        return refuse(
            &format!("a list of {}", command.len()),
            "put them into a script and run that",
        );
    }
    if command.iter().any(|item| item.contains('\0')) {
        return refuse("a command with a NUL byte", "remove it");
    }
    Ok(command)
}

fn signals(section: &mut Section<'_>) -> Result<Vec<Signal>, ConfigError> {
    let mut signals = Vec::new();
    for text in section.texts("signals")?.unwrap_or_default() {
        let Some(signal) = Signal::ALL.into_iter().find(|signal| signal.name() == text) else {
            let remedy = did_you_mean(&text, keys::SIGNALS);
            return Err(section.refuse("signals", format!("a list with {text:?}"), remedy));
        };
        if !signals.contains(&signal) {
            signals.push(signal);
        }
    }
    Ok(signals)
}

pub(super) fn scope(section: &mut Section<'_>) -> Result<Option<globset::GlobMatcher>, ConfigError> {
    let Some(pattern) = section.text("scope")? else {
        return Ok(None);
    };
    if pattern.is_empty() {
        return Err(section.refuse("scope", "empty", "remove the key to match every scope, or write \"**\""));
    }
    glob(section, "scope", &pattern).map(Some)
}

/// A glob for scopes.
pub(super) fn glob(
    section: &Section<'_>,
    key: &'static str,
    pattern: &str,
) -> Result<globset::GlobMatcher, ConfigError> {
    // systemd writes `\x2d` into unit names: a backslash is only a backslash here, and [*] matches a star.
    let glob = GlobBuilder::new(pattern)
        .literal_separator(true)
        .backslash_escape(false)
        .build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| {
        let found = format!("{pattern:?}, which is no glob ({})", error.kind());
        section.refuse(
            key,
            found,
            "correct it; `*` stands for a part of a path, `**` for any parts",
        )
    })
}

/// The agent's own user; empty is as if it was not there.
fn account(top: &mut Section<'_>) -> Result<Option<Account>, ConfigError> {
    match top.text("user")? {
        Some(name) if !name.is_empty() => known(top, &name).map(Some),
        _ => Ok(None),
    }
}

fn user(section: &mut Section<'_>) -> Result<Option<Account>, ConfigError> {
    match section.text("user")? {
        Some(name) => known(section, &name).map(Some),
        None => Ok(None),
    }
}

/// A user of this host.
fn known(section: &Section<'_>, name: &str) -> Result<Account, ConfigError> {
    let account = Account::named(name).filter(|_| !name.is_empty());
    account.ok_or_else(|| {
        let short: String = name.chars().take(80).collect();
        section.refuse(
            "user",
            format!("{short:?}, whom this host does not know"),
            "create that user, or write one that `getent passwd` lists, as \"nobody\"",
        )
    })
}

pub(super) fn word<T: Copy>(
    section: &mut Section<'_>,
    name: &'static str,
    words: &[(&str, T)],
) -> Result<Option<T>, ConfigError> {
    let Some(text) = section.text(name)? else {
        return Ok(None);
    };
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(Some(*value));
    }
    let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    let short: String = text.chars().take(80).collect();
    Err(section.refuse(name, format!("{short:?}"), did_you_mean(&text, &known)))
}

pub(super) fn did_you_mean(text: &str, known: &[&str]) -> String {
    match keys::closest(text, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("write {}", keys::any_of(known)),
    }
}
