//! `Verdict`, schema `sentinel.verdict/1`. Field order here is field order in JSON.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::Autonomy,
    sense::sample::{Destination, Scope},
};

/// The schema name in every verdict.
pub const SCHEMA: &str = "sentinel.verdict/1";

/// What is said about one signal of one scope at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// ULID from the time and a hash of origin, sequence number, scope and signal: the same on every replay.
    pub id: String,
    /// Counts verdicts of a run from 1.
    pub seq: u64,
    /// Wall clock, RFC 3339 with milliseconds, UTC.
    pub time: String,
    /// Boot id of the kernel.
    pub boot_id: String,
    /// `CLOCK_MONOTONIC` of the sample, nanoseconds.
    pub monotonic_ns: u64,
    /// Host name.
    pub host: String,
    /// What it is about.
    pub scope: Arc<Scope>,
    /// Which signal.
    pub signal: Signal,
    /// The level now.
    pub level: Level,
    /// The level before.
    pub previous: Level,
    /// Why.
    pub cause: Cause,
    /// Phase of an amplifying scope; `None` for other signals.
    pub phase: Option<Phase>,
    /// The signal's value in `unit`; `None` when not measured.
    pub value: Option<f64>,
    /// `ms` (jitter: dispersion of run-queue wait), `MB/s` (fever: net allocation velocity) or `ratio` (amplification).
    pub unit: String,
    /// The scope's own past.
    pub baseline: Option<Baseline>,
    /// How many of the baseline's sigmas the value lies above its mean; `None` without a baseline.
    pub sigma: Option<f64>,
    /// How rarely the scope's own past was as high, in decades: `-log10` of the share of readings, 0 to 12; `None` without
    /// enough past.
    #[serde(default)]
    pub rarity: Option<f64>,
    /// The false alarms that the thresholds accept.
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// First derivative of the value, `unit` per second.
    pub velocity_per_s: Option<f64>,
    /// Second derivative, `unit` per second squared.
    pub acceleration_per_s2: Option<f64>,
    /// When the scope's limit will be reached, if it goes on like this.
    pub forecast: Option<Forecast>,
    /// What would happen if requests began to fail; `None` where load or capacity was not measured.
    #[serde(default)]
    pub risk: Option<Risk>,
    /// Where most of its connection attempts fail; `None` when none do.
    #[serde(default)]
    pub destination: Option<Destination>,
    /// The incident it belongs to; `None` when nothing is wrong and nothing just ended.
    #[serde(default)]
    pub incident: Option<Incident>,
    /// The evidence: named numbers the cause rests on. Units end the names.
    pub features: BTreeMap<String, f64>,
    /// Milliseconds the value was computed over.
    pub window_ms: u64,
    /// Share of that window that was measured, 0 to 1.
    pub coverage: f64,
    /// Counts lost in the window, all kinds that matter to this signal.
    pub lost: u64,
    /// What the agent may do.
    pub autonomy: Autonomy,
    /// What it would do or does.
    pub plan: Vec<PlannedAction>,
    /// One sentence for a reader.
    pub summary: String,
}

/// The three signals of a scope, and what the agent says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Variance of run-queue wait.
    Jitter,
    /// Net page-allocation velocity.
    Fever,
    /// Work going out per work coming in.
    Amplification,
    /// What the agent itself costs; of the scope `agent` alone.
    Cost,
}

impl Signal {
    /// Those that scopes are judged by, in the order they are shown.
    pub const ALL: [Self; 3] = [Self::Jitter, Self::Fever, Self::Amplification];

    /// The name on every surface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jitter => "jitter",
            Self::Fever => "fever",
            Self::Amplification => "amplification",
            Self::Cost => "cost",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Not enough to say: warm-up, stale or missing data. Never acts.
    #[default]
    Unknown,
    /// As always.
    Nominal,
    /// Worth a look.
    Watch,
    /// Corroborated and persistent: worth acting.
    Veto,
}

impl Level {
    /// The name on every surface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Nominal => "nominal",
            Self::Watch => "watch",
            Self::Veto => "veto",
        }
    }
}

/// Why: a closed list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nothing is wrong.
    None,
    /// Tasks of the scope crowd each other out on the CPU.
    Thrash,
    /// Others hold the CPU.
    Starved,
    /// `cpu.max` holds it back.
    Throttled,
    /// Voluntary switches rise, progress does not.
    Convoy,
    /// Memory grows and does not come back.
    Leak,
    /// Memory was taken at once.
    Burst,
    /// The kernel is taking pages back as fast as they are handed out.
    Reclaim,
    /// The scope repeats work that fails.
    RetryStorm,
    /// One request becomes many.
    FanOut,
    /// The scope sends and hardly receives.
    Flood,
    /// The agent would cost more than its budget.
    OverBudget,
    /// Not enough to say.
    #[default]
    Undetermined,
}

