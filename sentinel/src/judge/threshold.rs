//! From what a reading asks for to the level that is said: warm-up, persistence, clearing, missing data. All in
//! measured time, so that the length of a tick does not matter.

use super::verdict::Level;

/// How long something has to last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    /// Before `watch`, nanoseconds of measured time.
    pub(super) watch_ns: u64,
    /// Before `veto`.
    pub(super) veto_ns: u64,
    /// Readings in a row before either.
    pub(super) readings: u32,
    /// Calm before the level falls.
    pub(super) clear_ns: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Streak {
    measured_ns: u64,
    readings: u32,
}

impl Streak {
    fn step(&mut self, holds: bool, elapsed_ns: u64) {
        if holds {
            self.measured_ns = self.measured_ns.saturating_add(elapsed_ns);
            self.readings = self.readings.saturating_add(1);
        } else {
            *self = Self::default();
        }
    }

    const fn lasted(&self, ns: u64, readings: u32) -> bool {
        self.readings > 0 && self.measured_ns >= ns && self.readings >= readings
    }
}

/// The level of one signal of one scope.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    level: Level,
    /// Readings still to come before anything is said.
    silent: u32,
    /// Measured time still to come before anything is said, nanoseconds.
    silent_ns: u64,
    /// Readings still to come before `nominal` is said.
    unproven: u32,
    /// It was at `watch` or above when data went missing: only lasting calm clears it.
    alarmed: bool,
    last_ns: Option<u64>,
    watch: Streak,
    veto: Streak,
    below_veto: Streak,
    below_watch: Streak,
}

/// Readings before the first `nominal`.
const WARM_UP: u32 = 5;
/// Readings before anything can be said of a scope that appeared while the agent ran: it had no past to warm up from.
const WARM_UP_NEWBORN: u32 = 2;

impl Ladder {
    /// At `unknown`. `newborn`: the scope appeared while the agent ran.
    #[must_use]
    pub(super) fn new(newborn: bool) -> Self {
        Self {
            level: Level::Unknown,
            silent: if newborn { WARM_UP_NEWBORN } else { WARM_UP },
            unproven: WARM_UP,
            silent_ns: 0,
            alarmed: false,
            last_ns: None,
            watch: Streak::default(),
            veto: Streak::default(),
            below_veto: Streak::default(),
            below_watch: Streak::default(),
        }
    }

    /// The same, and nothing is said before this much time was measured, however many readings that takes.
    #[must_use]
    pub(super) const fn silent_for(mut self, ns: u64) -> Self {
        self.silent_ns = ns;
        self
    }

    /// The level that is said.
    #[must_use]
    pub(super) const fn level(&self) -> Level {
        self.level
    }

    /// True at `nominal`, and where nothing was ever read.
    #[must_use]
    pub(super) const fn is_settled(&self) -> bool {
        matches!(self.level, Level::Nominal) || self.last_ns.is_none()
    }

    /// Takes in what a reading that ends at `end_ns` asks for; returns the level.
    pub(super) fn step(&mut self, end_ns: u64, elapsed_ns: u64, wanted: Level, hold: &Hold) -> Level {
        self.last_ns = Some(end_ns);
        self.silent = self.silent.saturating_sub(1);
        self.unproven = self.unproven.saturating_sub(1);
        self.watch.step(wanted >= Level::Watch, elapsed_ns);
        self.veto.step(wanted >= Level::Veto, elapsed_ns);
        self.below_watch.step(wanted < Level::Watch, elapsed_ns);
        self.below_veto.step(wanted < Level::Veto, elapsed_ns);
        self.silent_ns = self.silent_ns.saturating_sub(elapsed_ns);
        if self.silent == 0 && self.silent_ns == 0 {
            self.level = self.next(wanted, hold);
        }
        self.level
    }

