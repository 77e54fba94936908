//! Judge of work: does a scope send more work than it is asked for, and does that work fail? Keeps what is known of one
//! scope; what its signs mean stands in `signs`, what retries would do in `risk`.

mod capacity;
mod destination;
mod phase;
mod retries;
mod risk;
mod signs;
mod work;

use crate::{
    config::AmplificationConfig,
    sense::sample::{Destination, Net},
};

use super::{
    context::Context,
    evidence::{Evidence, Finding, PARTS, Reading, SECOND_NS},
    learned::{Keeps, Kept, KeptMut, Series, Slow},
    servers::Server,
    statistics::{Baseline, Learn, Past, trajectory::Trajectory, window::Window},
    threshold::Hold,
    verdict::{Cause, Level, Phase},
};

use self::{
    destination::Worst,
    phase::{Phases, Symptoms},
    risk::{LatentRisk, Step},
    signs::{Pasts, Signs, quiet},
    work::{View, Work},
};

/// Window of alpha, of what begins and ends quickly, and of what is seen at once, nanoseconds.
const WINDOW_NS: u64 = 2 * SECOND_NS;
const FAST_NS: u64 = 3 * SECOND_NS / 5;
const AT_ONCE_NS: u64 = 2 * SECOND_NS / 5;
/// Share of work that fails from which on it is hardly learned from, at least and against the usual.
const LEARNED_SHARE: f64 = 0.05;
const LEARNED_TIMES: f64 = 2.0;
/// More requests for each one, without harm for this long, is the new usual.
const ACCEPTED_NS: u64 = 300 * SECOND_NS;
/// Seconds over which the slow mean forgets, how old it has to be, and how far above it alpha is learned with doubt.
const ANCHOR_S: f64 = 1800.0;
const YOUNG_S: f64 = 60.0;
const DRIFT: f64 = 1.5;
/// Seconds over which the share of one-way time forgets, and how many have to be seen.
const ONE_WAY_S: f64 = 3600.0;
const ONE_WAY_SEEN_S: f64 = 10.0;
/// How long what was found needs less to go on, nanoseconds: as long as a fall takes.
const HELD_NS: u64 = 3 * SECOND_NS;
/// Share of work that fails when nearly everything does.
const BULK_SHARE: f64 = 0.9;
/// A full queue refuses at least this share of the work; how long it has to, so that all that is seen at once is of it.
const FULL: f64 = 0.1;
const FULL_NS: u64 = 4 * SECOND_NS / 5;
/// Where so much of what is needed is answered, retries help more than they harm.
const SERVED: f64 = 0.75;
/// Less than this share of what was answered before is sent: queues shrink.
const DRAINS: f64 = 0.9;
/// The risk has its own patience; nothing is added to it.
const HOLD_RISK: Hold = Hold {
    watch_ns: 0,
    veto_ns: u64::MAX,
    readings: 1,
    clear_ns: 3 * SECOND_NS,
};

/// A mean over real time: plain while young, forgetting later.
#[derive(Clone, Copy, Debug, Default)]
struct SlowMean {
    mean: f64,
    seconds: f64,
}

impl SlowMean {
    fn learn(&mut self, value: f64, seconds: f64, memory_s: f64) {
        self.seconds += seconds;
        let weight = seconds / self.seconds.min(memory_s).max(seconds);
        self.mean += weight * (value - self.mean);
    }
}

impl Keeps for SlowMean {
    fn learned(&self) -> Option<Series> {
        let slow = Slow {
            mean: self.mean as f32,
            seconds: self.seconds as f32,
        };
        (slow.seconds > 0.0 && slow.mean.is_finite() && slow.seconds.is_finite()).then(|| Series {
            slow: Some(slow),
            ..Series::default()
        })
    }

    /// It rests on less the older it is, at the most on what it remembers; the shorter memory of the two there are.
    fn take_back(&mut self, series: &Series, age_s: f64) {
        let Some(slow) = series.slow else { return };
        let seconds = f64::from(slow.seconds).min(ANCHOR_S) * (-age_s / ANCHOR_S).exp();
        if slow.mean.is_finite() && seconds.is_finite() && seconds > 0.0 {
            (self.mean, self.seconds) = (f64::from(slow.mean), seconds);
        }
    }
}

