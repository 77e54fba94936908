//! Counts of work over some time, and the rates and ratios that follow from them. Measures, never judges.

use crate::sense::sample::Net;

use super::super::{evidence::ratio, statistics::window::Counts};

/// Work in per second from which on alpha is defined.
const INBOUND_PER_S: f64 = 1.0;
/// Packets out per second from which on traffic has a direction; from which on it is much; packets in for each one out, at
/// the most, in one-way traffic.
const SENDS_PER_S: f64 = 10.0;
const ONE_WAY_PER_S: f64 = 1000.0;
const ONE_WAY_RETURN: f64 = 0.01;

/// What a scope sent and received. Ten of these are kept for each scope: what is rarer than packets is counted in half
/// the width, and stays at its highest where that is not enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) work_out: u64,
    pub(super) work_in: u64,
    requests: u64,
    responses: u64,
    attempts: u64,
    connects: u64,
    failures: u32,
    retransmits: u32,
    resets_in: u32,
    given_up: u32,
    accepts: u32,
    answers: u32,
    packets_out: u64,
    packets_in: u64,
}

impl Work {
    pub(super) fn of(net: &Net) -> Self {
        Self {
            work_out: net.work_out(),
            work_in: net.work_in(),
            requests: net.opened_turns_out,
            responses: net.opened_turns_in,
            attempts: net.connect_attempts,
            connects: net.connects,
            failures: narrow(net.connect_failures),
            retransmits: narrow(net.retransmits),
            resets_in: narrow(net.resets_in),
            given_up: narrow(net.given_up),
            accepts: narrow(net.accepts),
            answers: narrow(net.accepted_turns_out),
            packets_out: net.external.egress_packets.saturating_add(net.loopback.egress_packets),
            packets_in: net
                .external
                .ingress_packets
                .saturating_add(net.loopback.ingress_packets),
        }
    }

    /// Requests that were not answered, and attempts that were neither established nor refused, so far.
    #[must_use]
    fn unanswered(&self) -> u64 {
        let hanging = self
            .attempts
            .saturating_sub(self.connects)
            .saturating_sub(self.failures.into());
        self.requests.saturating_sub(self.responses).saturating_add(hanging)
    }

    /// Work that failed, less what was answered late: over many readings what is under way cancels out.
    #[must_use]
    pub(super) fn failed(&self) -> f64 {
        self.requests as f64 - self.responses as f64 + self.attempts as f64 - self.connects as f64
    }

