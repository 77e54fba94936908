//! Checked configuration: what the rest of the agent may rely on. Raw TOML goes in at one place and never further.
//!
//! `read` knows TOML, lines and kinds; `check` knows what must hold between values; `settings` shows what is in force.
//! A config never changes; a run may take over another one, as far as `change` lets it.
#![forbid(unsafe_code)]

mod account;
mod change;
mod check;
mod duration;
mod error;
pub mod keys;
mod listen;
mod load;
mod otlp;
mod read;
mod rules;
mod settings;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use globset::GlobMatcher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    account::Account,
    change::Change,
    error::ConfigError,
    listen::Listen,
    load::{DEFAULT_PATH, MAX_BYTES, parse_time},
    otlp::{BUILT_IN as OTLP_BUILT_IN, OtlpConfig},
    settings::{Origin, Setting},
};
use crate::judge::verdict::{Cause, Level, Signal};

/// What the agent may do by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Autonomy {
    /// Says what it would do. No enforcing program is loaded, no hook runs.
    #[default]
    Observe,
    /// Waits for approval of each plan.
    Approve,
    /// Acts.
    Auto,
}

impl Autonomy {
    /// All of them, from the least to the most.
    pub const ALL: [Self; 3] = [Self::Observe, Self::Approve, Self::Auto];

    /// The name on every surface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Approve => "approve",
            Self::Auto => "auto",
        }
    }
}

/// How much the agent says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What went wrong.
    Error,
    /// And what is not as it should be.
    Warn,
    /// And what it does.
    #[default]
    Info,
    /// And what helps to find a mistake in it.
    Debug,
}

impl LogLevel {
    /// All of them, from the least to the most.
    pub const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// The name in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time between ticks; 100 ms to 60 s. Default 1 s.
    pub interval: Duration,
    /// Time between readings of the network sensor; 50 ms up to `interval`. Default 200 ms (or `interval`, if shorter). While nothing happens
    /// on the host it is a second.
    pub network_interval: Duration,
    /// cgroups told apart; 16 to 65,535. Default 1024.
    pub max_cgroups: u32,
    /// What the agent may do by itself.
    pub autonomy: Autonomy,
    /// False alarms accepted per week of this host; 0.001 to 1000. The rarity that signs need follows from it. Default 1.
    pub false_alarms_per_week: f64,
    /// What the agent and its programs may cost, percent of one CPU, for the whole host; 0.01 to 100. Default 0.5.
    pub cost_budget: f64,
    /// Where page, API and metrics are served. Default `127.0.0.1:9464`.
    pub listen: Listen,
    /// File with the token that a viewer must present; `None`: none is asked for. Needed where `listen` is not local.
    pub listen_token_file: Option<PathBuf>,
    /// Who the agent becomes once it has attached everything; `None`: `sentinel` where the host has that user, else nobody
    /// else. Not above `observe`.
    pub user: Option<Account>,
    /// File for outside monitors, written anew while ticks happen; `None`: none is written.
    pub heartbeat_file: Option<PathBuf>,
    /// Directory in which what is learned is kept over a restart; `None`: that of the service manager, else nowhere.
    pub state_dir: Option<PathBuf>,
    /// How often it is written there; 1 s to 1 h. Default 5 min.
    pub state_every: Duration,
    /// What of its own log the agent writes. Default `info`.
    pub log: LogLevel,
    /// Judge of the scheduler signal.
    pub jitter: JitterConfig,
    /// Judge of the memory signal.
    pub fever: FeverConfig,
    /// Judge of the network signal.
    pub amplification: AmplificationConfig,
    /// Where metrics and verdicts are sent.
    pub otlp: OtlpConfig,
    /// Limits of what may be done to cgroups.
    pub veto: VetoConfig,
    /// What is done to cgroups, and when, in the order of the file. Without a `[[rule]]` in it: [`RuleConfig::retry_storm`].
    pub rules: Vec<RuleConfig>,
    /// Hooks, in the order of the file.
    pub hooks: Vec<HookConfig>,
    /// File it came from; `None` for defaults only.
    pub source: Option<PathBuf>,
    /// Where each value that somebody set came from, by full key: `interval`, `jitter.sigma`, `hook.NAME.timeout`.
    pub origins: BTreeMap<String, Origin>,
}

