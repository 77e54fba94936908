//! Judge of work: does a scope send more work than it is asked for, and does that work fail? Keeps what is known of one
//! scope; what its signs mean stands in `signs`, what is learned of it in `past`, what retries would do in `risk`.

mod capacity;
mod destination;
mod past;
mod phase;
mod retries;
mod risk;
mod shown;
mod signs;
mod slow;
mod work;

use crate::{
    config::AmplificationConfig,
    sense::sample::{Destination, Net},
};

use super::{
    context::Context,
    evidence::{Finding, PARTS, Reading, SECOND_NS},
    servers::Server,
    statistics::{Baseline, Past, trajectory::Trajectory, window::Window},
    threshold::Hold,
    verdict::{Cause, Level, Phase},
};

use self::{
    destination::Worst,
    phase::{Phases, Symptoms},
    risk::{LatentRisk, Step},
    signs::{Pasts, Signs, quiet},
    slow::SlowMean,
    work::{View, Work},
};

/// Window of alpha, of what begins and ends quickly, and of what is seen at once, nanoseconds.
const WINDOW_NS: u64 = 2 * SECOND_NS;
const FAST_NS: u64 = 3 * SECOND_NS / 5;
const AT_ONCE_NS: u64 = 2 * SECOND_NS / 5;
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

/// The amplification of one scope.
#[derive(Clone, Debug)]
pub(super) struct Amplification {
    window: Window<Work, 10>,
    /// Room that is taken with the first alpha.
    trajectory: Option<Box<Trajectory>>,
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
            trajectory: None,
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
            self.trajectory.get_or_insert_default().push(reading.end_ns, alpha);
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
        self.trajectory = None;
        self.phases = Phases::default();
        self.worst = Worst::default();
        self.serves = Server::default();
        self.connected_per_s = 0.0;
        (self.silent_ns, self.full_ns, self.storm_ns, self.held_ns) = (0, 0, 0, 0);
    }
}