impl Cause {
    /// The name on every surface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Thrash => "thrash",
            Self::Starved => "starved",
            Self::Throttled => "throttled",
            Self::Convoy => "convoy",
            Self::Leak => "leak",
            Self::Burst => "burst",
            Self::Reclaim => "reclaim",
            Self::RetryStorm => "retry_storm",
            Self::FanOut => "fan_out",
            Self::Flood => "flood",
            Self::OverBudget => "over_budget",
            Self::Undetermined => "undetermined",
        }
    }
}

/// Phase of an amplifying scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Work out follows work in.
    #[default]
    Healthy,
    /// Requests fail or slow down, work out does not grow yet.
    Overloaded,
    /// Work out grows while work in does not.
    Amplifying,
    /// The trigger is gone and it is still overloaded.
    Metastable,
    /// Coming back.
    Recovering,
}

/// The scope's own past, without what is being judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// Mean, in the verdict's unit.
    pub mean: f64,
    /// Standard deviation, in the verdict's unit; never below the resolution of the measurement.
    pub sigma: f64,
    /// Samples it rests on.
    pub samples: u64,
}

/// What the thresholds follow from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// False alarms accepted per week of this host, all scopes and signals together.
    pub false_alarms_per_week: f64,
    /// Decades by which a sign has to be rare to speak for itself; half of it when a second, independent one agrees.
    pub decades: f64,
}

/// Time to exhaustion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// Seconds until the limit is reached on the present course.
    pub exhaustion_s: f64,
    /// Earliest: the lower end of an interval meant to hold the true time in 19 of 20 cases.
    pub earliest_s: f64,
    /// Latest, its upper end; `None` when it may never be reached.
    pub latest_s: Option<f64>,
    /// The limit, bytes.
    pub limit_bytes: u64,
    /// What became of this scope's earlier forecasts; `None` until one was scored.
    #[serde(default)]
    pub score: Option<ForecastScore>,
}

/// How good a scope's forecasts were. Each is scored once: when memory is gone, or at half of its time by how far along
/// its course memory is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForecastScore {
    /// Forecasts kept for scoring.
    pub made: u64,
    /// Those that came to be scored.
    pub scored: u64,
    /// Share of them whose interval held the true time, 0 to 1.
    pub inside_share: f64,
    /// Median of the last 15 errors, as a share of the true time, 0 to 1.
    pub median_error_share: f64,
}

/// Whether retries alone would keep a scope overloaded once its requests began to fail.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Risk {
    /// Requests it is asked for, per second.
    pub load_per_s: f64,
    /// Attempts it makes for each request that fails, measured.
    pub attempts_per_failure: f64,
    /// Requests that were answered per second when more was asked than could be answered, measured.
    pub capacity_per_s: f64,
    /// `load_per_s * attempts_per_failure / capacity_per_s`: from 1 on, a failure sustains itself.
    pub overload: f64,
}

/// Verdicts of one cause on one scope, from the first alarm to the all-clear.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    /// ULID from its beginning: the same in all its verdicts and on every replay.
    pub id: String,
    /// Where it stands.
    pub state: IncidentState,
    /// Wall clock of its first alarm, RFC 3339.
    pub began: String,
    /// Wall clock of the all-clear; `None` until then.
    pub ended: Option<String>,
    /// Seconds since it began.
    pub seconds: f64,
    /// The highest level so far.
    pub peak_level: Level,
    /// The signal's highest value so far, in the verdict's unit; `None` when it was not measured.
    pub peak: Option<f64>,
    /// Wall clock of that.
    pub peak_time: Option<String>,
    /// Changes of level so far, the first one included.
    pub changes: u32,
    /// It comes and goes: all-clears that did not last are not believed, and not said again.
    pub flapping: bool,
    /// The incident that this one followed from, on this or another scope: a cascade.
    pub follows: Option<String>,
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// This verdict begins it.
    #[default]
    Began,
    /// It goes on.
    Ongoing,
    /// This verdict ends it: a recovery.
    Ended,
}

/// One line of a plan as a verdict shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedAction {
    /// Id of the plan: what `sentinel veto approve` takes.
    #[serde(default)]
    pub id: String,
    /// What: `hook:NAME`, or the action of a rule, as `retry_budget`.
    pub action: String,
    /// Rule that calls for it; absent for a hook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// True when this is only what would be done (autonomy `observe`).
    pub would: bool,
    /// True while it waits for approval (autonomy `approve`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
    /// Why it is not done although it matches: a cooldown, a cap, a protected scope; `None` when nothing forbids it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forbidden: Option<String>,
    /// How long it holds unless it is renewed, milliseconds; a hook's timeout.
    pub ttl_ms: u64,
    /// What it should bring, in one sentence; absent for a hook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expects: Option<String>,
}
