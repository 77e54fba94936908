//! What is true of a scenario: the faults in it, and what a careful judge may say beside them.

use sentinel::judge::verdict::{Cause, Level, Phase, Signal};
use serde::{Deserialize, Serialize};

/// A fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// Name of the scope that has it.
    pub scope: String,
    /// The signal that has to show it.
    pub signal: Signal,
    /// When it begins, seconds from the start of the recording.
    pub onset_s: f64,
    /// When it ends.
    pub end_s: f64,
    /// The least level that counts as detected.
    pub level: Level,
    /// The highest level that may be said of it.
    #[serde(default = "veto")]
    pub at_most: Level,
    /// Detected later than this after the onset is missed.
    pub within_s: f64,
    /// Causes that are right; empty when any is.
    #[serde(default)]
    pub causes: Vec<Cause>,
    /// How its forecast is scored, for a leak that runs until nothing is left.
    #[serde(default)]
    pub exhausts: Option<Shape>,
    /// The phase it has to be told to be in.
    #[serde(default)]
    pub phase: Option<PhaseTruth>,
    /// It has to be told to be over this soon after its end.
    #[serde(default)]
    pub clears_s: Option<f64>,
    /// Once detected it has to stay so until the end.
    #[serde(default)]
    pub stays: bool,
}

/// How memory runs out; bounds on the forecast differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Evenly.
    Linear,
    /// Unevenly, or under a sawtooth.
    Noisy,
    /// Faster and faster.
    Accelerating,
}

/// A phase that has to be named, or never.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseTruth {
    /// Which.
    pub phase: Phase,
    /// The moment from which on it is so, seconds.
    pub from_s: f64,
    /// It has to be said this soon; `None` when it must never be said.
    pub within_s: Option<f64>,
}

/// Something that may be said without being a fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// Name of a scope, with which the host may say it too; `None` for any.
    #[serde(default)]
    pub scope: Option<String>,
    /// Which signal; `None` for any.
    #[serde(default)]
    pub signal: Option<Signal>,
    /// The highest level.
    pub level: Level,
    /// From when, seconds.
    #[serde(default)]
    pub from_s: f64,
    /// Until when; `None` for the end.
    #[serde(default)]
    pub to_s: Option<f64>,
    /// Which causes; empty for any.
    #[serde(default)]
    pub causes: Vec<Cause>,
}

const fn veto() -> Level {
    Level::Veto
}

/// After the end of a fault a judge may be late with news of it, seconds.
const GRACE_S: f64 = 5.0;

impl Truth {
    /// A fault that is detected by `level` within `within_s`.
    #[must_use]
    pub fn new(scope: &str, signal: Signal, level: Level, (onset_s, end_s): (f64, f64), within_s: f64) -> Self {
        Self {
            scope: scope.to_owned(),
            signal,
            onset_s,
            end_s,
            level,
            at_most: Level::Veto,
            within_s,
            causes: Vec::new(),
            exhausts: None,
            phase: None,
            clears_s: None,
            stays: false,
        }
    }

    /// With the causes that are right.
    #[must_use]
    pub fn causes(mut self, causes: &[Cause]) -> Self {
        self.causes = causes.to_vec();
        self
    }

    /// It is never more than worth a look.
    #[must_use]
    pub const fn at_most_watch(mut self) -> Self {
        self.at_most = Level::Watch;
        self
    }

    /// Memory runs out at its end.
    #[must_use]
    pub const fn exhausts(mut self, shape: Shape) -> Self {
        self.exhausts = Some(shape);
        self
    }

    /// It has to be told to be over this soon.
    #[must_use]
    pub const fn clears(mut self, within_s: f64) -> Self {
        self.clears_s = Some(within_s);
        self
    }

    /// Once detected it stays detected.
    #[must_use]
    pub const fn stays(mut self) -> Self {
        self.stays = true;
        self
    }

    /// A verdict on this scope and signal at this second is about this fault, or the host's word on it.
    #[must_use]
    pub fn covers(&self, scope: &str, signal: Signal, level: Level, at_s: f64) -> bool {
        (scope == self.scope || scope == "host")
            && signal == self.signal
            && level <= self.at_most
            && (self.onset_s..=self.end_s + GRACE_S).contains(&at_s)
    }
}

impl Allowance {
    /// Any cause, always.
    #[must_use]
    pub fn new(scope: Option<&str>, signal: Signal, level: Level) -> Self {
        Self {
            scope: scope.map(str::to_owned),
            signal: Some(signal),
            level,
            from_s: 0.0,
            to_s: None,
            causes: Vec::new(),
        }
    }

    /// Only then.
    #[must_use]
    pub const fn during(mut self, (from_s, to_s): (f64, f64)) -> Self {
        (self.from_s, self.to_s) = (from_s, Some(to_s + GRACE_S));
        self
    }

    /// Only these causes.
    #[must_use]
    pub fn causes(mut self, causes: &[Cause]) -> Self {
        self.causes = causes.to_vec();
        self
    }

    /// True when it allows this.
    #[must_use]
    pub fn allows(&self, scope: &str, signal: Signal, level: Level, cause: Cause, at_s: f64) -> bool {
        level <= self.level
            && self
                .scope
                .as_deref()
                .is_none_or(|name| name == scope || scope == "host")
            && self.signal.is_none_or(|wanted| wanted == signal)
            && (self.causes.is_empty() || self.causes.contains(&cause))
            && at_s >= self.from_s
            && self.to_s.is_none_or(|to_s| at_s <= to_s)
    }
}