/// The amplification of one scope.
#[derive(Clone, Debug)]
pub(super) struct Amplification {
    window: Window<Work, 10>,
    trajectory: Trajectory,
    pasts: Pasts,
    anchor: SlowMean,
    one_way: SlowMean,
    phases: Phases,
    risk: LatentRisk,
    worst: Worst,
    alpha: Option<f64>,
    coverage: f64,
    end_ns: u64,
    /// How long there was a surplus that does no harm.
    harmless_ns: u64,
    turned: bool,
    /// How long the usual answers have been missing.
    silent_ns: u64,
    /// What it does for others, and what it connected, both as of the last reading.
    serves: Server,
    connected_per_s: f64,
    /// How long its back end has been refusing a part of the work without a break: a queue is full.
    full_ns: u64,
    /// How long a `veto` because of retries has been asked for, and how long less will do since it was found.
    storm_ns: u64,
    held_ns: u64,
}

impl Default for Amplification {
    fn default() -> Self {
        Self {
            window: Window::new(WINDOW_NS),
            trajectory: Trajectory::default(),
            pasts: Pasts {
                alpha: Past::new(0.05),
                alpha_at_once: Past::new(0.05),
                inbound: Baseline::new(1.0),
                refused: Past::new(0.02),
                unanswered: Past::new(0.02),
                given_up: Baseline::new(0.02),
                packets: Past::new(100.0),
                one_way_share: None,
            },
            anchor: SlowMean::default(),
            one_way: SlowMean::default(),
            phases: Phases::default(),
            risk: LatentRisk::default(),
            worst: Worst::default(),
            alpha: None,
            coverage: 0.0,
            end_ns: 0,
            harmless_ns: 0,
            turned: false,
            silent_ns: 0,
            serves: Server::default(),
            connected_per_s: 0.0,
            full_ns: 0,
            storm_ns: 0,
            held_ns: 0,
        }
    }
}

impl Amplification {
    /// What is kept over a restart.
    pub(super) fn kept(&self) -> Kept<'_> {
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
    pub(super) fn kept_mut(&mut self) -> KeptMut<'_> {
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

    /// Takes in a reading, and the destination where attempts fail most if that was looked at; says what it asks for.
    pub(super) fn observe(
        &mut self,
        reading: Reading,
        net: &Net,
        worst: Option<Destination>,
        context: &Context,
        config: &AmplificationConfig,
    ) -> Finding {
        let work = Work::of(net);
        self.turned = false;
        for (end_ns, elapsed_ns) in reading.parts(PARTS) {
            self.window.push(end_ns, elapsed_ns, &work);
        }
        self.worst.observe(reading.end_ns, worst);
        let (sum, latest) = (self.window.sum(), self.window.latest(FAST_NS));
        let now = self.window.latest(AT_ONCE_NS);
        let (Some(seconds), Some(latest_s), Some(now_s)) = (sum.seconds(), latest.seconds(), now.seconds()) else {
            return quiet();
        };
        let view = View::of(&sum.counts, seconds);
        self.alpha = view.alpha;
        self.coverage = sum.coverage();
        self.end_ns = reading.end_ns;
        if let Some(alpha) = view.alpha {
            self.trajectory.push(reading.end_ns, alpha);
        }
        let fast = View::of(&latest.counts, latest_s);
        let at_once = View::of(&now.counts, now_s);
        let signs = Signs {
            view: &view,
            fast: &fast,
            at_once: &at_once,
            pasts: &self.pasts,
            at: reading.at(),
            paired: context.calibration.paired(),
            alone: context.calibration.alone(),
            repeated_per_s: self.worst.failures_per_s(),
            view_s: seconds,
            fast_s: latest_s,
            late_per_s: context
                .servers
                .of(self.connected_per_s, latest_s)
                .map(|server| server.late_per_s),
            silent_ns: self.silent_ns,
            held: self.held_ns > 0,
            config,
        };
        let is_silent = signs.is_silent();
        let mut finding = signs.judge();
        if self.coverage < 0.5 {
            finding = finding.at_most(Level::Watch);
        }
        let symptoms = self.symptoms(&signs, is_silent, context);
        let storm = finding.wanted == Level::Veto && finding.cause == Cause::RetryStorm;
        self.storm_ns = if storm {
            self.storm_ns.saturating_add(reading.elapsed_ns)
        } else {
            0
        };
        self.held_ns = if storm && (self.held_ns > 0 || self.storm_ns >= finding.hold.veto_ns) {
            HELD_NS
        } else {
            self.held_ns.saturating_sub(reading.elapsed_ns)
        };
        self.silent_ns = if is_silent {
            self.silent_ns.saturating_add(reading.elapsed_ns)
        } else {
            0
        };
        self.serves = Server {
            accepts_per_s: fast.accepts_per_s,
            late_per_s: fast.late_per_s,
        };
        self.connected_per_s = fast.connects_per_s;
        self.full_ns = if fast.refused_share() >= FULL {
            self.full_ns.saturating_add(reading.elapsed_ns)
        } else {
            0
        };
        self.turned = self.phases.step(reading.end_ns, reading.elapsed_ns, &symptoms);
        self.risk.answered(at_once.responses_per_s, reading.seconds());
        self.learn(reading, &finding, [&view, &fast, &at_once], config);
        self.measure_risk(reading, &work, &fast);
        if finding.wanted == Level::Nominal && self.risk.is_said() && self.phases.phase() == Phase::Healthy {
            finding = Finding {
                wanted: Level::Watch,
                cause: Cause::RetryStorm,
                hold: HOLD_RISK,
            };
        }
        finding
    }

