//! What is learned of a scope's work, when, and what of it is kept over a restart. Judges nothing: it is told what was found.

use crate::config::AmplificationConfig;

use super::{
    super::{
        evidence::{Finding, Reading, SECOND_NS},
        learned::{Kept, KeptMut},
        statistics::Learn,
        verdict::{Cause, Level, Phase},
    },
    Amplification,
    slow::ANCHOR_S,
    work::View,
};

/// Share of work that fails from which on it is hardly learned from, at least and against the usual.
const LEARNED_SHARE: f64 = 0.05;
const LEARNED_TIMES: f64 = 2.0;
/// More requests for each one, without harm for this long, is the new usual.
const ACCEPTED_NS: u64 = 300 * SECOND_NS;
/// How old the slow mean has to be, seconds, and how far above it alpha is learned with doubt.
const YOUNG_S: f64 = 60.0;
const DRIFT: f64 = 1.5;
/// Seconds over which the share of one-way time forgets, and how many have to be seen.
const ONE_WAY_S: f64 = 3600.0;
const ONE_WAY_SEEN_S: f64 = 10.0;

impl Amplification {
    /// What is kept over a restart.
    pub(in crate::judge) fn kept(&self) -> Kept<'_> {
        let pasts = &self.pasts;
        vec![
            ("amplification.alpha", &pasts.alpha),
            ("amplification.alpha_at_once", &pasts.alpha_at_once),
            ("amplification.inbound", &pasts.inbound),
            ("amplification.refused", &pasts.refused),
            ("amplification.unanswered", &pasts.unanswered),
            ("amplification.given_up", &pasts.given_up),
            ("amplification.packets", &pasts.packets),
            ("amplification.anchor", &self.anchor),
            ("amplification.one_way", &self.one_way),
            ("amplification.capacity", self.risk.capacity()),
        ]
    }

    /// The same, to take back what was known.
    pub(in crate::judge) fn kept_mut(&mut self) -> KeptMut<'_> {
        let pasts = &mut self.pasts;
        vec![
            ("amplification.alpha", &mut pasts.alpha),
            ("amplification.alpha_at_once", &mut pasts.alpha_at_once),
            ("amplification.inbound", &mut pasts.inbound),
            ("amplification.refused", &mut pasts.refused),
            ("amplification.unanswered", &mut pasts.unanswered),
            ("amplification.given_up", &mut pasts.given_up),
            ("amplification.packets", &mut pasts.packets),
            ("amplification.anchor", &mut self.anchor),
            ("amplification.one_way", &mut self.one_way),
            ("amplification.capacity", self.risk.capacity_mut()),
        ]
    }

    /// What fails teaches little, and what is judged to be wrong nothing: a fault must not become the usual.
    pub(super) fn learn(
        &mut self,
        reading: Reading,
        finding: &Finding,
        seen: [&View; 3],
        config: &AmplificationConfig,
    ) {
        let [view, fast, at_once] = seen;
        let (at, seconds) = (reading.at(), reading.seconds());
        let phase = self.phases.phase();
        let wrong = finding.wanted == Level::Veto || matches!(phase, Phase::Overloaded | Phase::Metastable);
        let failing = self.fails_more_than_usual(view, config.floor_per_s);
        let surplus = finding.wanted == Level::Watch && finding.cause == Cause::FanOut || self.drifts();
        self.harmless_ns = if surplus && !wrong && !failing {
            self.harmless_ns.saturating_add(reading.elapsed_ns)
        } else {
            0
        };
        let how = |doubted: bool| match (wrong, failing || doubted) {
            (true, _) => Learn::Nothing,
            (false, true) => Learn::Slowly,
            (false, false) => Learn::Fully,
        };
        let of_alpha = how(surplus && self.harmless_ns < ACCEPTED_NS);
        if let Some(alpha) = view.alpha {
            self.pasts.alpha.learn(at, alpha, of_alpha);
            if of_alpha == Learn::Fully {
                self.anchor.learn(alpha, seconds, ANCHOR_S);
            }
        }
        if let Some(alpha) = at_once.alpha {
            self.pasts.alpha_at_once.learn(at, alpha, of_alpha);
        }
        if fast.out_per_s > 0.0 {
            let floor_per_s = config.floor_per_s;
            self.pasts.refused.learn(at, fast.refused_of(floor_per_s), how(false));
            self.pasts
                .unanswered
                .learn(at, fast.unanswered_of(floor_per_s), how(false));
        }
        self.pasts.inbound.learn(at, view.in_per_s, how(false));
        let given_up = fast.given_up_of(config.floor_per_s);
        self.pasts.given_up.learn(at, given_up, how(false));
        self.pasts.packets.learn(at, view.packets_out_per_s, how(false));
        if !wrong {
            if let Some(one_way) = view.goes_one_way() {
                self.one_way.learn(f64::from(u8::from(one_way)), seconds, ONE_WAY_S);
            }
            self.pasts.one_way_share = (self.one_way.seconds >= ONE_WAY_SEEN_S).then_some(self.one_way.mean);
        }
    }

    /// What fails from the very start is as always.
    fn fails_more_than_usual(&self, view: &View, floor_per_s: f64) -> bool {
        let share = view.refused_of(floor_per_s) + view.unanswered_of(floor_per_s);
        self.usual_failed()
            .is_some_and(|usual| share > LEARNED_SHARE.max(LEARNED_TIMES * usual))
    }

    /// Share of work out that usually fails.
    pub(super) fn usual_failed(&self) -> Option<f64> {
        Some(self.pasts.refused.mean()? + self.pasts.unanswered.mean()?)
    }

    /// alpha has left behind what it was over the last half an hour.
    fn drifts(&self) -> bool {
        let old = self.anchor.seconds >= YOUNG_S;
        self.alpha.is_some_and(|alpha| old && alpha > DRIFT * self.anchor.mean)
    }
}
