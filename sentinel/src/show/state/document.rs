//! `Document`, schema `sentinel.state/1`. Field order here is field order in JSON. `null` is not measured, zero is zero.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Entry;
use crate::{
    act::{LeaseView, WaitingView},
    config::Autonomy,
    judge::{
        Levels,
        verdict::{self, Baseline, Cause, Forecast, Level, Phase, PlannedAction, Risk, Signal},
    },
    sense::sample::{Destination, ScopeKind},
    show::{own::Own, status::Rates},
};

/// The schema name in every document.
pub const SCHEMA: &str = "sentinel.state/1";

/// A run as it stands after one snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Names the run: another one after a restart, whose sequence numbers begin anew.
    pub run: String,
    /// Counts documents of a run from 1.
    pub seq: u64,
    /// Wall clock, RFC 3339 with milliseconds, UTC.
    pub time: String,
    /// The same, milliseconds since the Unix epoch.
    pub unix_ms: i64,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub monotonic_ns: u64,
    /// The host.
    pub host: HostState,
    /// The agent.
    pub agent: AgentState,
    /// Signals by level, all scopes.
    pub levels: Vec<LevelCounts>,
    /// The most severe scopes, most severe first.
    pub scopes: Vec<ScopeState>,
    /// The scopes that are not listed.
    pub rest: Rest,
    /// Open incidents, most severe first, then those that ended last.
    pub incidents: Vec<IncidentState>,
    /// Incidents that are open and not listed.
    pub incidents_not_listed: u64,
    /// Actions that hold now, the oldest first.
    pub leases: Vec<LeaseView>,
    /// Plans that wait for approval, the oldest first.
    pub waiting: Vec<WaitingView>,
    /// The latest verdicts and outcomes, oldest first.
    pub log: Vec<Entry>,
    /// What was said since the start.
    pub totals: Totals,
    /// What was lost or missed since the start, by kind; kinds that never happened are left out.
    pub losses: BTreeMap<String, u64>,
    /// Sensors that do not run.
    pub unavailable: Vec<Unavailable>,
}

/// The host now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostState {
    /// Host name, printable.
    pub name: String,
    /// Boot id of the kernel.
    pub boot_id: String,
    /// Kernel release.
    pub kernel: String,
    /// CPUs online when the run began.
    pub cpus: u32,
    /// What it does, per second.
    pub rates: Rates,
    /// Bytes of memory in all.
    pub memory_total_bytes: Option<u64>,
    /// Bytes the kernel could hand out without swapping.
    pub memory_available_bytes: Option<u64>,
}

/// The agent now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentState {
    /// Version.
    pub version: String,
    /// What it may do by itself.
    pub autonomy: Autonomy,
    /// Time between ticks, milliseconds.
    pub interval_ms: u64,
    /// When the run began, milliseconds since the Unix epoch.
    pub began_unix_ms: i64,
    /// Seconds since the run began.
    pub uptime_s: f64,
    /// Ticks since then.
    pub ticks: u64,
    /// Ticks that began later than half an interval after their time.
    pub late_ticks: u64,
    /// What the agent itself uses.
    pub own: Own,
    /// Where it shows what it sees, as they were before this document.
    #[serde(default)]
    pub surfaces: Vec<SurfaceState>,
}

/// One surface: the journal, standard output, a collector, ..
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SurfaceState {
    /// Its name.
    pub name: String,
    /// Records that did not get through and never will, since the start; for metrics that are sent, whole exports.
    pub lost: u64,
    /// What keeps it from getting through now, printable; `None` while it works.
    pub unwell: Option<String>,
}

/// How many scopes are at which level, for one signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LevelCounts {
    /// Which signal.
    pub signal: Signal,
    /// Not enough to say.
    pub unknown: u64,
    /// As always.
    pub nominal: u64,
    /// Worth a look.
    pub watch: u64,
    /// Worth acting.
    pub veto: u64,
}

impl LevelCounts {
    /// None of any level.
    #[must_use]
    pub const fn none(signal: Signal) -> Self {
        Self {
            signal,
            unknown: 0,
            nominal: 0,
            watch: 0,
            veto: 0,
        }
    }

    /// Of one signal.
    #[must_use]
    pub fn of(signal: Signal, levels: &Levels) -> Self {
        let mut counts = Self::none(signal);
        for level in [Level::Unknown, Level::Nominal, Level::Watch, Level::Veto] {
            *counts.at(level) = levels.at(signal, level).into();
        }
        counts
    }

    /// The count of one level.
    pub const fn at(&mut self, level: Level) -> &mut u64 {
        match level {
            Level::Unknown => &mut self.unknown,
            Level::Nominal => &mut self.nominal,
            Level::Watch => &mut self.watch,
            Level::Veto => &mut self.veto,
        }
    }

    /// Every level with its count.
    #[must_use]
    pub const fn each(&self) -> [(Level, u64); 4] {
        [
            (Level::Unknown, self.unknown),
            (Level::Nominal, self.nominal),
            (Level::Watch, self.watch),
            (Level::Veto, self.veto),
        ]
    }
}

