//! The anomaly engine for any series of numbers. In: time and value of a point. Out: how rare it is in the series' own
//! past, as decades, a score and a level. It looks only back, needs no training, has one configuration, and is pure: no
//! clock, no I/O, no randomness, no allocation for a point once a series is known.
#![forbid(unsafe_code)]

mod budget;
mod many;
mod memory;
mod profile;
mod tail;
mod views;

pub use budget::{Budget, Cadence};
pub use many::{Judged, Scores};

use self::{
    memory::{DOWN, Side, Trace, UP, Waiting},
    tail::{Place, Tail},
    views::{SIGNED, Seen, Views},
};
use super::verdict::Level;

/// Points before it says anything.
const WARM_UP: f64 = 32.0;
/// Points that views take in before their distances are learned: the first ones know no scale.
const SETTLE: f64 = 8.0;
/// Points after which views know how rare their distances are, and after which it is known how rare that is.
const RANKED: f64 = 64.0;
const CALIBRATED: f64 = 160.0;
/// Decades that so many views see by chance, until that is known.
const UNCALIBRATED: f32 = 1.0;
/// Signed views of the value itself, which the time of the day may excuse, and what their decades are worth then.
const OF_VALUE: usize = 4;
const USUAL: f32 = 0.5;
/// What the second rarest view adds to the rarest, of its decades: two that agree are more than one.
const AGREE: f32 = 0.3;
/// Points a burst is looked at over.
const BURST: f32 = 8.0;
/// An odd point begins an episode; it ends after so many that are not.
const ODD: f32 = 2.0;
const EPISODE_ENDS: f32 = 12.0;
/// Points of one episode are one event: they count this much, until it has lasted so long that it is how things are.
const EPISODE_WEIGHT: f32 = 0.3;
const EPISODE_LASTS: f32 = 128.0;
/// An alarm may grow for so many points. After that only what exceeds this share of it is news; it halves in so many.
const GROWS: f32 = 12.0;
const REPEATED: f32 = 0.8;
const REPEAT_HALVES: f32 = 250.0;
/// Decades from which on repeats are suppressed.
const ALARM: f32 = 3.0;
/// Decades of the score 1.
const FULL: f32 = 6.0;

/// What is said about a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// 0 to 1: a sixth for each decade of rarity, so 0.5 is one point in a thousand of this series, and 1 one in a million
    /// or rarer. `None` during warm-up and for a value that is missing.
    pub score: Option<f32>,
    /// Decades the score stands for, not capped at six.
    pub decades: f32,
}

impl Scored {
    const UNKNOWN: Self = Self {
        score: None,
        decades: 0.0,
    };

    /// The level under a budget.
    #[must_use]
    pub fn level(&self, budget: &Budget) -> Level {
        match self.score {
            None => Level::Unknown,
            Some(_) => budget.level(self.decades),
        }
    }
}

/// One series.
#[derive(Clone, Debug)]
pub struct Series {
    views: Views,
    signed: [Tail<2>; SIGNED],
    flat: Tail,
    bursts: Tail,
    combined: Tail,
    waiting: Waiting,
    cadence: Cadence,
    burst: f32,
    /// Points since an episode began, and since its last odd point.
    episode: f32,
    calm: f32,
    /// Decades of the last alarm, fading; those before it began, and points since then.
    said: f32,
    said_before: f32,
    since_alarm: f32,
}

impl Default for Series {
    fn default() -> Self {
        Self::new()
    }
}

impl Series {
    /// One whose past is not known.
    #[must_use]
    pub fn new() -> Self {
        Self {
            views: Views::new(),
            signed: std::array::from_fn(|_| Tail::power(4.0)),
            flat: Tail::power(3.0),
            bursts: Tail::power(6.0),
            combined: Tail::of_decades(),
            waiting: Waiting::new(),
            cadence: Cadence::default(),
            burst: 0.0,
            episode: 0.0,
            calm: EPISODE_ENDS,
            said: 0.0,
            said_before: 0.0,
            since_alarm: GROWS,
        }
    }

    /// How often points come.
    #[must_use]
    pub const fn cadence(&self) -> &Cadence {
        &self.cadence
    }

    /// Judges a point by what was before it, then takes it in. Times must rise; a point whose value or time is not finite
    /// or whose time does not rise is unknown and changes nothing.
    pub fn observe(&mut self, unix_s: f64, value: f64) -> Scored {
        if !value.is_finite() || !self.cadence.accepts(unix_s) {
            return Scored::UNKNOWN;
        }
        let interrupted = self.cadence.observe(unix_s) > views::INTERRUPTED;
        let seen = self.views.observe(unix_s, value.clamp(-1e300, 1e300), interrupted);
        let combined = self.rank(&seen);
        if self.views.points() <= WARM_UP {
            return Scored::UNKNOWN;
        }
        let decades = self.news(combined);
        Scored {
            score: Some((decades / FULL).min(1.0)),
            decades,
        }
    }