/// `[jitter]`
#[derive(Clone, Debug, PartialEq)]
pub struct JitterConfig {
    /// False turns the sensor and the signal off.
    pub enabled: bool,
    /// Sigmas above the baseline that count as a sign; 0.1 to 100. Default 2.0.
    pub sigma: f64,
    /// Mean run-queue wait per second of wall time and CPU below which nothing is wrong, whatever the variance, in
    /// milliseconds of waiting per second; 0 to 1,000,000. Default 50.
    pub floor_ms_per_s: f64,
}

/// `[fever]`
#[derive(Clone, Debug, PartialEq)]
pub struct FeverConfig {
    /// False turns the sensor and the signal off.
    pub enabled: bool,
    /// Net allocation velocity below which nothing is wrong, MB/s (10^6 bytes); 0 to 1,000,000. Default 0.25.
    pub floor_mb_per_s: f64,
    /// Forecast horizon for `veto`: exhaustion sooner than this; 10 s to 7 days. Default 1 h.
    pub horizon: Duration,
}

/// `[amplification]`
#[derive(Clone, Debug, PartialEq)]
pub struct AmplificationConfig {
    /// False turns the sensor and the signal off.
    pub enabled: bool,
    /// alpha above this is worth watching; 1 up to `veto_ratio`. Default 1.1.
    pub watch_ratio: f64,
    /// alpha above this, sustained and above the baseline, is a verdict; up to `storm_ratio`. Default 1.2.
    pub veto_ratio: f64,
    /// alpha from here on is a storm; up to 1000. Default 2.0.
    pub storm_ratio: f64,
    /// Work out per second below which nothing is wrong; 0 to 10^9. Default 10.
    pub floor_per_s: f64,
}

/// `[veto]`: how far actions on cgroups may go, all rules together.
#[derive(Clone, Debug)]
pub struct VetoConfig {
    /// False: no rule acts, whatever the autonomy. Default true.
    pub enabled: bool,
    /// How long an action holds without being renewed; 1 s to 60 s. Default 10 s.
    pub ttl: Duration,
    /// The longest an action is renewed for one verdict; 10 s to 1 day. Default 10 min.
    pub max_hold: Duration,
    /// Time after which its effect is compared with what was expected; 1 s to 60 s. Default 5 s.
    pub effect_after: Duration,
    /// How long a plan waits for approval; 10 s to 1 day. Default 5 min.
    pub approval: Duration,
    /// Scopes that something is done to at once; 1 to 64. Default 4. More that call for it within a minute disarm a rule.
    pub max_scopes: u32,
    /// Actions that begin in any 60 minutes; 1 to 3600. Default 20.
    pub max_per_hour: u32,
    /// Share of the scopes that used the network in the last minute that something may be done to at once, percent; one
    /// scope always may; 1 to 100. Default 50.
    pub max_share_pct: u32,
    /// Scopes nothing is done to, besides those that are always protected.
    pub protect: Vec<GlobMatcher>,
    /// Whether cgroups may be frozen. Default false.
    pub allow_freeze: bool,
}

impl Default for VetoConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            ttl: Duration::from_secs(10),
            max_hold: Duration::from_secs(600),
            effect_after: Duration::from_secs(5),
            approval: Duration::from_secs(300),
            max_scopes: 4,
            max_per_hour: 20,
            max_share_pct: 50,
            protect: Vec::new(),
            allow_freeze: false,
        }
    }
}

/// `[[rule]]`: an action on the cgroup of a verdict.
#[derive(Clone, Debug)]
pub struct RuleConfig {
    /// Unique name of at most 64 plain characters.
    pub name: String,
    /// Causes it is for.
    pub causes: Vec<Cause>,
    /// The level from which on it acts. Default `veto`.
    pub level: Level,
    /// Scopes it is for, as for hooks; `None` means all.
    pub scope: Option<GlobMatcher>,
    /// What it does.
    pub action: RuleAction,
    /// `retry_budget`: attempts per second that need no inbound work; 1 to 10,000. Default 10.
    pub reserve_per_s: u32,
    /// Other actions: what the scope keeps of what it has or uses, percent; 25 to 99, and 50 to 99 for `memory_high`.
    /// Default 50.
    pub keep_pct: u32,
}