    /// Gives memory back that it needs only while something happens.
    pub(super) fn release(&mut self) {
        self.window.release();
    }

    /// Whether nothing of what happened is left in what it looks at.
    #[must_use]
    pub(super) fn is_at_rest(&self) -> bool {
        self.alpha.is_none()
            && self.phases.phase() == Phase::Healthy
            && !self.risk.is_said()
            && [
                self.silent_ns,
                self.full_ns,
                self.storm_ns,
                self.held_ns,
                self.harmless_ns,
            ] == [0; 5]
    }

    /// alpha; `None` when nobody asks for work.
    #[must_use]
    pub(super) const fn value(&self) -> Option<f64> {
        self.alpha
    }

    /// True when the reading just taken in made it metastable, or ended that: worth a verdict of its own.
    #[must_use]
    pub(super) const fn turned(&self) -> bool {
        self.turned
    }

    /// What it does for those that connect to it.
    #[must_use]
    pub(super) const fn serves(&self) -> Server {
        self.serves
    }

    /// Work per second that the other side gets done although no answer arrives; `None` where that does not show. A back
    /// end on this host is seen to answer those who are gone. Of another one it shows when its queue is full: then it
    /// takes what it has worked off, and refuses the rest.
    fn worked_per_s(&self, fast: &View, fast_s: f64, context: &Context) -> Option<f64> {
        let server = context.servers.of(self.connected_per_s, fast_s);
        let seen = server.map(|server| server.late_per_s);
        let inferred = (self.full_ns >= FULL_NS).then_some(fast.out_per_s - fast.refused_per_s);
        seen.into_iter().chain(inferred).reduce(f64::max)
    }

    /// Both windows have to show what begins; what is seen at once tells how it goes on.
    fn symptoms(&self, signs: &Signs<'_>, is_silent: bool, context: &Context) -> Symptoms {
        let (fast, fast_s) = (signs.fast, signs.fast_s);
        let worked_per_s = self.worked_per_s(fast, fast_s, context).filter(|_| is_silent);
        let answered_per_s = self.risk.answered_per_s().max(worked_per_s.unwrap_or(0.0));
        let needed_per_s = self.pasts.alpha.mean().unwrap_or(0.0) * fast.in_per_s;
        let usual_in_per_s = self.pasts.inbound.mean();
        let begun = self.phases.phase() != Phase::Healthy;
        let both = |sign: &dyn Fn(&View) -> bool| sign(fast) && (begun || sign(signs.view));
        Symptoms {
            amplifying: both(&|view| signs.is_amplified(view)),
            failing: both(&|view| signs.is_failing(view)),
            inbound_per_s: fast.in_per_s,
            usual_inbound_per_s: usual_in_per_s,
            failed: fast.failed_share.unwrap_or(0.0),
            noise: 1.0 / (fast.in_per_s * fast_s).max(1.0).sqrt(),
            usual_noise: usual_in_per_s.map_or(0.0, |usual| 1.0 / (usual * fast_s).max(1.0).sqrt()),
            refused_share: fast.refused_share(),
            taken_per_s: fast.out_per_s - fast.failures_per_s,
            needed_per_s,
            is_silent,
            is_served: fast.responses_per_s >= SERVED * needed_per_s,
            worked_per_s,
            drains: fast.out_per_s < DRAINS * answered_per_s,
        }
    }

