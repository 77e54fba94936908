//! One signal of one scope: its judge, its ladder, its incident. What there is to say after a reading.

use crate::time::Now;

use super::{
    JudgeConfig,
    evidence::{Finding, Reading},
    incident::Incident,
    threshold::{Hold, Ladder},
    verdict::{Cause, Level},
};

/// What there is to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) level: Level,
    pub(super) previous: Level,
    pub(super) cause: Cause,
    /// The reading itself asks for less than the level that is still said.
    pub(super) calming: bool,
}

/// A signal's judge with all that is between it and a verdict.
#[derive(Clone, Debug)]
pub(super) struct Track<T> {
    pub(super) judge: T,
    pub(super) incident: Incident,
    ladder: Ladder,
    cause: Cause,
    spoken: bool,
}

impl<T> Track<T> {
    pub(super) fn new(judge: T, newborn: bool) -> Self {
        Self {
            judge,
            incident: Incident::default(),
            ladder: Ladder::new(newborn),
            cause: Cause::None,
            spoken: false,
        }
    }

    /// The same for a judge that is given several readings a second: nothing is said before this much time was measured.
    #[must_use]
    pub(super) fn silent_for(mut self, ns: u64) -> Self {
        self.ladder = self.ladder.silent_for(ns);
        self
    }

    /// The level that is said.
    #[must_use]
    pub(super) const fn level(&self) -> Level {
        self.ladder.level()
    }

    /// Whether nothing is being said of it, and would not be if nothing happened.
    #[must_use]
    pub(super) const fn is_settled(&self) -> bool {
        self.ladder.is_settled()
    }

    /// Why; `None` below `watch`.
    #[must_use]
    pub(super) const fn cause(&self) -> Cause {
        self.cause
    }

    /// Takes in what a reading asks for, and the value it shows; what there is to say about it, if anything.
    pub(super) fn settle(
        &mut self,
        now: Now,
        reading: Reading,
        finding: Finding,
        value: Option<f64>,
        config: &JudgeConfig,
    ) -> Option<Said> {
        self.incident.measure(now, value);
        let hold = Hold {
            clear_ns: finding.hold.clear_ns * self.incident.patience(),
            ..finding.hold
        };
        let previous = self.ladder.level();
        let level = self
            .ladder
            .step(reading.end_ns, reading.elapsed_ns, finding.wanted, &hold);
        if level <= Level::Nominal {
            self.cause = Cause::None;
        } else if finding.wanted >= level || self.cause == Cause::None || level < previous && finding.wanted == level {
            self.cause = finding.cause;
        }
        let warmed_up = level == Level::Nominal && !self.spoken;
        self.spoken |= level > Level::Unknown;
        let changed = level != previous && (!warmed_up || config.announce_nominal);
        (changed || config.every_tick).then_some(Said {
            level,
            previous,
            cause: self.cause,
            calming: finding.wanted < level && level > Level::Nominal,
        })
    }

    /// The level as it stands, when something else about it is worth saying; `None` below `watch`.
    #[must_use]
    pub(super) fn again(&self, finding: &Finding) -> Option<Said> {
        let level = self.ladder.level();
        (level >= Level::Watch).then_some(Said {
            level,
            previous: level,
            cause: self.cause,
            calming: finding.wanted < level,
        })
    }

    /// No reading since `last_ns`. What there is to say when that made it unknown just now.
    pub(super) fn missing(&mut self, last_ns: u64, config: &JudgeConfig) -> Option<Said> {
        let previous = self.ladder.level();
        let level = self.ladder.missing(last_ns, config.tolerance_ns());
        if level == previous {
            return None;
        }
        self.cause = Cause::None;
        Some(Said {
            level,
            previous,
            cause: Cause::None,
            calming: false,
        })
    }
}