impl RuleConfig {
    /// Default `reserve_per_s`.
    pub const RESERVE_PER_S: u32 = 10;
    /// Default `keep_pct`.
    pub const KEEP_PCT: u32 = 50;

    /// The rule there is when the file has none: a retry budget for a scope that is in a retry storm.
    #[must_use]
    pub fn retry_storm() -> Self {
        Self {
            name: "retry-storm".into(),
            causes: vec![Cause::RetryStorm],
            level: Level::Veto,
            scope: None,
            action: RuleAction::RetryBudget,
            reserve_per_s: Self::RESERVE_PER_S,
            keep_pct: Self::KEEP_PCT,
        }
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// A budget for connection attempts, in the kernel.
    RetryBudget,
    /// A share of new connections from outside, in the kernel: for a scope that cannot finish what it is asked.
    Admission,
    /// `cpu.max` at a share of the CPU time used.
    CpuMax,
    /// `cpu.weight` at a share of the weight found.
    CpuWeight,
    /// `memory.high` at a share of what is used.
    MemoryHigh,
    /// `cgroup.freeze`.
    Freeze,
}

impl RuleAction {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::RetryBudget,
        Self::Admission,
        Self::CpuMax,
        Self::CpuWeight,
        Self::MemoryHigh,
        Self::Freeze,
    ];

    /// The name on every surface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RetryBudget => "retry_budget",
            Self::Admission => "admission",
            Self::CpuMax => "cpu_max",
            Self::CpuWeight => "cpu_weight",
            Self::MemoryHigh => "memory_high",
            Self::Freeze => "freeze",
        }
    }
}

/// `[[hook]]`
#[derive(Clone, Debug)]
pub struct HookConfig {
    /// Unique name of at most 64 plain characters.
    pub name: String,
    /// argv; the first is an absolute path. No shell.
    pub command: Vec<String>,
    /// Signals it is for; empty means all.
    pub signals: Vec<Signal>,
    /// The level from which on it runs. Default `veto`.
    pub level: Level,
    /// Scopes it is for, matched against the cgroup path and the unit, or the words `host` and `other`; `None` means
    /// all. `*` stays within one part of a path, `**` does not; a backslash is a backslash.
    pub scope: Option<GlobMatcher>,
    /// Time after which its process group is killed. Default 10 s, 100 ms to 1 h.
    pub timeout: Duration,
    /// Time from the start of a run before it runs again for the same scope; 0 s to 1 day. Default 60 s.
    pub cooldown: Duration,
    /// Runs in any 60 minutes at the most, all scopes together; 1 to 3600. Default 10.
    pub max_per_hour: u32,
    /// User it runs as, with that user's primary group and no other. `None`: the agent's own.
    pub user: Option<Account>,
}

impl HookConfig {
    /// Default `timeout`.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// Default `cooldown`.
    pub const COOLDOWN: Duration = Duration::from_secs(60);
    /// Default `max_per_hour`.
    pub const MAX_PER_HOUR: u32 = 10;
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            network_interval: Duration::from_millis(200),
            max_cgroups: 1024,
            autonomy: Autonomy::Observe,
            false_alarms_per_week: 1.0,
            cost_budget: 0.5,
            listen: Listen::default(),
            listen_token_file: None,
            user: None,
            heartbeat_file: None,
            state_dir: None,
            state_every: Duration::from_secs(300),
            log: LogLevel::Info,
            jitter: JitterConfig {
                enabled: true,
                sigma: 2.0,
                floor_ms_per_s: 50.0,
            },
            fever: FeverConfig {
                enabled: true,
                floor_mb_per_s: 0.25,
                horizon: Duration::from_secs(3600),
            },
            amplification: AmplificationConfig {
                enabled: true,
                watch_ratio: 1.1,
                veto_ratio: 1.2,
                storm_ratio: 2.0,
                floor_per_s: 10.0,
            },
            otlp: OtlpConfig::default(),
            veto: VetoConfig::default(),
            rules: vec![RuleConfig::retry_storm()],
            hooks: Vec::new(),
            source: None,
            origins: BTreeMap::new(),
        }
    }
}