    /// Requests that were answered.
    #[must_use]
    pub(super) const fn answered(&self) -> u64 {
        self.responses
    }
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Counts for Work {
    fn add(&mut self, other: &Self) {
        self.work_out = self.work_out.saturating_add(other.work_out);
        self.work_in = self.work_in.saturating_add(other.work_in);
        self.requests = self.requests.saturating_add(other.requests);
        self.responses = self.responses.saturating_add(other.responses);
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.connects = self.connects.saturating_add(other.connects);
        self.failures = self.failures.saturating_add(other.failures);
        self.retransmits = self.retransmits.saturating_add(other.retransmits);
        self.resets_in = self.resets_in.saturating_add(other.resets_in);
        self.given_up = self.given_up.saturating_add(other.given_up);
        self.accepts = self.accepts.saturating_add(other.accepts);
        self.answers = self.answers.saturating_add(other.answers);
        self.packets_out = self.packets_out.saturating_add(other.packets_out);
        self.packets_in = self.packets_in.saturating_add(other.packets_in);
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Rates per second and ratios over some time. A ratio without a whole is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct View {
    /// Work out per work in; `None` when nobody asks for work.
    pub(super) alpha: Option<f64>,
    pub(super) out_per_s: f64,
    pub(super) in_per_s: f64,
    pub(super) attempts_per_s: f64,
    /// Attempts that were established.
    pub(super) connects_per_s: f64,
    /// Attempts that were refused or given up.
    pub(super) failures_per_s: f64,
    /// Their share of all attempts.
    pub(super) failing_share: Option<f64>,
    pub(super) requests_per_s: f64,
    pub(super) responses_per_s: f64,
    pub(super) unanswered_per_s: f64,
    /// Share of work out that is not answered, or not yet.
    pub(super) unanswered_share: Option<f64>,
    /// Refused, or reset before it was answered: what cannot be only slow.
    pub(super) refused_per_s: f64,
    /// Connections that ended after a request without an answer: what is over, and not only slow. Those that somebody's
    /// last word ends by nature are among them, so it tells nothing without a past.
    pub(super) given_up_per_s: f64,
    /// Refused or unanswered.
    pub(super) failed_per_s: f64,
    /// Share of work out that fails, 0 to 1.
    pub(super) failed_share: Option<f64>,
    pub(super) retransmits_per_s: f64,
    pub(super) resets_in_per_s: f64,
    pub(super) packets_out_per_s: f64,
    pub(super) packets_in_per_s: f64,
    pub(super) raw_ratio: Option<f64>,
    /// Connections accepted.
    pub(super) accepts_per_s: f64,
    /// Answers it gave that were met with a reset: whoever had asked was gone.
    pub(super) late_per_s: f64,
}

impl View {
    /// Of counts over `seconds`, above zero.
    pub(super) fn of(work: &Work, seconds: f64) -> Self {
        let per_s = |count: u64| count as f64 / seconds;
        let share = |part: u64, whole: u64| ratio(part as f64, whole as f64);
        let in_per_s = per_s(work.work_in);
        let unanswered = work.unanswered();
        // A refused attempt is answered by a reset as well; a peer may also reset what it has answered already.
        let not_of_attempts = u64::from(work.resets_in).saturating_sub(work.failures.into());
        let reset = not_of_attempts.min(unanswered);
        let met_with_reset = (not_of_attempts - reset).min(u64::from(work.answers));
        let failed = u64::from(work.failures).saturating_add(unanswered);
        Self {
            alpha: share(work.work_out, work.work_in).filter(|_| in_per_s >= INBOUND_PER_S),
            out_per_s: per_s(work.work_out),
            in_per_s,
            attempts_per_s: per_s(work.attempts),
            connects_per_s: per_s(work.connects),
            failures_per_s: per_s(work.failures.into()),
            failing_share: share(work.failures.into(), work.attempts),
            requests_per_s: per_s(work.requests),
            responses_per_s: per_s(work.responses),
            unanswered_per_s: per_s(unanswered),
            unanswered_share: share(unanswered, work.work_out).map(|share| share.min(1.0)),
            refused_per_s: per_s(u64::from(work.failures).saturating_add(reset)),
            given_up_per_s: per_s(work.given_up.into()),
            failed_per_s: per_s(failed),
            failed_share: share(failed, work.work_out).map(|share| share.min(1.0)),
            retransmits_per_s: per_s(work.retransmits.into()),
            resets_in_per_s: per_s(work.resets_in.into()),
            packets_out_per_s: per_s(work.packets_out),
            packets_in_per_s: per_s(work.packets_in),
            raw_ratio: share(work.packets_out, work.packets_in),
            accepts_per_s: per_s(work.accepts.into()),
            late_per_s: per_s(met_with_reset),
        }
    }

    /// Share of work out that was refused or reset; 0 without work.
    pub(super) fn refused_share(&self) -> f64 {
        ratio(self.refused_per_s, self.out_per_s).unwrap_or(0.0)
    }

    /// Share of work out that is refused, where less than `floor_per_s` counts as that much: one request is not all of it.
    pub(super) fn refused_of(&self, floor_per_s: f64) -> f64 {
        share_of(self.refused_per_s, self.out_per_s.max(floor_per_s))
    }

    /// The same of what stays without an answer.
    pub(super) fn given_up_of(&self, floor_per_s: f64) -> f64 {
        share_of(self.given_up_per_s, self.out_per_s.max(floor_per_s))
    }

    /// Share of work out that stays without an answer, of at least so much work.
    pub(super) fn unanswered_of(&self, floor_per_s: f64) -> f64 {
        share_of(self.unanswered_per_s, self.out_per_s.max(floor_per_s))
    }

    /// It sends, and receives next to nothing; `None` where it hardly sends.
    pub(super) fn goes_one_way(&self) -> Option<bool> {
        let sends = self.packets_out_per_s >= SENDS_PER_S;
        let returns = self.packets_in_per_s > ONE_WAY_RETURN * self.packets_out_per_s;
        sends.then_some(self.in_per_s < INBOUND_PER_S && !returns)
    }

    /// It sends much and receives next to nothing.
    pub(super) fn is_one_way(&self) -> bool {
        self.packets_out_per_s >= ONE_WAY_PER_S && self.goes_one_way() == Some(true)
    }
}

/// 0 to 1; 0 of nothing.
fn share_of(part: f64, whole: f64) -> f64 {
    ratio(part, whole).map_or(0.0, |share| share.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(net: Net) -> View {
        View::of(&Work::of(&net), 2.0)
    }

    #[test]
    fn a_refused_attempt_counts_once_although_it_is_also_reset() {
        let view = view(Net {
            accepts: 100,
            connect_attempts: 400,
            connect_failures: 400,
            resets_in: 400,
            ..Net::default()
        });
        assert_eq!(view.refused_per_s, 200.0);
        assert_eq!((view.alpha, view.failed_share), (Some(4.0), Some(1.0)));
    }

    #[test]
    fn a_peer_that_resets_what_it_has_answered_fails_nothing() {
        let view = view(Net {
            accepts: 100,
            connect_attempts: 100,
            connects: 100,
            opened_turns_out: 100,
            opened_first_turns: 100,
            opened_turns_in: 100,
            resets_in: 100,
            ..Net::default()
        });
        assert_eq!((view.refused_per_s, view.failed_share), (0.0, Some(0.0)));
    }

    #[test]
    fn an_answer_that_is_met_with_a_reset_came_too_late() {
        let late = view(Net {
            accepts: 100,
            accepted_turns_in: 100,
            accepted_first_turns: 100,
            accepted_turns_out: 80,
            resets_in: 60,
            ..Net::default()
        });
        assert_eq!((late.accepts_per_s, late.late_per_s), (50.0, 30.0));
        let refused = view(Net {
            accepts: 100,
            accepted_turns_out: 100,
            connect_attempts: 60,
            connect_failures: 60,
            resets_in: 60,
            ..Net::default()
        });
        assert_eq!(refused.late_per_s, 0.0, "its own attempts were refused");
    }

    #[test]
    fn an_attempt_that_hangs_is_not_answered() {
        let view = view(Net {
            accepts: 10,
            connect_attempts: 40,
            ..Net::default()
        });
        assert_eq!((view.unanswered_share, view.refused_per_s), (Some(1.0), 0.0));
    }
}