    fn next(&mut self, wanted: Level, hold: &Hold) -> Level {
        let risen = self.risen(hold);
        if risen > self.level.max(Level::Nominal) {
            self.alarmed = false;
            return risen;
        }
        let calm = self.below_watch.lasted(hold.clear_ns, 1);
        match self.level {
            Level::Unknown if self.unproven > 0 || (self.alarmed && !calm) => Level::Unknown,
            Level::Unknown | Level::Nominal => Level::Nominal,
            Level::Watch | Level::Veto if calm => Level::Nominal,
            Level::Veto if wanted == Level::Watch && self.below_veto.lasted(hold.clear_ns, 1) => Level::Watch,
            level => level,
        }
    }

    fn risen(&self, hold: &Hold) -> Level {
        if self.veto.lasted(hold.veto_ns, hold.readings) {
            Level::Veto
        } else if self.watch.lasted(hold.watch_ns, hold.readings) {
            Level::Watch
        } else {
            Level::Nominal
        }
    }

    /// No reading at `now_ns`: `unknown` when the last one is older than `tolerance_ns`. Never an alarm, never an
    /// all-clear.
    pub(super) fn missing(&mut self, now_ns: u64, tolerance_ns: u64) -> Level {
        let stale = self
            .last_ns
            .is_some_and(|last| now_ns.saturating_sub(last) > tolerance_ns);
        if stale && self.level != Level::Unknown {
            let alarmed = self.alarmed || self.level >= Level::Watch;
            *self = Self {
                alarmed,
                silent: WARM_UP_NEWBORN,
                unproven: WARM_UP_NEWBORN,
                ..Self::new(true)
            };
        }
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const HOLD: Hold = Hold {
        watch_ns: 3 * S / 2,
        veto_ns: 3 * S / 2,
        readings: 2,
        clear_ns: 3 * S,
    };

    fn run(ladder: &mut Ladder, from: u64, wanted: &[Level]) -> Vec<Level> {
        (from..)
            .zip(wanted)
            .map(|(tick, level)| ladder.step(tick * S, S, *level, &HOLD))
            .collect()
    }

    #[test]
    fn five_readings_are_unknown_and_then_it_is_nominal() {
        use Level::{Nominal, Unknown};
        let levels = run(&mut Ladder::new(false), 1, &[Nominal; 6]);
        assert_eq!(levels, [Unknown, Unknown, Unknown, Unknown, Nominal, Nominal]);
    }

    #[test]
    fn one_reading_is_no_alarm_and_two_are() {
        use Level::{Nominal, Veto};
        let mut ladder = Ladder::new(false);
        run(&mut ladder, 1, &[Nominal; 6]);
        let levels = run(&mut ladder, 7, &[Veto, Nominal, Veto, Veto, Nominal, Nominal, Nominal]);
        assert_eq!(levels, [Nominal, Nominal, Nominal, Veto, Veto, Veto, Nominal]);
    }

    #[test]
    fn it_falls_to_watch_while_that_is_asked_for_and_to_nominal_only_when_nothing_is() {
        use Level::{Nominal, Veto, Watch};
        let mut ladder = Ladder::new(true);
        assert_eq!(run(&mut ladder, 1, &[Veto, Veto]), [Level::Unknown, Veto]);
        let levels = run(
            &mut ladder,
            3,
            &[Nominal, Watch, Nominal, Watch, Nominal, Nominal, Nominal],
        );
        assert_eq!(levels, [Veto, Veto, Veto, Watch, Watch, Watch, Nominal]);
    }

    #[test]
    fn missing_data_is_unknown_and_an_alarm_clears_only_by_calm() {
        use Level::{Nominal, Unknown, Veto};
        let mut ladder = Ladder::new(true);
        run(&mut ladder, 1, &[Veto, Veto]);
        assert_eq!(ladder.missing(4 * S, 5 * S / 2), Veto);
        assert_eq!(ladder.missing(5 * S, 5 * S / 2), Unknown);
        assert_eq!(run(&mut ladder, 6, &[Nominal; 3]), [Unknown, Unknown, Nominal]);
    }
}