    /// A point without a value: time goes on, and nothing else changes.
    pub fn miss(&mut self, unix_s: f64) {
        if self.cadence.accepts(unix_s) {
            self.cadence.miss(unix_s);
        }
    }

    /// Rarity of all views together; what waited long enough is learned.
    fn rank(&mut self, seen: &Seen) -> f32 {
        let mut trace = Trace::default();
        let (mut rarest, mut second) = (0.0_f32, 0.0_f32);
        // All places first, several at a time; 0 stands for a view that saw nothing.
        let distances = seen.signed.map(Option::unwrap_or_default);
        let places = distances.map(|distance| Place::of(distance.abs()));
        for (view, (distance, place)) in distances.into_iter().zip(places).enumerate() {
            // Which side it is comes as by a coin: a number instead of a branch.
            let side = if distance > 0.0 { UP } else { DOWN };
            let excused = seen.usual && view < OF_VALUE;
            let decades = self.signed[view].decades(side, place) * if excused { USUAL } else { 1.0 };
            let decades = if distance == 0.0 { 0.0 } else { decades };
            second = second.max(decades.min(rarest));
            rarest = rarest.max(decades);
            let seen = match seen.signed[view] {
                None => Side::Unseen,
                Some(0.0) => Side::Zero,
                Some(_) => Side::At(side, place.bucket()),
            };
            trace.set(view, seen);
        }
        let flat = Place::of(seen.flat);
        if seen.flat > 1.0 {
            rarest = rarest.max(self.flat.decades(UP, flat));
        }
        rarest += AGREE * second;
        self.burst += (rarest - self.burst) / BURST;
        let burst = Place::of(self.burst);
        let together = Place::of_decades(rarest.max(self.bursts.decades(UP, burst)));
        let calibrated = self.views.points() > CALIBRATED;
        let decades = if calibrated {
            self.combined.decades(UP, together)
        } else {
            (rarest - UNCALIBRATED).max(0.0)
        };
        trace.weigh(self.weight(decades));
        trace.set(SIGNED, Side::At(UP, flat.bucket()));
        // Before views know how rare their distances are, what they say together means nothing.
        if self.views.points() > RANKED {
            trace.set(SIGNED + 1, Side::At(UP, burst.bucket()));
            trace.set(SIGNED + 2, Side::At(UP, together.bucket()));
        }
        if self.views.points() > SETTLE
            && let Some(due) = self.waiting.push(trace)
        {
            self.learn(&due);
        }
        decades
    }

    fn learn(&mut self, trace: &Trace) {
        let weight = trace.weight();
        for (view, tail) in self.signed.iter_mut().enumerate() {
            match trace.side(view) {
                Side::Unseen => {}
                Side::Zero => tail.learn(None, weight),
                Side::At(side, bucket) => tail.learn(Some((side, bucket)), weight),
            }
        }
        for (view, tail) in [&mut self.flat, &mut self.bursts, &mut self.combined]
            .into_iter()
            .enumerate()
        {
            if let Side::At(side, bucket) = trace.side(SIGNED + view) {
                tail.learn(Some((side, bucket)), weight);
            }
        }
    }

    /// How much is learned from a point: odd points close together are one event.
    fn weight(&mut self, decades: f32) -> f32 {
        let odd = decades >= ODD;
        self.calm = if odd { 0.0 } else { self.calm + 1.0 };
        if self.calm >= EPISODE_ENDS {
            self.episode = 0.0;
            return 1.0;
        }
        self.episode += 1.0;
        if self.episode == 1.0 || self.episode > EPISODE_LASTS || !odd {
            1.0
        } else {
            EPISODE_WEIGHT
        }
    }

    /// What of it was not said before. An alarm may grow for a few points; after that only what exceeds it is news.
    fn news(&mut self, decades: f32) -> f32 {
        const KEEPS: f32 = 1.0 - std::f32::consts::LN_2 / REPEAT_HALVES;
        self.said *= KEEPS;
        self.since_alarm += 1.0;
        let before = if self.since_alarm <= GROWS {
            self.said_before
        } else {
            self.said
        };
        let news = (decades - REPEATED * before).max(0.0);
        if news >= ALARM {
            if self.since_alarm > GROWS {
                (self.said_before, self.since_alarm) = (self.said, 0.0);
            }
            self.said = self.said.max(decades);
        }
        news
    }
}

#[cfg(test)]
mod tests;
