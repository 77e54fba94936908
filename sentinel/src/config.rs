//! Checked configuration: what the rest of the agent may rely on. Raw TOML goes in at one place and never further.
#![forbid(unsafe_code)]

use std::{path::PathBuf, time::Duration};

use globset::GlobMatcher;
use serde::{Deserialize, Serialize};

use crate::judge::verdict::{Level, Signal};

/// What the agent may do by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
}

/// `[jitter]`
#[derive(Clone, Debug, PartialEq)]
pub struct JitterConfig {
    /// False turns the sensor and the signal off.
    pub enabled: bool,
    /// Sigmas above the baseline that count as a sign. Default 2.0.
    pub sigma: f64,
    /// Mean run-queue wait per second of wall time and CPU below which nothing is wrong, whatever the variance, in
    /// milliseconds of waiting per second. Default 50.
    pub floor_ms_per_s: f64,
}

/// `[fever]`
#[derive(Clone, Debug, PartialEq)]
pub struct FeverConfig {
    /// False turns the sensor and the signal off.
    pub enabled: bool,
    /// Net allocation velocity below which nothing is wrong, MB/s (10^6 bytes). Default 0.25.
    pub floor_mb_per_s: f64,
    /// Forecast horizon for `veto`: exhaustion sooner than this. Default 1 h.
    pub horizon: Duration,
}

/// `[amplification]`
#[derive(Clone, Debug, PartialEq)]
pub struct AmplificationConfig {
    /// False turns the sensor and the signal off.
    pub enabled: bool,
    /// alpha above this is worth watching. Default 1.1.
    pub watch_ratio: f64,
    /// alpha above this, sustained and above the baseline, is a verdict. Default 1.2.
    pub veto_ratio: f64,
    /// alpha from here on is a storm. Default 2.0.
    pub storm_ratio: f64,
    /// Work out per second below which nothing is wrong. Default 10.
    pub floor_per_s: f64,
}

/// `[[hook]]`
#[derive(Clone, Debug)]
pub struct HookConfig {
    /// Unique name.
    pub name: String,
    /// argv; the first is an absolute path. No shell.
    pub command: Vec<String>,
    /// Signals it is for; empty means all.
    pub signals: Vec<Signal>,
    /// The level from which on it runs. Default `veto`.
    pub level: Level,
    /// Scopes it is for, matched against the cgroup path and the unit; `None` means all.
    pub scope: Option<GlobMatcher>,
    /// Time after which its process group is killed. Default 10 s, 100 ms to 1 h.
    pub timeout: Duration,
    /// Time after a run before it runs again for the same scope. Default 60 s.
    pub cooldown: Duration,
    /// Runs per hour at the most, all scopes together. Default 10.
    pub max_per_hour: u32,
    /// User it runs as. `None`: the agent's own.
    pub user: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            network_interval: Duration::from_millis(200),
            max_cgroups: 1024,
            autonomy: Autonomy::Observe,
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
        }
    }
}
