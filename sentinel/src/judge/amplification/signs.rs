//! The signs of a storm, and what they ask for together. Looks at two windows and at the scope's own past; remembers
//! nothing itself.
//!
//! Independent signs: alpha is above its own past; work fails (it is refused, given up, or answers that used to come do not);
//! segments are lost; attempts fail at one destination again and again. One is worth a `watch`, two that last a `veto`.

use crate::config::AmplificationConfig;

use super::{
    super::{
        evidence::{Finding, SECOND_NS},
        statistics::{At, Baseline, Past},
        threshold::Hold,
        verdict::{Cause, Level},
    },
    work::View,
};

const HOLD: Hold = Hold {
    watch_ns: SECOND_NS,
    veto_ns: SECOND_NS,
    readings: 2,
    clear_ns: 3 * SECOND_NS,
};
/// A storm with the signature of refused retries is two strong signs already.
const HOLD_STORM: Hold = Hold {
    veto_ns: 2 * SECOND_NS / 5,
    readings: 1,
    ..HOLD
};
/// Where some answers come, or what is sent is not explained by what fails.
const HOLD_WEAK: Hold = Hold {
    veto_ns: 3 * SECOND_NS,
    ..HOLD
};
/// Answers that do not come may only be slow: a first answer may take a second.
const SILENT_NS: u64 = 11 * SECOND_NS / 10;
/// Sigmas above the past that count, and that keep up what was found.
const SIGMAS: f64 = 3.0;
const SIGMAS_HELD: f64 = 2.0;
/// What was found goes on with this share of what began it.
const HELD: f64 = 0.7;
/// Standard deviations of the number of requests that are chance.
const CHANCE: f64 = 3.0;
/// More work in than this many times the usual is load, which explains some failures and retries.
const LOADED: f64 = 1.5;
/// Share of what is usually asked that an overloaded back end still takes.
const TAKEN: f64 = 0.5;
/// Share of work out that fails: beyond doubt, or when the past knows less of it.
const FAILING_SHARE: f64 = 0.3;
const UNANSWERED_SHARE: f64 = 0.5;
const UNUSUAL_SHARE: f64 = 0.12;
/// A client that nobody asks: share of its attempts that fail.
const CLIENT_SHARE: f64 = 0.5;
/// Answers at most this share of what is usually asked and answered: they used to come and do not.
const SILENT_SHARE: f64 = 0.5;
/// Half of it refused, and alpha this many times its usual: retries have begun. With nearly all refused the first of them
/// tell, with less it has to come nearer to `storm_ratio`; while load explains it, and without a past, to reach it.
const STORM_BEGINS: f64 = 1.25;
const STORM_ALL_REFUSED: f64 = 0.8;
const STORM_FIRST: f64 = 1.1;
const STORM_SHARE: f64 = 0.75;
const STORM_REFUSED: f64 = 0.5;
/// Retries cannot be more than what failed: with less than this share of the surplus explained it is something else.
const EXPLAINED_SHARE: f64 = 0.75;
/// Without a past nearly all has to be refused: one of several back ends may always have been dead.
const REFUSED_SHARE_WITHOUT_PAST: f64 = 0.8;
/// And of what is given up instead, the back end has to answer at least this share, too late: the rest waits in its queue.
const LATE_SHARE_WITHOUT_PAST: f64 = 0.25;
/// Share of segments sent again that no healthy network shows.
const LOSSY_SHARE: f64 = 0.05;
/// Share of the failures that one destination has to take.
const REPEATED_SHARE: f64 = 0.5;
/// Flood: packets out per second against the past, for a scope that used to get answers and for one that never did.
const FLOOD_FACTOR: f64 = 3.0;
const FLOOD_FACTOR_ONE_WAY: f64 = 30.0;

/// What a scope is used to.
#[derive(Clone, Debug)]
pub(super) struct Pasts {
    pub(super) alpha: Past,
    /// alpha as seen at once, which moves more.
    pub(super) alpha_at_once: Past,
    /// Work in per second.
    pub(super) inbound: Baseline,
    /// Share of work out that is refused, and that stays without an answer: requests under way make the latter restless.
    pub(super) refused: Past,
    pub(super) unanswered: Past,
    /// Share of work out whose connection ends without an answer.
    pub(super) given_up: Baseline,
    /// Packets out per second.
    pub(super) packets: Past,
    /// Share of its time in which its traffic was one-way; `None` until known.
    pub(super) one_way_share: Option<f64>,
}

