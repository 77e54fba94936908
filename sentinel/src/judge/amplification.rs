//! Judge of work: does a scope send more work than it is asked for, and does that work fail?

use crate::{config::AmplificationConfig, sense::sample::Net};

use super::{
    context::Context,
    evidence::{Evidence, Finding, Reading, SECOND_NS, ratio},
    phase::{Phases, Symptoms},
    statistics::{
        At, Learn, Past,
        trajectory::Trajectory,
        window::{Counts, Window},
    },
    threshold::Hold,
    verdict::{Cause, Level, Phase},
};

/// Window of alpha, and of what has to be seen at once, nanoseconds.
const WINDOW_NS: u64 = 2 * SECOND_NS;
const FAST_NS: u64 = 3 * SECOND_NS / 5;
const HOLD: Hold = Hold {
    watch_ns: SECOND_NS,
    veto_ns: SECOND_NS,
    readings: 2,
    clear_ns: 3 * SECOND_NS,
};
/// A storm with the signature of failing retries is two signs already.
const HOLD_STORM: Hold = Hold {
    veto_ns: 2 * SECOND_NS / 5,
    readings: 1,
    ..HOLD
};
/// Answers that do not come may only be slow.
const HOLD_UNANSWERED: Hold = Hold {
    veto_ns: 3 * SECOND_NS / 2,
    ..HOLD
};
/// Without failures it may be a new release that asks more back ends: that has to last.
const HOLD_QUIET: Hold = Hold {
    veto_ns: 3 * SECOND_NS,
    ..HOLD
};
/// Sigmas above the baseline that count.
const SIGMAS: f64 = 3.0;
/// Share of attempts, or of requests, that fails or stays unanswered, with a scope that is asked for work.
const FAILING_SHARE: f64 = 0.3;
const UNANSWERED_SHARE: f64 = 0.5;
/// The same for a client that nobody asks: only failures tell.
const CLIENT_FAILING_SHARE: f64 = 0.5;
/// Work in per second from which on alpha is defined.
const INBOUND_PER_S: f64 = 1.0;
/// A flood: packets out per second, packets in per packet out, and packets out per second that need no baseline.
const FLOOD_PER_S: f64 = 1000.0;
const FLOOD_RETURN: f64 = 0.01;
const FLOOD_CERTAIN_PER_S: f64 = 10_000.0;
const FLOOD_FACTOR: f64 = 3.0;

#[derive(Clone, Copy, Debug, Default)]
struct Work {
    work_out: u64,
    work_in: u64,
    requests: u64,
    responses: u64,
    attempts: u64,
    failures: u64,
    retransmits: u64,
    resets_in: u64,
    packets_out: u64,
    packets_in: u64,
}

impl Work {
    fn of(net: &Net) -> Self {
        Self {
            work_out: net.work_out(),
            work_in: net.work_in(),
            requests: net.opened_turns_out,
            responses: net.opened_turns_in,
            attempts: net.connect_attempts,
            failures: net.connect_failures,
            retransmits: net.retransmits,
            resets_in: net.resets_in,
            packets_out: net.external.egress_packets.saturating_add(net.loopback.egress_packets),
            packets_in: net
                .external
                .ingress_packets
                .saturating_add(net.loopback.ingress_packets),
        }
    }
}

impl Counts for Work {
    fn add(&mut self, other: &Self) {
        self.work_out = self.work_out.saturating_add(other.work_out);
        self.work_in = self.work_in.saturating_add(other.work_in);
        self.requests = self.requests.saturating_add(other.requests);
        self.responses = self.responses.saturating_add(other.responses);
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.failures = self.failures.saturating_add(other.failures);
        self.retransmits = self.retransmits.saturating_add(other.retransmits);
        self.resets_in = self.resets_in.saturating_add(other.resets_in);
        self.packets_out = self.packets_out.saturating_add(other.packets_out);
        self.packets_in = self.packets_in.saturating_add(other.packets_in);
    }
}

