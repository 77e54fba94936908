//! What came of one scenario: faults found or missed, verdicts that were wrong, forecasts and phases that came true.

use sentinel::judge::verdict::{Cause, Level, Signal};
use serde::Serialize;

use crate::corpus::truth::Shape;

/// What came of one scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Its kind.
    pub kind: String,
    /// Its seed.
    pub seed: u64,
    /// Something was wrong in it.
    pub faulty: bool,
    /// How long it was, hours.
    pub hours: f64,
    /// Its tick is a second or shorter.
    pub fine: bool,
    /// One for each fault.
    pub findings: Vec<Finding>,
    /// Verdicts about what is no fault.
    pub wrong: Vec<Wrong>,
    /// Readings with a forecast where there must be none.
    pub wrong_forecasts: u64,
    /// A phase was named that must never be.
    pub wrong_phase: Option<bool>,
}

/// What came of one fault.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Its scope.
    pub scope: String,
    /// Its signal.
    pub signal: Signal,
    /// The level that was needed.
    pub level: Level,
    /// Seconds from its onset to the first verdict of that level; `None` when there was none in time.
    pub delay_s: Option<f64>,
    /// The first verdict of that level, though too late, seconds from the onset.
    pub late_s: Option<f64>,
    /// The first cause that was given, and whether it is right.
    pub cause: Option<(Cause, bool)>,
    /// Seconds from its end until it was told to be over; `None` when it was not asked for or did not come.
    pub clear_s: Option<f64>,
    /// It had to be told to be over within this.
    pub clears_s: Option<f64>,
    /// It had to stay detected: how often it was lost before its end.
    pub lost: Option<u32>,
    /// How its forecasts did.
    pub forecast: Option<ForecastScore>,
    /// Seconds until the right phase was named; `None` inside when it was not, or too early.
    pub phase: Option<Option<f64>>,
}

/// How forecasts of one leak did.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ForecastScore {
    /// How memory ran out.
    pub shape: Shape,
    /// From onset to exhaustion, seconds.
    pub life_s: f64,
    /// Time before exhaustion of the first forecast, seconds; `None` without any.
    pub lead_s: Option<f64>,
    /// Share of readings with a forecast, of all in its life.
    pub given: f64,
    /// Share of forecasts whose interval held the true time.
    pub inside: f64,
    /// The interval of the forecast that came with the alarm held the true time; `None` without one.
    pub alarm_inside: Option<bool>,
    /// Share of its life in which the forecast was within a quarter of the true time left.
    pub good: f64,
}

/// A verdict about what is no fault.
#[derive(Clone, Debug, Serialize)]
pub struct Wrong {
    /// Its scope.
    pub scope: String,
    /// Its signal.
    pub signal: Signal,
    /// Its level.
    pub level: Level,
    /// The cause it gave.
    pub cause: Cause,
    /// When, seconds from the beginning.
    pub at_s: f64,
    /// What it said.
    pub summary: String,
}
