//! The files that are written, what goes into them, and how far one may go. Pure: values come in, values go out.
//!
//! Floors. `cpu.max`: a quarter of what the scope used, at least 1 ms in a period (checked with the order, because it
//! rests on a measurement). `cpu.weight`: a quarter of the weight found. `memory.high`: half of `memory.current`, because
//! below it a scope mostly waits for reclaim. A limit that is found to be as tight already is left alone, so no order
//! can loosen what somebody else set. `cgroup.freeze` has no floor; it must be allowed by name and ends after a minute.

use serde::{Deserialize, Serialize};

use super::ActuatorError;
use crate::act::action::{Action, KEPT};

/// `memory.high` stays above `memory.current` divided by this.
const MEMORY_KEPT: u64 = 2;
/// How the kernel writes "no limit".
const UNLIMITED: &str = "max";

/// What of a cgroup is changed: one of its files, or what its sockets may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knob {
    /// `cpu.max`
    CpuMax,
    /// `cpu.weight`
    CpuWeight,
    /// `memory.high`
    MemoryHigh,
    /// `cgroup.freeze`
    Freeze,
    /// `connect` of its sockets, which programs in the kernel limit: no file.
    Connect,
    /// New connections to its sockets, which a program in the kernel limits: no file.
    Accept,
}

impl Knob {
    /// The one an action changes.
    #[must_use]
    pub const fn of(action: &Action) -> Self {
        match action {
            Action::RetryBudget { .. } => Self::Connect,
            Action::Admission { .. } => Self::Accept,
            Action::CpuMax { .. } => Self::CpuMax,
            Action::CpuWeight { .. } => Self::CpuWeight,
            Action::MemoryHigh { .. } => Self::MemoryHigh,
            Action::Freeze => Self::Freeze,
        }
    }

    /// Whether it is a file of the cgroup.
    #[must_use]
    pub const fn is_file(self) -> bool {
        !matches!(self, Self::Connect | Self::Accept)
    }

    /// Its name: that of the file in the cgroup's directory, if it is one.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::CpuMax => "cpu.max",
            Self::CpuWeight => "cpu.weight",
            Self::MemoryHigh => "memory.high",
            Self::Freeze => "cgroup.freeze",
            Self::Connect => "connect",
            Self::Accept => "accept",
        }
    }

    /// The controller that makes it; `None` where every cgroup has it.
    #[must_use]
    pub const fn controller(self) -> Option<&'static str> {
        match self {
            Self::CpuMax | Self::CpuWeight => Some("cpu"),
            Self::MemoryHigh => Some("memory"),
            Self::Freeze | Self::Connect | Self::Accept => None,
        }
    }

    /// Whether the kernel could have written this into it, and takes it back.
    #[must_use]
    pub(super) fn takes(self, text: &str) -> bool {
        match self {
            Self::CpuMax => CpuMax::read(text).is_some(),
            Self::CpuWeight => number(text).is_some_and(|weight| (1..=10_000).contains(&weight)),
            Self::MemoryHigh => text == UNLIMITED || number(text).is_some(),
            Self::Freeze => ["0", "1"].contains(&text),
            Self::Connect | Self::Accept => false,
        }
    }
}

/// What a cgroup says before it is changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) path: &'a str,
    /// The file's text, without the newline.
    pub(super) text: &'a str,
    /// `memory.current`; only for `memory.high`.
    pub(super) memory_bytes: Option<u64>,
    pub(super) page_bytes: u64,
}

/// The text to write for `action`, in the kernel's own form, so that reading it back gives the same.
///
/// # Errors
/// It would take too much, loosen what is there, or could not be undone.
pub(super) fn wanted(action: &Action, found: Found<'_>) -> Result<String, ActuatorError> {
    let knob = Knob::of(action);
    if !knob.is_file() {
        return Err(ActuatorError::NotMine {
            actuator: super::cgroup::NAME.into(),
            action: action.name().into(),
        });
    }
    let objection = Objection { knob, found };
    if !knob.takes(found.text) {
        return Err(objection.not_restorable());
    }
    match *action {
        Action::RetryBudget { .. } | Action::Admission { .. } => Err(objection.not_restorable()),
        Action::CpuMax {
            quota_us, period_us, ..
        } => {
            let wanted = CpuMax {
                quota_us: Some(quota_us),
                period_us,
            };
            let tighter = CpuMax::read(found.text).is_some_and(|found| wanted.tightens(&found));
            objection.unless(!tighter, wanted.text())
        }
        Action::CpuWeight { weight } => {
            let has = number(found.text).unwrap_or(0);
            objection.floor(weight, has, has.div_ceil(KEPT))?;
            objection.unless(weight >= has, weight.to_string())
        }
        Action::MemoryHigh { bytes } => {
            let bytes = bytes - bytes % found.page_bytes.max(1);
            let has = found.memory_bytes.unwrap_or(0);
            objection.floor(bytes, has, has.div_ceil(MEMORY_KEPT))?;
            let limit = number(found.text);
            objection.unless(limit.is_some_and(|limit| bytes >= limit), bytes.to_string())
        }
        Action::Freeze => objection.unless(found.text == "1", "1".into()),
    }
}

/// Says no, with the names of what it says no about.
struct Objection<'a> {
    knob: Knob,
    found: Found<'a>,
}

impl Objection<'_> {
    fn unless(&self, as_tight: bool, wanted: String) -> Result<String, ActuatorError> {
        if !as_tight {
            return Ok(wanted);
        }
        Err(ActuatorError::Tighter {
            path: self.found.path.into(),
            file: self.knob.file().into(),
            found: self.found.text.into(),
            wanted,
        })
    }

    fn floor(&self, wanted: u64, has: u64, least: u64) -> Result<(), ActuatorError> {
        if wanted >= least {
            return Ok(());
        }
        Err(ActuatorError::Floor {
            path: self.found.path.into(),
            file: self.knob.file().into(),
            wanted,
            has,
            least,
        })
    }

    fn not_restorable(&self) -> ActuatorError {
        ActuatorError::NotRestorable {
            path: self.found.path.into(),
            file: self.knob.file().into(),
            found: self.found.text.chars().take(80).collect(),
        }
    }
}

/// `cpu.max`: a quota, or none, in each period; microseconds.
struct CpuMax {
    quota_us: Option<u64>,
    period_us: u64,
}

impl CpuMax {
    fn read(text: &str) -> Option<Self> {
        let (quota, period) = text.split_once(' ')?;
        let period_us = number(period).filter(|period| *period > 0)?;
        let quota_us = if quota == UNLIMITED { None } else { Some(number(quota)?) };
        Some(Self { quota_us, period_us })
    }

    fn text(&self) -> String {
        let quota = self.quota_us.map_or(UNLIMITED.into(), |quota| quota.to_string());
        format!("{quota} {}", self.period_us)
    }

    /// Whether it allows less per second than `other`; no quota allows everything.
    fn tightens(&self, other: &Self) -> bool {
        let per_period =
            |quota: Option<u64>, period: u64| quota.map_or(u128::MAX, |quota| u128::from(quota) * u128::from(period));
        per_period(self.quota_us, other.period_us) < per_period(other.quota_us, self.period_us)
    }
}

/// A plain decimal number, as the kernel writes it.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}