/// Rates per second and ratios over some time.
#[derive(Clone, Copy, Debug, Default)]
struct View {
    /// Work out per work in; `None` when nobody asks for work.
    alpha: Option<f64>,
    out_per_s: f64,
    in_per_s: f64,
    attempts_per_s: f64,
    failures_per_s: f64,
    failing_share: Option<f64>,
    requests_per_s: f64,
    unanswered_share: Option<f64>,
    retransmits_per_s: f64,
    resets_in_per_s: f64,
    packets_out_per_s: f64,
    packets_in_per_s: f64,
    raw_ratio: Option<f64>,
}

impl View {
    fn of(work: &Work, seconds: f64) -> Self {
        let per_s = |count: u64| count as f64 / seconds;
        let share = |part: u64, whole: u64| ratio(part as f64, whole as f64);
        let in_per_s = per_s(work.work_in);
        Self {
            alpha: share(work.work_out, work.work_in).filter(|_| in_per_s >= INBOUND_PER_S),
            out_per_s: per_s(work.work_out),
            in_per_s,
            attempts_per_s: per_s(work.attempts),
            failures_per_s: per_s(work.failures),
            failing_share: share(work.failures, work.attempts),
            requests_per_s: per_s(work.requests),
            unanswered_share: share(work.requests.saturating_sub(work.responses), work.requests),
            retransmits_per_s: per_s(work.retransmits),
            resets_in_per_s: per_s(work.resets_in),
            packets_out_per_s: per_s(work.packets_out),
            packets_in_per_s: per_s(work.packets_in),
            raw_ratio: share(work.packets_out, work.packets_in),
        }
    }

    /// The signature of work that fails: it is refused or reset, or not answered.
    fn is_failing(&self, floor_per_s: f64) -> bool {
        self.is_refused(floor_per_s) || self.is_unanswered(floor_per_s)
    }

    fn is_refused(&self, floor_per_s: f64) -> bool {
        let enough = floor_per_s / 2.0;
        let refused = self.failures_per_s >= enough && self.failing_share.unwrap_or(1.0) >= FAILING_SHARE;
        let reset = self.resets_in_per_s >= enough
            && ratio(self.resets_in_per_s, self.out_per_s).is_some_and(|share| share >= FAILING_SHARE);
        refused || reset
    }

    /// Also true of every slow back end for as long as its first answers take, so it has to last longer.
    fn is_unanswered(&self, floor_per_s: f64) -> bool {
        self.requests_per_s >= floor_per_s && self.unanswered_share.is_some_and(|share| share >= UNANSWERED_SHARE)
    }

    fn is_failing_client(&self, floor_per_s: f64) -> bool {
        self.failures_per_s >= floor_per_s && self.failing_share.unwrap_or(1.0) > CLIENT_FAILING_SHARE
    }

    fn is_one_way(&self) -> bool {
        self.in_per_s < INBOUND_PER_S
            && self.packets_out_per_s >= FLOOD_PER_S
            && self.packets_in_per_s <= FLOOD_RETURN * self.packets_out_per_s
    }
}

/// The amplification of one scope.
#[derive(Clone, Debug)]
pub(super) struct Amplification {
    window: Window<Work, 10>,
    trajectory: Trajectory,
    alpha: Past,
    inbound: Past,
    packets: Past,
    phases: Phases,
    view: View,
    coverage: f64,
    end_ns: u64,
    at: At,
    /// Rarity that counts as above the past.
    decades: f64,
}

impl Default for Amplification {
    fn default() -> Self {
        Self {
            window: Window::new(WINDOW_NS),
            trajectory: Trajectory::default(),
            alpha: Past::new(0.05),
            inbound: Past::new(1.0),
            packets: Past::new(100.0),
            phases: Phases::default(),
            view: View::default(),
            coverage: 0.0,
            end_ns: 0,
            at: At::default(),
            decades: 0.0,
        }
    }
}

