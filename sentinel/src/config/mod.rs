//! Checked configuration: what the rest of the agent may rely on. Raw TOML goes in at one place and never further.
//!
//! `read` knows TOML, lines and kinds; `check` knows what must hold between values; `settings` shows what is in force.
//! A config never changes after start.
#![forbid(unsafe_code)]

mod account;
mod check;
mod duration;
mod error;
pub mod keys;
mod load;
mod read;
mod settings;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use globset::GlobMatcher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    account::Account,
    error::ConfigError,
    load::{DEFAULT_PATH, MAX_BYTES, parse_time},
    settings::{Origin, Setting},
};
use crate::judge::verdict::{Level, Signal};

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

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time between ticks; 100 ms to 60 s. Default 1 s.
    pub interval: Duration,
    /// Time between readings of the network sensor; 50 ms up to `interval`. Default 200 ms (or `interval`, if shorter).
    pub network_interval: Duration,
    /// cgroups told apart; 16 to 65,535. Default 1024.
    pub max_cgroups: u32,
    /// What the agent may do by itself.
    pub autonomy: Autonomy,
    /// False alarms accepted per week of this host; 0.001 to 1000. The rarity that signs need follows from it. Default 1.
    pub false_alarms_per_week: f64,
    /// Judge of the scheduler signal.
    pub jitter: JitterConfig,
    /// Judge of the memory signal.
    pub fever: FeverConfig,
    /// Judge of the network signal.
    pub amplification: AmplificationConfig,
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
            hooks: Vec::new(),
            source: None,
            origins: BTreeMap::new(),
        }
    }
}
