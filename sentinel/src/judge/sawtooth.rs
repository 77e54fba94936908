//! Remembers that a scope gives back what it takes, so that its next rise is not taken for a leak.

/// Give-backs older than this are forgotten, seconds.
const MEMORY_S: f64 = 600.0;
/// Share of a rise that has to be given back.
const GIVEN_BACK: f64 = 0.5;
/// A rise may go this much of its height above the highest one before it.
const SLACK: f64 = 0.15;

/// Rises and give-backs of one scope. MB, relative to when it was first seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sawtooth {
    level: f64,
    low: f64,
    high: f64,
    ceiling: f64,
    height: f64,
    give_backs: u32,
    since_s: f64,
}

impl Sawtooth {
    /// Takes in a step. `killed`: a process was killed for lack of memory, so nothing was given back freely. Rises
    /// below `least_mb` are not looked at.
    pub(super) fn push(&mut self, seconds: f64, net_mb: f64, killed: bool, least_mb: f64) {
        self.level += net_mb;
        self.since_s += seconds;
        self.high = self.high.max(self.level);
        let rise = self.high - self.low;
        if rise >= least_mb && self.high - self.level >= GIVEN_BACK * rise {
            self.give_back(killed);
        }
        if self.level < self.low {
            self.low = self.level;
            self.high = self.level;
        }
        if self.since_s > MEMORY_S {
            self.give_backs = 0;
        }
    }

    fn give_back(&mut self, killed: bool) {
        self.give_backs = if killed { 0 } else { self.give_backs + 1 };
        if self.give_backs <= 1 {
            self.ceiling = f64::NEG_INFINITY;
            self.height = 0.0;
        }
        self.ceiling = self.ceiling.max(self.high);
        self.height = self.height.max(self.high - self.low);
        self.since_s = 0.0;
        self.low = self.level;
        self.high = self.level;
    }

    /// True while the scope is below a height that it came down from, of itself, at least twice lately.
    #[must_use]
    pub(super) fn explains_growth(&self) -> bool {
        self.give_backs >= 2 && self.level <= self.ceiling + SLACK * self.height
    }

    /// True when the scope gives back so often that a short rise means nothing.
    #[must_use]
    pub(super) const fn is_known(&self) -> bool {
        self.give_backs >= 3
    }

    /// Give-backs remembered.
    #[must_use]
    pub(super) const fn give_backs(&self) -> u32 {
        self.give_backs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rise_and_fall(sawtooth: &mut Sawtooth, killed: bool) {
        for _ in 0..20 {
            sawtooth.push(1.0, 20.0, false, 10.0);
        }
        sawtooth.push(1.0, -400.0, killed, 10.0);
    }

    #[test]
    fn after_two_give_backs_the_same_height_is_expected() {
        let mut sawtooth = Sawtooth::default();
        rise_and_fall(&mut sawtooth, false);
        assert!(!sawtooth.explains_growth(), "once may be a process that ended");
        rise_and_fall(&mut sawtooth, false);
        assert!(sawtooth.explains_growth());
        sawtooth.push(1.0, 500.0, false, 10.0);
        assert!(!sawtooth.explains_growth(), "higher than ever is news");
    }

    #[test]
    fn what_the_oom_killer_took_was_not_given_back() {
        let mut sawtooth = Sawtooth::default();
        rise_and_fall(&mut sawtooth, true);
        rise_and_fall(&mut sawtooth, true);
        assert!(!sawtooth.explains_growth());
    }
}