    /// What fails teaches little, and what is judged to be wrong nothing: a fault must not become the usual.
    fn learn(&mut self, reading: Reading, finding: &Finding, seen: [&View; 3], config: &AmplificationConfig) {
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
    fn usual_failed(&self) -> Option<f64> {
        Some(self.pasts.refused.mean()? + self.pasts.unanswered.mean()?)
    }

    /// alpha has left behind what it was over the last half an hour.
    fn drifts(&self) -> bool {
        let old = self.anchor.seconds >= YOUNG_S;
        self.alpha.is_some_and(|alpha| old && alpha > DRIFT * self.anchor.mean)
    }

    fn measure_risk(&mut self, reading: Reading, work: &Work, fast: &View) {
        let bulk = fast.failed_share.is_some_and(|share| share >= BULK_SHARE);
        self.risk.step(&Step {
            elapsed_ns: reading.elapsed_ns,
            work,
            usual_alpha: self.pasts.alpha.mean(),
            alpha_failing: fast.alpha.filter(|_| bulk && self.phases.phase() != Phase::Healthy),
            healthy: self.phases.phase() == Phase::Healthy,
        });
    }

    /// Forgets what led up to a hole in the data; the past stays.
    pub(super) fn interrupt(&mut self) {
        self.window.clear();
        self.trajectory.clear();
        self.phases = Phases::default();
        self.worst = Worst::default();
        self.serves = Server::default();
        self.connected_per_s = 0.0;
        (self.silent_ns, self.full_ns, self.storm_ns, self.held_ns) = (0, 0, 0, 0);
    }

    /// What a verdict shows.
    #[must_use]
    pub(super) fn evidence(&self) -> Evidence {
        let sum = self.window.sum();
        let view = &sum
            .seconds()
            .map_or_else(View::default, |seconds| View::of(&sum.counts, seconds));
        let alpha = &self.pasts.alpha;
        let velocity = self.trajectory.velocity();
        let mut evidence = Evidence {
            value: view.alpha,
            baseline: alpha.published(),
            sigma: view.alpha.and_then(|value| alpha.sigmas(value)),
            rarity: view.alpha.and_then(|value| alpha.decades(value)),
            velocity_per_s: velocity.map(|slope| slope.per_s),
            acceleration_per_s2: self.trajectory.acceleration_per_s2(),
            phase: Some(self.phases.phase()),
            risk: self.risk.published(),
            destination: self.worst.shown(self.end_ns),
            window_ms: sum.span_ns / 1_000_000,
            coverage: self.coverage,
            ..Evidence::default()
        };
        let usual = alpha.mean();
        evidence.feature("velocity_error_per_s", velocity.map(|slope| slope.error_per_s));
        evidence.feature("raw_ratio", view.raw_ratio);
        evidence.feature("work_out_per_s", view.out_per_s);
        evidence.feature("work_in_per_s", view.in_per_s);
        evidence.feature("work_in_baseline_per_s", self.pasts.inbound.mean());
        evidence.feature(
            "surplus_per_s",
            usual.map(|usual| view.out_per_s - usual * view.in_per_s),
        );
        evidence.feature("failed_per_s", view.failed_per_s);
        evidence.feature("failed_share", view.failed_share);
        evidence.feature("failed_share_baseline", self.usual_failed());
        evidence.feature("connect_attempts_per_s", view.attempts_per_s);
        evidence.feature("connect_failures_per_s", view.failures_per_s);
        evidence.feature("failing_share", view.failing_share);
        evidence.feature("repeated_failures_per_s", self.worst.failures_per_s());
        evidence.feature("requests_per_s", view.requests_per_s);
        evidence.feature("responses_per_s", view.responses_per_s);
        evidence.feature("unanswered_share", view.unanswered_share);
        evidence.feature("given_up_per_s", view.given_up_per_s);
        evidence.feature("retransmits_per_s", view.retransmits_per_s);
        evidence.feature("resets_in_per_s", view.resets_in_per_s);
        evidence.feature("packets_out_per_s", view.packets_out_per_s);
        evidence.feature("packets_in_per_s", view.packets_in_per_s);
        evidence.feature("packets_out_baseline_per_s", self.pasts.packets.mean());
        evidence.feature("phase_s", self.phases.seconds(self.end_ns));
        evidence
    }
}
