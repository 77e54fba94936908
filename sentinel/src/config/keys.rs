//! Every key there is, with its kind and range. Reading, `config show` and the test of `docs/CONFIG.md` all follow it.

use std::time::Duration;

/// One key of the file.
#[derive(Debug)]
pub struct Key {
    /// The table it is in: empty for the top level, else one of [`TABLES`] or [`LISTS`].
    pub table: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Unit of the value, empty for none.
    pub unit: &'static str,
}

/// What a value may be.
#[derive(Debug)]
pub enum Kind {
    /// A text such as `"200ms"`, between the two.
    Time(Duration, Duration),
    /// A number between the two.
    Number(f64, f64),
    /// A whole number between the two.
    Integer(u32, u32),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of these words.
    Words(&'static [&'static str]),
    /// A text; the words say which.
    Text(&'static str),
    /// A list of texts; the words say which.
    Texts(&'static str),
}

impl Kind {
    /// What is allowed, to be read after "must be".
    #[must_use]
    pub fn allowed(&self) -> String {
        match self {
            Self::Time(min, max) => format!("a time from {} to {}", time(*min), time(*max)),
            Self::Number(min, max) => format!("a number from {min} to {max}"),
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::Flag => "true or false".into(),
            Self::Word(words) => any_of(words),
            Self::Words(words) => format!("a list of {}", any_of(words)),
            Self::Text(which) | Self::Texts(which) => (*which).into(),
        }
    }
}

/// A time as it is written in the file: `1m 30s` reads `1m30s`.
#[must_use]
pub fn time(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

/// `` `a`, `b` or `c` ``
pub(super) fn any_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

const fn key(table: &'static str, name: &'static str, kind: Kind, unit: &'static str) -> Key {
    Key {
        table,
        name,
        kind,
        unit,
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Names of the tables, as they are written.
pub(super) const TABLES: [&str; 5] = ["jitter", "fever", "amplification", "otlp", "veto"];

/// Names of the tables that may be there more than once, as `[[hook]]`; every entry has a `name`.
pub(super) const LISTS: [&str; 2] = ["rule", "hook"];

/// Causes a rule may be for: those that something can be done about.
pub(super) const CAUSES: &[&str] = &[
    "thrash",
    "starved",
    "convoy",
    "leak",
    "burst",
    "reclaim",
    "retry_storm",
    "fan_out",
    "flood",
];

/// Names of [`super::RuleAction`].
pub(super) const ACTIONS: &[&str] = &[
    "retry_budget",
    "admission",
    "cpu_max",
    "cpu_weight",
    "memory_high",
    "freeze",
];

/// Signals a hook may be for.
pub(super) const SIGNALS: &[&str] = &["jitter", "fever", "amplification"];

/// Levels a hook may start from. A hook acts, and `unknown` and `nominal` never do.
pub(super) const LEVELS: &[&str] = &["watch", "veto"];

/// Names of [`super::Autonomy`].
pub(super) const AUTONOMY: &[&str] = &["observe", "approve", "auto"];

/// Names of [`super::LogLevel`].
pub(super) const LOG: &[&str] = &["error", "warn", "info", "debug"];

/// What `listen` may be.
pub(super) const LISTEN: &str =
    "`off`, an IP address and a port such as `127.0.0.1:9464`, or `unix:` and an absolute path";
/// What `otlp.endpoint` may be.
pub(super) const ENDPOINT: &str =
    "empty for none, or the address of a collector such as `http://127.0.0.1:4318` or `https://otlp.example.com`";
/// What a hook or a rule may be called.
const NAME: &str = "1 to 64 of the characters a-z, A-Z, 0-9, `.`, `_` and `-`, once per file";

/// Every key, in the order it is shown.
pub const KEYS: &[Key] = &[
    key("", "interval", Kind::Time(ms(100), ms(MINUTE_MS)), "time"),
    key("", "network_interval", Kind::Time(ms(50), ms(MINUTE_MS)), "time"),
    key("", "max_cgroups", Kind::Integer(16, 65_535), "cgroups"),
    key("", "autonomy", Kind::Word(AUTONOMY), ""),
    key("", "false_alarms_per_week", Kind::Number(0.001, 1000.0), "1/week"),
    key("", "cost_budget", Kind::Number(0.01, 100.0), "% of a CPU"),
    key("", "listen", Kind::Text(LISTEN), ""),
    key(
        "",
        "listen_token_file",
        Kind::Text("the absolute path of a file, or empty for none"),
        "",
    ),
    key(
        "",
        "user",
        Kind::Text("the name of a user of this host, or empty for `sentinel` where that is one"),
        "",
    ),
    key(
        "",
        "heartbeat_file",
        Kind::Text("the absolute path of a file, or empty for none"),
        "",
    ),
    key(
        "",
        "state_dir",
        Kind::Text("the absolute path of a directory, or empty for that of the service manager"),
        "",
    ),
    key("", "state_every", Kind::Time(ms(1000), ms(60 * MINUTE_MS)), "time"),
    key("", "log", Kind::Word(LOG), ""),
    key("jitter", "enabled", Kind::Flag, ""),
    key("jitter", "sigma", Kind::Number(0.1, 100.0), "sigmas"),
    key("jitter", "floor_ms_per_s", Kind::Number(0.0, 1e6), "ms/s"),
    key("fever", "enabled", Kind::Flag, ""),
    key("fever", "floor_mb_per_s", Kind::Number(0.0, 1e6), "MB/s"),
    key("fever", "horizon", Kind::Time(ms(10_000), ms(7 * DAY_MS)), "time"),
    key("amplification", "enabled", Kind::Flag, ""),
    key("amplification", "watch_ratio", Kind::Number(1.0, 1000.0), "ratio"),
    key("amplification", "veto_ratio", Kind::Number(1.0, 1000.0), "ratio"),
    key("amplification", "storm_ratio", Kind::Number(1.0, 1000.0), "ratio"),
    key("amplification", "floor_per_s", Kind::Number(0.0, 1e9), "1/s"),
    key("otlp", "endpoint", Kind::Text(ENDPOINT), ""),
    key("otlp", "interval", Kind::Time(ms(1000), ms(10 * MINUTE_MS)), "time"),
    key(
        "otlp",
        "headers_file",
        Kind::Text("the absolute path of a file, or empty for none"),
        "",
    ),
    key("veto", "enabled", Kind::Flag, ""),
    key("veto", "ttl", Kind::Time(ms(1000), ms(MINUTE_MS)), "time"),
    key("veto", "max_hold", Kind::Time(ms(10_000), ms(DAY_MS)), "time"),
    key("veto", "effect_after", Kind::Time(ms(1000), ms(MINUTE_MS)), "time"),
    key("veto", "approval", Kind::Time(ms(10_000), ms(DAY_MS)), "time"),
    key("veto", "max_scopes", Kind::Integer(1, 64), "scopes"),
    key("veto", "max_per_hour", Kind::Integer(1, 3600), "actions/h"),
    key("veto", "max_share_pct", Kind::Integer(1, 100), "%"),
    key(
        "veto",
        "protect",
        Kind::Texts("a list of globs such as \"/system.slice/postgresql.service\", 64 of them at the most"),
        "globs",
    ),
    key("veto", "allow_freeze", Kind::Flag, ""),
    key("rule", "name", Kind::Text(NAME), ""),
    key("rule", "causes", Kind::Words(CAUSES), ""),
    key("rule", "level", Kind::Word(LEVELS), ""),
    key(
        "rule",
        "scope",
        Kind::Text("a glob such as \"/system.slice/**\""),
        "glob",
    ),
    key("rule", "action", Kind::Word(ACTIONS), ""),
    key("rule", "reserve_per_s", Kind::Integer(1, 10_000), "1/s"),
    key("rule", "keep_pct", Kind::Integer(25, 99), "%"),
    key("hook", "name", Kind::Text(NAME), ""),
    key(
        "hook",
        "command",
        Kind::Texts("a list of texts, 1 to 64 of them, the first an absolute path"),
        "argv",
    ),
    key("hook", "signals", Kind::Words(SIGNALS), ""),
    key("hook", "level", Kind::Word(LEVELS), ""),
    key(
        "hook",
        "scope",
        Kind::Text("a glob such as \"/system.slice/**\""),
        "glob",
    ),
    key("hook", "timeout", Kind::Time(ms(100), ms(HOUR_MS)), "time"),
    key("hook", "cooldown", Kind::Time(ms(0), ms(DAY_MS)), "time"),
    key("hook", "max_per_hour", Kind::Integer(1, 3600), "runs/h"),
    key("hook", "user", Kind::Text("the name of a user of this host"), ""),
];

/// The key of a table; every name the readers ask for is in [`KEYS`].
pub(super) fn find(table: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.table == table && key.name == name)
}

/// The known word nearest to `word`, when it is near enough to be meant.
pub(super) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| {
            *distance <= candidate.len().max(word.len()) / 3 + 1 && *distance < candidate.len()
        })
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's: the fewest insertions, deletions and substitutions that make one of the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    // Nobody means a key by a longer word; the bound keeps a hostile file from costing time.
    for (i, a) in from.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_the_key_it_means() {
        let known = ["interval", "network_interval", "max_cgroups", "autonomy"];
        assert_eq!(closest("intervall", known), Some("interval"));
        assert_eq!(closest("max-cgroups", known), Some("max_cgroups"));
        assert_eq!(closest("Autonomy", known), Some("autonomy"));
        assert_eq!(closest("colour", known), None);
        assert_eq!(closest("", known), None);
    }
}