impl Amplification {
    /// Takes in a reading and says what it asks for.
    pub(super) fn observe(
        &mut self,
        reading: Reading,
        net: &Net,
        context: &Context,
        config: &AmplificationConfig,
    ) -> Finding {
        self.at = reading.at();
        self.decades = context.calibration.paired();
        self.window.push(reading.end_ns, reading.elapsed_ns, &Work::of(net));
        let (sum, latest) = (self.window.sum(), self.window.latest(FAST_NS));
        let (Some(seconds), Some(latest_s)) = (sum.seconds(), latest.seconds()) else {
            return quiet();
        };
        self.view = View::of(&sum.counts, seconds);
        self.coverage = sum.coverage();
        self.end_ns = reading.end_ns;
        if let Some(alpha) = self.view.alpha {
            self.trajectory.push(reading.end_ns, alpha);
        }
        let fast = View::of(&latest.counts, latest_s);
        let mut finding = self.judge(&fast, config);
        if self.coverage < 0.5 {
            finding = finding.at_most(Level::Watch);
        }
        self.follow_phase(reading, config);
        self.learn(reading, finding.wanted, config);
        finding
    }

    /// alpha; `None` when nobody asks for work.
    #[must_use]
    pub(super) fn value(&self) -> Option<f64> {
        self.view.alpha
    }

    fn judge(&self, fast: &View, config: &AmplificationConfig) -> Finding {
        if is_storm(fast, config) {
            return found(Level::Veto, Cause::RetryStorm, HOLD_STORM);
        }
        let view = &self.view;
        if view.is_one_way() && fast.is_one_way() {
            return self.judge_flood();
        }
        if view.out_per_s < config.floor_per_s {
            return quiet();
        }
        match view.alpha {
            Some(alpha) => self.judge_ratio(alpha, fast, config),
            None => judge_client(view, fast, config),
        }
    }

    /// A scope that is asked for work. Signs: alpha is high; it is above the scope's own past; what it sends fails.
    fn judge_ratio(&self, alpha: f64, fast: &View, config: &AmplificationConfig) -> Finding {
        let view = &self.view;
        let failing = view.is_failing(config.floor_per_s) && fast.is_failing(config.floor_per_s);
        let cause = if failing { Cause::RetryStorm } else { Cause::FanOut };
        let high = alpha > config.veto_ratio;
        let above = self.alpha.exceeded(self.at, alpha, SIGMAS, self.decades);
        if high && failing && (above || alpha >= config.storm_ratio) {
            let refused = view.is_refused(config.floor_per_s);
            return found(Level::Veto, cause, if refused { HOLD } else { HOLD_UNANSWERED });
        }
        let doubled = self
            .alpha
            .mean()
            .is_some_and(|usual| alpha >= config.storm_ratio * usual.max(1.0));
        if high && above && doubled {
            return found(Level::Veto, cause, HOLD_QUIET);
        }
        let unusual = above || !self.alpha.is_ready();
        if alpha > config.watch_ratio && (unusual || failing) {
            return found(Level::Watch, cause, HOLD);
        }
        quiet()
    }

    /// One-way traffic is one sign; the second is that it is new to this scope, or beyond any doubt. Metrics, video
    /// and tunnels send one way by nature.
    fn judge_flood(&self) -> Finding {
        let rate = self.view.packets_out_per_s;
        let new = self.packets.mean().is_some_and(|usual| rate > FLOOD_FACTOR * usual)
            && self.packets.exceeded(self.at, rate, SIGMAS, self.decades);
        let known = self.packets.mean().is_some() && !new;
        let wanted = match (new || rate >= FLOOD_CERTAIN_PER_S, known) {
            (_, true) => return quiet(),
            (true, false) => Level::Veto,
            (false, false) => Level::Watch,
        };
        found(wanted, Cause::Flood, HOLD_QUIET)
    }

    fn follow_phase(&mut self, reading: Reading, config: &AmplificationConfig) {
        let view = &self.view;
        let works = view.out_per_s >= config.floor_per_s;
        let ratio_high = view.alpha.is_some_and(|alpha| alpha > config.watch_ratio);
        let unusual = view
            .alpha
            .is_some_and(|alpha| self.alpha.exceeded(self.at, alpha, SIGMAS, self.decades));
        let failing = works
            && match view.alpha {
                Some(_) => view.is_failing(config.floor_per_s),
                None => view.is_failing_client(config.floor_per_s),
            };
        let symptoms = Symptoms {
            amplifying: works && ratio_high && (failing || unusual),
            failing,
            inbound_per_s: view.in_per_s,
            usual_inbound_per_s: self.inbound.mean(),
        };
        self.phases.step(reading.end_ns, reading.elapsed_ns, &symptoms);
    }