/// All that is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signs<'a> {
    /// The last two seconds.
    pub(super) view: &'a View,
    /// What begins and ends quickly.
    pub(super) fast: &'a View,
    /// What is seen at once.
    pub(super) at_once: &'a View,
    pub(super) pasts: &'a Pasts,
    pub(super) at: At,
    /// Decades for each of two signs, and for one alone.
    pub(super) paired: f64,
    pub(super) alone: f64,
    /// Attempts per second that fail at one destination.
    pub(super) repeated_per_s: Option<f64>,
    /// Seconds that the last two and what is seen at once cover.
    pub(super) view_s: f64,
    pub(super) fast_s: f64,
    /// Answers per second that the back end gives to those who are gone, where it runs on this host.
    pub(super) late_per_s: Option<f64>,
    /// How long the usual answers have been missing.
    pub(super) silent_ns: u64,
    /// A moment ago there was a storm: a little less keeps it up.
    pub(super) held: bool,
    pub(super) config: &'a AmplificationConfig,
}

impl Signs<'_> {
    /// What they ask for.
    pub(super) fn judge(&self) -> Finding {
        if self.is_storm() {
            return found(Level::Veto, self.cause(self.at_once), HOLD_STORM);
        }
        if self.view.is_one_way() && self.fast.is_one_way() {
            return self.judge_flood();
        }
        if self.view.out_per_s < self.config.floor_per_s {
            return quiet();
        }
        match (self.view.alpha, self.fast.alpha) {
            (Some(alpha), Some(fast)) => self.judge_ratio(alpha, fast),
            (None, _) => self.judge_client(),
            (Some(_), None) => quiet(),
        }
    }

    /// More goes out than usual for what comes in.
    pub(super) fn is_amplified(&self, view: &View) -> bool {
        view.out_per_s >= self.config.floor_per_s
            && view.alpha.is_some_and(|alpha| {
                alpha > self.config.watch_ratio
                    && (self.above(alpha, self.paired)
                        || !self.pasts.alpha.is_ready() && alpha >= self.config.storm_ratio)
            })
    }

    /// Work fails more than it ever should, or more than this scope is used to.
    pub(super) fn is_failing(&self, view: &View) -> bool {
        match view.alpha {
            Some(_) => self.is_refused(view) || self.is_unanswered(view, UNUSUAL_SHARE) || self.is_in_vain(view),
            None => self.is_failing_client(view),
        }
    }

    fn above(&self, alpha: f64, decades: f64) -> bool {
        if self.held {
            return self.pasts.alpha.exceeded(self.at, alpha, SIGMAS_HELD, 0.0);
        }
        self.pasts.alpha.exceeded(self.at, alpha, SIGMAS, decades)
    }

    /// A threshold for what begins; lower for what goes on.
    fn at_least(&self, threshold: f64) -> f64 {
        if self.held { HELD * threshold } else { threshold }
    }

    fn is_unusual(&self, past: &Past, share: f64) -> bool {
        let (sigmas, decades) = if self.held {
            (SIGMAS_HELD, 0.0)
        } else {
            (SIGMAS, self.paired)
        };
        past.exceeded(self.at, share, sigmas, decades)
    }

    fn is_refused_unusually(&self, view: &View) -> bool {
        self.is_unusual(&self.pasts.refused, view.refused_of(self.config.floor_per_s))
    }

    fn is_refused(&self, view: &View) -> bool {
        let share = view.refused_share();
        let beyond_doubt = share >= FAILING_SHARE && !self.pasts.refused.is_ready();
        view.refused_per_s >= self.at_least(self.config.floor_per_s / 2.0)
            && (beyond_doubt || share >= self.at_least(UNUSUAL_SHARE) && self.is_refused_unusually(view))
    }

    /// Answers that used to come do not. Without a past it cannot be told from a scope that never gets any.
    fn is_unanswered(&self, view: &View, share: f64) -> bool {
        view.unanswered_per_s >= self.at_least(self.config.floor_per_s / 2.0)
            && view.unanswered_share.is_some_and(|found| found >= self.at_least(share))
            && self.is_unusual(&self.pasts.unanswered, view.unanswered_of(self.config.floor_per_s))
    }

    /// Requests are given up that used to be answered: their connections ended, so they are not only slow. Some end with a
    /// last word by nature, so without a past it tells nothing.
    fn is_given_up(&self, view: &View) -> bool {
        let share = view.given_up_of(self.config.floor_per_s);
        view.given_up_per_s >= self.at_least(self.config.floor_per_s / 2.0)
            && share >= self.at_least(FAILING_SHARE)
            && self.pasts.given_up.exceeded(share, SIGMAS)
    }

    /// Without a past: nearly all is given up, hardly an answer comes, and the back end is seen to work for those who are gone.
    /// Whoever asks for no answer has a back end that gives none. So an overload is known that was there before the agent.
    fn is_in_vain(&self, view: &View) -> bool {
        !self.pasts.alpha.is_ready()
            && view.given_up_of(self.config.floor_per_s) >= REFUSED_SHARE_WITHOUT_PAST
            && view.responses_per_s < SILENT_SHARE * view.in_per_s
            && self
                .late_per_s
                .is_some_and(|late| late >= LATE_SHARE_WITHOUT_PAST * view.given_up_per_s)
    }

    /// Hardly any of the usual answers comes, although as much is asked: not only new work that is slow to begin with.
    pub(super) fn is_silent(&self) -> bool {
        let view = self.fast;
        let usual_per_s = self.pasts.alpha.mean().map(|usual| usual * view.in_per_s);
        self.is_unanswered(view, UNANSWERED_SHARE)
            && usual_per_s.is_some_and(|usual| view.responses_per_s < SILENT_SHARE * usual)
    }

    /// More is asked than usual, beyond chance.
    fn is_loaded(&self) -> bool {
        self.pasts.inbound.mean().is_some_and(|usual| {
            let chance = CHANCE / (usual * self.fast_s).max(1.0).sqrt();
            self.fast.in_per_s > LOADED.max(1.0 + chance) * usual
        })
    }

    /// Half of what is usually asked is taken, and more: a back end that is dead takes nothing, whatever the load.
    fn is_taken(&self, view: &View, usual: f64) -> bool {
        let asked = self.pasts.inbound.mean().unwrap_or(0.0) * usual;
        view.out_per_s - view.refused_per_s >= TAKEN * asked
    }

    fn is_lossy(&self, view: &View) -> bool {
        view.retransmits_per_s >= self.config.floor_per_s / 2.0
            && view.retransmits_per_s >= LOSSY_SHARE * view.packets_out_per_s
    }

    fn is_failing_client(&self, view: &View) -> bool {
        view.refused_per_s >= self.config.floor_per_s && view.refused_share() > CLIENT_SHARE
    }

    /// Seen at once: refused or given up, and more goes out for what comes in than ever does in so short a time. A dozen attempts
    /// in half a second, and none around them, are somebody who waits for a server to start: two seconds have to reach the floor.
    fn is_storm(&self) -> bool {
        let (view, ratio) = (self.at_once, self.config.storm_ratio);
        let given_up = if self.is_given_up(view) || self.is_in_vain(view) {
            view.given_up_of(self.config.floor_per_s)
        } else {
            0.0
        };
        let refused = if self.is_refused(view) {
            view.refused_share()
        } else {
            0.0
        };
        let refused = refused.max(given_up);
        let floor_per_s = self.config.floor_per_s;
        view.out_per_s >= floor_per_s
            && self.view.out_per_s >= self.at_least(floor_per_s)
            && refused >= FAILING_SHARE
            && view.alpha.is_some_and(|alpha| match self.pasts.alpha.mean() {
                Some(usual) => {
                    let usual = usual.max(1.0);
                    let times = match refused {
                        _ if self.is_loaded() && self.is_taken(view, usual) => ratio,
                        share if share >= STORM_ALL_REFUSED => STORM_FIRST,
                        share if share >= STORM_REFUSED => STORM_BEGINS,
                        _ => STORM_SHARE * ratio,
                    };
                    let past = &self.pasts.alpha_at_once;
                    alpha >= times * usual && past.exceeded(self.at, alpha, SIGMAS, self.paired)
                }
                None => alpha >= ratio && refused >= REFUSED_SHARE_WITHOUT_PAST,
            })
    }

    /// A scope that is asked for work.
    fn judge_ratio(&self, alpha: f64, fast: f64) -> Finding {
        let (view, config) = (self.view, self.config);
        let refused = self.is_refused(view) && self.is_refused(self.fast);
        let goes_on = fast > config.watch_ratio;
        let ratio = if self.held {
            config.watch_ratio
        } else {
            config.veto_ratio
        };
        if goes_on && alpha > ratio && self.above(alpha, self.paired) {
            let cause = self.cause(view);
            let wanted = if self.is_explained_by_load(alpha) {
                Level::Watch
            } else {
                Level::Veto
            };
            if refused {
                let clear = cause != Cause::FanOut && self.is_beyond_chance(alpha, ratio);
                return found(wanted, cause, if clear { HOLD } else { HOLD_WEAK });
            }
            if self.silent_ns >= SILENT_NS && cause == Cause::RetryStorm {
                return found(wanted, cause, HOLD_STORM);
            }
            let unanswered = |view| self.is_unanswered(view, UNUSUAL_SHARE);
            let lossy = self.is_lossy(view) && self.is_lossy(self.fast);
            if unanswered(view) && unanswered(self.fast) || lossy {
                return found(wanted, cause, HOLD_WEAK);
            }
        }
        if alpha > config.watch_ratio && self.above(alpha, self.alone) {
            return found(Level::Watch, self.cause(view), HOLD);
        }
        // It fails from the start: a storm, or as always.
        if alpha > config.watch_ratio && refused && !self.pasts.alpha.is_ready() {
            return found(Level::Watch, Cause::Undetermined, HOLD);
        }
        quiet()
    }

    /// So far above `ratio` that the number of requests seen explains no such excess: one standard deviation.
    fn is_beyond_chance(&self, alpha: f64, ratio: f64) -> bool {
        let requests = self.view.in_per_s * self.view_s;
        let surplus = (alpha - 1.0).max(0.0) * requests;
        self.held || alpha - surplus.sqrt() / requests.max(1.0) > ratio
    }

    /// A little is tried again because more is asked for than usual: it goes when the load goes, or is judged then.
    fn is_explained_by_load(&self, alpha: f64) -> bool {
        let usual = self.pasts.alpha.mean().unwrap_or(1.0).max(1.0);
        self.is_loaded() && alpha < self.config.storm_ratio * usual
    }

    /// Nobody asks it for work, so there is no ratio: it fails, and that is new, or it is one place again and again.
    fn judge_client(&self) -> Finding {
        if !self.is_failing_client(self.view) || !self.is_failing_client(self.fast) {
            return quiet();
        }
        let repeated = self
            .repeated_per_s
            .is_some_and(|per_s| per_s >= REPEATED_SHARE * self.view.failures_per_s);
        match self.pasts.refused.is_ready() {
            true if self.is_refused_unusually(self.view) => found(Level::Veto, Cause::RetryStorm, HOLD),
            true => quiet(),
            false if repeated => found(Level::Veto, Cause::RetryStorm, HOLD),
            false => found(Level::Watch, Cause::Undetermined, HOLD),
        }
    }

    /// One-way traffic is one sign; the second is that it is new to this scope. Metrics, video and tunnels send one way
    /// by nature, and more of it when there is more to send.
    fn judge_flood(&self) -> Finding {
        let rate = self.view.packets_out_per_s;
        let Some(usual) = self.pasts.packets.mean() else {
            return found(Level::Watch, Cause::Flood, HOLD_WEAK);
        };
        let new = self.pasts.packets.exceeded(self.at, rate, SIGMAS, self.paired);
        let always = self.pasts.one_way_share.is_some_and(|share| share >= 0.5);
        let factor = if always { FLOOD_FACTOR_ONE_WAY } else { FLOOD_FACTOR };
        if new && rate > factor * usual {
            found(Level::Veto, Cause::Flood, HOLD_WEAK)
        } else {
            quiet()
        }
    }

    /// Retries follow failures: a surplus that failures do not explain is one request that became many.
    fn cause(&self, view: &View) -> Cause {
        let usual = self.pasts.alpha.mean().unwrap_or(1.0);
        let surplus = view.out_per_s - usual * view.in_per_s;
        if view.failed_per_s >= EXPLAINED_SHARE * surplus {
            Cause::RetryStorm
        } else {
            Cause::FanOut
        }
    }
}

const fn found(wanted: Level, cause: Cause, hold: Hold) -> Finding {
    Finding { wanted, cause, hold }
}

/// Nothing is asked for.
pub(super) const fn quiet() -> Finding {
    found(Level::Nominal, Cause::None, HOLD)
}