/// One scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScopeState {
    /// `host`, `cgroup` or `other`.
    pub kind: ScopeKind,
    /// cgroup v2 id; 0 for the host and `other`. With `kind` it names the scope.
    pub cgroup_id: u64,
    /// The shortest name a reader knows it by, printable.
    pub name: String,
    /// cgroup path as the kernel tells it: hostile text.
    pub path: String,
    /// systemd unit, where the path names one: hostile text.
    pub unit: Option<String>,
    /// Container id, where the path names one.
    pub container: Option<String>,
    /// The worst level of its signals.
    pub level: Level,
    /// Level (0 unknown, 1 nominal, 2 watch, 3 veto) of the worst signal, plus how rare its value is in the scope's own
    /// past, from 0 (as always) to 1 (once in 10^12 readings).
    pub severity: f64,
    /// Its signals; one that is off or not judged for this scope is missing.
    pub signals: Vec<SignalState>,
}

/// One signal of one scope: level and value, velocity and acceleration, and what follows from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SignalState {
    /// Which signal.
    pub signal: Signal,
    /// Its level.
    pub level: Level,
    /// The level before; `None` when the level has not changed since the start.
    pub previous: Option<Level>,
    /// Wall clock of that change.
    pub since: Option<String>,
    /// Why.
    pub cause: Cause,
    /// Phase of an amplifying scope; `None` for other signals.
    pub phase: Option<Phase>,
    /// The signal's value in `unit`.
    pub value: Option<f64>,
    /// `ms`, `MB/s` or `ratio`.
    pub unit: String,
    /// The scope's own past.
    pub baseline: Option<Baseline>,
    /// How many of the baseline's sigmas the value lies above its mean.
    pub sigma: Option<f64>,
    /// How rarely the scope's own past was as high, decades.
    pub rarity: Option<f64>,
    /// First derivative of the value, `unit` per second.
    pub velocity_per_s: Option<f64>,
    /// Second derivative, `unit` per second squared.
    pub acceleration_per_s2: Option<f64>,
    /// When the scope's limit will be reached.
    pub forecast: Option<Forecast>,
    /// What would happen if requests began to fail.
    pub risk: Option<Risk>,
    /// Where most of its connection attempts fail.
    pub destination: Option<Destination>,
    /// Id of the open incident it belongs to.
    pub incident: Option<String>,
    /// The latest sentence about it, printable; `None` until something was said.
    pub summary: Option<String>,
    /// What the latest verdict about it would do or does.
    pub plan: Vec<PlannedAction>,
}

/// Scopes that are not listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rest {
    /// How many.
    pub scopes: u64,
    /// Their signals by level.
    pub levels: Vec<LevelCounts>,
}

/// One incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IncidentState {
    /// Its id.
    pub id: String,
    /// Kind of its scope.
    pub kind: ScopeKind,
    /// cgroup id of its scope.
    pub cgroup_id: u64,
    /// Name of its scope, printable.
    pub name: String,
    /// Its signal.
    pub signal: Signal,
    /// Why, as said last.
    pub cause: Cause,
    /// The level now.
    pub level: Level,
    /// The highest level so far.
    pub peak_level: Level,
    /// The signal's highest value that a verdict told of.
    pub peak: Option<f64>,
    /// Unit of that.
    pub unit: String,
    /// Wall clock of its first alarm.
    pub began: String,
    /// Wall clock of the all-clear; `None` while it is open.
    pub ended: Option<String>,
    /// Seconds since it began, or that it lasted.
    pub seconds: f64,
    /// It comes and goes.
    pub flapping: bool,
    /// The incident that this one followed from.
    pub follows: Option<String>,
    /// The latest sentence about it, printable.
    pub summary: String,
}

impl IncidentState {
    /// As a verdict tells of it.
    pub(super) fn of(verdict: &verdict::Verdict, incident: &verdict::Incident, name: String, summary: String) -> Self {
        Self {
            id: incident.id.clone(),
            kind: verdict.scope.kind,
            cgroup_id: verdict.scope.cgroup_id,
            name,
            signal: verdict.signal,
            cause: verdict.cause,
            level: verdict.level,
            peak_level: incident.peak_level,
            peak: incident.peak,
            unit: verdict.unit.clone(),
            began: incident.began.clone(),
            ended: incident.ended.clone(),
            seconds: incident.seconds,
            flapping: incident.flapping,
            follows: incident.follows.clone(),
            summary,
        }
    }
}

/// What was said since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Verdicts by signal and level.
    pub verdicts: Vec<LevelCounts>,
    /// Outcomes of actions, by what became of them: `succeeded`, `began`, `ended`, `failed`, ..
    pub outcomes: BTreeMap<String, u64>,
    /// Incidents that began.
    pub incidents: u64,
}

/// A sensor that does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unavailable {
    /// Which.
    pub sensor: String,
    /// Why, and what would help.
    pub reason: String,
}