    fn learn(&mut self, reading: Reading, wanted: Level, config: &AmplificationConfig) {
        let failing = self.view.is_failing(config.floor_per_s);
        let how = match wanted {
            Level::Veto => Learn::Nothing,
            _ if failing || self.phases.phase() != Phase::Healthy => Learn::Nothing,
            Level::Watch if self.alpha.is_ready() => Learn::Slowly,
            _ => Learn::Fully,
        };
        let at = reading.at();
        if let Some(alpha) = self.view.alpha {
            self.alpha.learn(at, alpha, how);
        }
        self.inbound.learn(at, self.view.in_per_s, how);
        self.packets.learn(at, self.view.packets_out_per_s, how);
    }

    /// Forgets what led up to a hole in the data; the past stays.
    pub(super) fn interrupt(&mut self) {
        self.window.clear();
        self.trajectory.clear();
        self.phases = Phases::default();
    }

    /// What a verdict shows.
    #[must_use]
    pub(super) fn evidence(&self) -> Evidence {
        let view = &self.view;
        let velocity = self.trajectory.velocity();
        let mut evidence = Evidence {
            value: view.alpha,
            baseline: self.alpha.published(),
            sigma: view.alpha.and_then(|alpha| self.alpha.sigmas(alpha)),
            rarity: view.alpha.and_then(|alpha| self.alpha.decades(alpha)),
            velocity_per_s: velocity.map(|slope| slope.per_s),
            acceleration_per_s2: self.trajectory.acceleration_per_s2(),
            phase: Some(self.phases.phase()),
            window_ms: self.window.sum().span_ns / 1_000_000,
            coverage: self.coverage,
            ..Evidence::default()
        };
        evidence.feature("velocity_error_per_s", velocity.map(|slope| slope.error_per_s));
        evidence.feature("raw_ratio", view.raw_ratio);
        evidence.feature("work_out_per_s", view.out_per_s);
        evidence.feature("work_in_per_s", view.in_per_s);
        evidence.feature("work_in_baseline_per_s", self.inbound.mean());
        evidence.feature("connect_attempts_per_s", view.attempts_per_s);
        evidence.feature("connect_failures_per_s", view.failures_per_s);
        evidence.feature("failing_share", view.failing_share);
        evidence.feature("requests_per_s", view.requests_per_s);
        evidence.feature("unanswered_share", view.unanswered_share);
        evidence.feature("retransmits_per_s", view.retransmits_per_s);
        evidence.feature("resets_in_per_s", view.resets_in_per_s);
        evidence.feature("packets_out_per_s", view.packets_out_per_s);
        evidence.feature("packets_in_per_s", view.packets_in_per_s);
        evidence.feature("packets_out_baseline_per_s", self.packets.mean());
        evidence.feature("phase_s", self.phases.seconds(self.end_ns));
        evidence
    }
}

fn is_storm(fast: &View, config: &AmplificationConfig) -> bool {
    fast.out_per_s >= config.floor_per_s
        && fast.is_refused(config.floor_per_s)
        && fast.alpha.is_some_and(|alpha| alpha >= config.storm_ratio)
}

/// Nobody asks it for work, so there is no ratio: what fails is all there is to see.
fn judge_client(view: &View, fast: &View, config: &AmplificationConfig) -> Finding {
    if view.is_failing_client(config.floor_per_s) && fast.is_failing_client(config.floor_per_s) {
        return found(Level::Veto, Cause::RetryStorm, HOLD);
    }
    quiet()
}

const fn found(wanted: Level, cause: Cause, hold: Hold) -> Finding {
    Finding { wanted, cause, hold }
}

const fn quiet() -> Finding {
    found(Level::Nominal, Cause::None, HOLD)
}
