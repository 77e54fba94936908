//! The signs of a storm, and what they ask for together. Looks at two windows and at the scope's own past; remembers
//! nothing itself.
//!
//! Independent signs: alpha is above its own past; work fails (it is refused, or answers that used to come do not);
//! segments are lost; attempts fail at one destination again and again. One is worth a `watch`, two that last a `veto`.

use crate::config::AmplificationConfig;

use super::{
    super::{
        evidence::{Finding, SECOND_NS},
        statistics::{At, Past},
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
/// Answers that do not come may only be slow: a first answer may take a second.
const HOLD_SILENT: Hold = Hold {
    veto_ns: 11 * SECOND_NS / 10,
    ..HOLD
};
/// Where some answers come, or what is sent is not explained by what fails.
const HOLD_WEAK: Hold = Hold {
    veto_ns: 3 * SECOND_NS,
    ..HOLD
};
/// Sigmas above the past that count.
const SIGMAS: f64 = 3.0;
/// Share of work out that fails: beyond doubt, or when the past knows less of it.
const FAILING_SHARE: f64 = 0.3;
const UNANSWERED_SHARE: f64 = 0.5;
const UNUSUAL_SHARE: f64 = 0.12;
/// A client that nobody asks: share of its attempts that fail.
const CLIENT_SHARE: f64 = 0.5;
/// Answers at most this share of what is usually asked and answered: they used to come and do not.
const SILENT_SHARE: f64 = 0.5;
/// With a past, alpha above this share of `storm_ratio` times its usual is a storm; without, `storm_ratio` itself.
const STORM_SHARE: f64 = 0.75;
/// Retries cannot be more than what failed: with less than this share of the surplus explained it is something else.
const EXPLAINED_SHARE: f64 = 0.75;
/// Without a past nearly all has to be refused: one of several back ends may always have been dead.
const REFUSED_SHARE_WITHOUT_PAST: f64 = 0.8;
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
    /// Work in per second.
    pub(super) inbound: Past,
    /// Share of work out that fails.
    pub(super) failing: Past,
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
    /// What is seen at once.
    pub(super) fast: &'a View,
    pub(super) pasts: &'a Pasts,
    pub(super) at: At,
    /// Decades for each of two signs, and for one alone.
    pub(super) paired: f64,
    pub(super) alone: f64,
    /// Attempts per second that fail at one destination.
    pub(super) repeated_per_s: Option<f64>,
    pub(super) config: &'a AmplificationConfig,
}

impl Signs<'_> {
    /// What they ask for.
    pub(super) fn judge(&self) -> Finding {
        if self.is_storm() {
            return found(Level::Veto, self.cause(self.fast), HOLD_STORM);
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
            Some(_) => self.is_refused(view) || self.is_unanswered(view, UNUSUAL_SHARE),
            None => self.is_failing_client(view),
        }
    }

    fn above(&self, alpha: f64, decades: f64) -> bool {
        self.pasts.alpha.exceeded(self.at, alpha, SIGMAS, decades)
    }

    fn fails_unusually(&self, view: &View) -> bool {
        view.failed_share
            .is_some_and(|share| self.pasts.failing.exceeded(self.at, share, SIGMAS, self.paired))
    }

    fn is_refused(&self, view: &View) -> bool {
        let share = view.refused_share();
        let unusual = !self.pasts.failing.is_ready() || self.fails_unusually(view);
        view.refused_per_s >= self.config.floor_per_s / 2.0
            && (share >= FAILING_SHARE && unusual || share >= UNUSUAL_SHARE && self.fails_unusually(view))
    }

    /// Answers that used to come do not. Without a past it cannot be told from a scope that never gets any.
    fn is_unanswered(&self, view: &View, share: f64) -> bool {
        view.unanswered_per_s >= self.config.floor_per_s / 2.0
            && view.unanswered_share.is_some_and(|found| found >= share)
            && self.fails_unusually(view)
    }

    /// Hardly any of the usual answers comes, although as much is asked: not only new work that is slow to begin with.
    fn is_silent(&self, view: &View) -> bool {
        let usual_per_s = self.pasts.alpha.mean().map(|usual| usual * view.in_per_s);
        self.is_unanswered(view, UNANSWERED_SHARE)
            && usual_per_s.is_some_and(|usual| view.responses_per_s < SILENT_SHARE * usual)
    }

    fn is_lossy(&self, view: &View) -> bool {
        view.retransmits_per_s >= self.config.floor_per_s / 2.0
            && view.retransmits_per_s >= LOSSY_SHARE * view.packets_out_per_s
    }

    fn is_failing_client(&self, view: &View) -> bool {
        view.refused_per_s >= self.config.floor_per_s && view.refused_share() > CLIENT_SHARE
    }

    fn is_storm(&self) -> bool {
        let fast = self.fast;
        let ratio = self.config.storm_ratio;
        fast.out_per_s >= self.config.floor_per_s
            && fast.refused_share() >= FAILING_SHARE
            && self.is_refused(fast)
            && fast.alpha.is_some_and(|alpha| match self.pasts.alpha.mean() {
                Some(usual) => alpha >= STORM_SHARE * ratio * usual.max(1.0) && self.above(alpha, self.paired),
                None => alpha >= ratio && fast.refused_share() >= REFUSED_SHARE_WITHOUT_PAST,
            })
    }

    /// A scope that is asked for work.
    fn judge_ratio(&self, alpha: f64, fast: f64) -> Finding {
        let (view, config) = (self.view, self.config);
        let above = self.above(alpha, self.paired) && self.above(fast, self.paired);
        let refused = self.is_refused(view) && self.is_refused(self.fast);
        if above && alpha.min(fast) > config.veto_ratio {
            let cause = self.cause(view);
            if refused {
                return found(
                    Level::Veto,
                    cause,
                    if cause == Cause::FanOut { HOLD_WEAK } else { HOLD },
                );
            }
            if self.is_silent(view) && self.is_silent(self.fast) && cause == Cause::RetryStorm {
                return found(Level::Veto, cause, HOLD_SILENT);
            }
            let unanswered = |view| self.is_unanswered(view, UNUSUAL_SHARE);
            let lossy = self.is_lossy(view) && self.is_lossy(self.fast);
            if unanswered(view) && unanswered(self.fast) || lossy {
                return found(Level::Veto, cause, HOLD_WEAK);
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

    /// Nobody asks it for work, so there is no ratio: it fails, and that is new, or it is one place again and again.
    fn judge_client(&self) -> Finding {
        if !self.is_failing_client(self.view) || !self.is_failing_client(self.fast) {
            return quiet();
        }
        let repeated = self
            .repeated_per_s
            .is_some_and(|per_s| per_s >= REPEATED_SHARE * self.view.failures_per_s);
        match self.pasts.failing.is_ready() {
            true if self.fails_unusually(self.view) => found(Level::Veto, Cause::RetryStorm, HOLD),
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
