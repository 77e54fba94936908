//! Judge of run-queue waits: does a scope get the CPU when it wants it, and if not, who is in the way?
//!
//! In: readings of the scheduler sensor, as often as they come. Out: what each asks for, and the evidence. The past is
//! learned once a second, so that a scope that is read more often has no other past.

mod counts;
mod crowding;
mod signs;

use crate::{config::JitterConfig, sense::sample::Sched};

use super::{
    context::Context,
    evidence::{Evidence, Finding, PARTS, Reading, SECOND_NS, ratio},
    learned::{Kept, KeptMut},
    statistics::{At, Baseline, Learn, Past, dispersion::Successive, trajectory::Trajectory, window::Counts},
    verdict::Level,
};
use counts::{View, Waits};
use crowding::Crowding;
use signs::Signs;

use super::statistics::window::Window;

/// Window, nanoseconds.
const WINDOW_NS: u64 = SECOND_NS;
/// The last moment: a burst fills it, and a slice of a few milliseconds does not.
const MOMENT_NS: u64 = 3 * SECOND_NS / 10;
/// Time that is measured before anything is said of a scope that was there before the agent.
pub(super) const WARM_UP_NS: u64 = 49 * SECOND_NS / 10;

/// What a second is compared with.
#[derive(Clone, Debug)]
struct Pasts {
    dispersion: Past,
    voluntary: Past,
    waiting: Baseline,
    on_cpu: Baseline,
    tail: Baseline,
}

/// The second that is being filled.
#[derive(Clone, Debug, Default)]
struct Second {
    /// Room that is taken when there are any.
    waits: Option<Box<Waits>>,
    ns: u64,
    worst: Level,
    crowded: bool,
}

impl Second {
    fn count(&mut self, waits: &Waits) {
        if !waits.is_nothing() {
            self.waits.get_or_insert_default().add(waits);
        }
    }

    fn mean_wait_ms(&self) -> Option<f64> {
        self.waits.as_ref().and_then(|waits| waits.mean_ms())
    }

    /// Returns what it was, without its waits: the room stays.
    fn begin_anew(&mut self) -> Self {
        let mut waits = self.waits.take();
        if let Some(waits) = &mut waits {
            **waits = Waits::default();
        }
        std::mem::replace(
            self,
            Self {
                waits,
                ..Self::default()
            },
        )
    }

    fn release(&mut self) {
        self.waits = self.waits.take().filter(|waits| !waits.is_nothing());
    }
}

/// Time held back by `cpu.max`. It is read less often than the rest.
#[derive(Clone, Copy, Debug, Default)]
struct Throttling {
    share: Option<f64>,
    unread_ns: u64,
}

impl Throttling {
    fn observe(&mut self, reading: Reading, throttled_ns: Option<u64>) {
        self.unread_ns = self.unread_ns.saturating_add(reading.elapsed_ns);
        if let Some(ns) = throttled_ns {
            self.share = ratio(ns as f64, self.unread_ns as f64);
            self.unread_ns = 0;
        }
    }
}

/// The jitter of one scope.
#[derive(Clone, Debug)]
pub(super) struct Jitter {
    window: Window<Waits, 10>,
    second: Second,
    successive: Successive,
    trajectory: Trajectory,
    past: Pasts,
    throttling: Throttling,
    crowding: Crowding,
    view: View,
    dispersion_ms: f64,
    signs: Signs,
}

impl Default for Jitter {
    fn default() -> Self {
        Self {
            window: Window::new(WINDOW_NS),
            second: Second::default(),
            successive: Successive::default(),
            trajectory: Trajectory::default(),
            past: Pasts {
                dispersion: Past::new(0.05),
                voluntary: Past::new(10.0),
                waiting: Baseline::new(5.0),
                on_cpu: Baseline::new(5.0),
                tail: Baseline::new(0.5),
            },
            throttling: Throttling::default(),
            crowding: Crowding::default(),
            view: View::default(),
            dispersion_ms: 0.0,
            signs: Signs::default(),
        }
    }
}

impl Jitter {
    /// What is kept over a restart.
    pub(super) fn kept(&self) -> Kept<'_> {
        let past = &self.past;
        vec![
            ("jitter.dispersion", &past.dispersion),
            ("jitter.voluntary", &past.voluntary),
            ("jitter.waiting", &past.waiting),
            ("jitter.on_cpu", &past.on_cpu),
            ("jitter.tail", &past.tail),
        ]
    }

    /// The same, to take back what was known.
    pub(super) fn kept_mut(&mut self) -> KeptMut<'_> {
        let past = &mut self.past;
        vec![
            ("jitter.dispersion", &mut past.dispersion),
            ("jitter.voluntary", &mut past.voluntary),
            ("jitter.waiting", &mut past.waiting),
            ("jitter.on_cpu", &mut past.on_cpu),
            ("jitter.tail", &mut past.tail),
        ]
    }

    /// Takes in a reading and says what it asks for.
    pub(super) fn observe(
        &mut self,
        reading: Reading,
        sched: &Sched,
        throttled_ns: Option<u64>,
        context: &Context,
        config: &JitterConfig,
    ) -> Finding {
        let waits = Waits::from(sched);
        self.throttling.observe(reading, throttled_ns);
        for (end_ns, elapsed_ns) in reading.parts(PARTS) {
            self.window.push(end_ns, elapsed_ns, &waits);
        }
        self.second.count(&waits);
        self.second.ns = self.second.ns.saturating_add(reading.elapsed_ns);
        let full = self.second.ns >= SECOND_NS / 20 * 19;
        if full {
            self.successive.push(self.second.mean_wait_ms().unwrap_or(0.0));
        }
        let moment = self.look();
        for (end_ns, _) in reading.parts(PARTS) {
            self.trajectory.push(end_ns, self.dispersion_ms);
        }
        self.signs = self.signs(reading, context, config);
        match self.crowd(&moment, context, config) {
            Some(crowd) => self.crowding.rise(reading.seconds(), crowd),
            None => self.crowding.fall(
                reading.seconds(),
                moment.runnable_tasks() / context.cpus,
                moment.waiting_share.unwrap_or(0.0),
            ),
        }
        let finding = self.finding(context);
        self.second.worst = self.second.worst.max(finding.wanted);
        self.second.crowded |= self.signs.crowded;
        if full {
            self.learn(reading);
        }
        finding
    }

    /// Gives memory back that it needs only while something happens.
    pub(super) fn release(&mut self) {
        self.window.release();
        self.second.release();
        self.successive.release();
        self.trajectory.release();
    }

    /// Whether nothing of what happened is left in what it looks at.
    #[must_use]
    pub(super) fn is_at_rest(&self) -> bool {
        self.dispersion_ms <= 0.0
            && self.crowding.evidence() <= 0.0
            && self.signs.count() == 0
            && self.throttling.share.is_none_or(|share| share <= 0.0)
    }

    /// Dispersion of waits, milliseconds.
    #[must_use]
    pub(super) fn value(&self) -> f64 {
        self.dispersion_ms
    }

    /// Milliseconds of waiting per second.
    #[must_use]
    pub(super) fn waiting_ms_per_s(&self) -> f64 {
        self.view.waiting_tasks * 1e3
    }

    /// Tasks that want a CPU, on average.
    #[must_use]
    pub(super) fn runnable_tasks(&self) -> f64 {
        self.view.runnable_tasks()
    }

    /// What the window shows; returns what its last moment does.
    fn look(&mut self) -> View {
        if let Some(view) = View::of(&self.window.sum()) {
            self.view = view;
        }
        self.dispersion_ms = self.view.plain_sigma_ms.hypot(self.successive.variance().sqrt());
        View::of(&self.window.latest(MOMENT_NS)).unwrap_or(self.view)
    }

    /// A second is over.
    fn learn(&mut self, reading: Reading) {
        let second = self.second.begin_anew();
        let how = match second.worst {
            Level::Veto => Learn::Nothing,
            Level::Watch if self.past.waiting.is_ready() || second.crowded => Learn::Slowly,
            _ => Learn::Fully,
        };
        let seconds = u32::try_from(second.ns / SECOND_NS).unwrap_or(u32::MAX);
        let at = At {
            seconds: second.ns as f64 / 1e9,
            readings: seconds.clamp(1, reading.readings.max(1)),
            ..reading.at()
        };
        let view = &self.view;
        self.past.dispersion.learn(at, self.dispersion_ms, how);
        self.past.voluntary.learn(at, view.voluntary_per_s, how);
        self.past.waiting.learn(at, view.waiting_tasks * 1e3, how);
        self.past.on_cpu.learn(at, view.running_tasks * 1e3, how);
        if let Some(tail_ms) = view.tail_ms {
            self.past.tail.learn(at, tail_ms, how);
        }
    }

    /// Forgets what led up to a hole in the data; the past stays.
    pub(super) fn interrupt(&mut self) {
        self.window.clear();
        self.trajectory.clear();
        self.successive = Successive::default();
        self.second.begin_anew();
        self.throttling = Throttling::default();
        self.crowding = Crowding::default();
    }

    /// How bad it is, 0 to 1: the tasks that wait, as a share of these and of as many as the host can run. No busy task
    /// too many is 0, and for a host that one scope keeps busy it is the share of the time wanted that is spent waiting:
    /// `1 - CPUs / tasks`. A scope that its own limit holds back is at least as badly off as the share of time it is.
    fn severity(&self, context: &Context) -> f64 {
        let waiting = self.view.waiting_tasks;
        let crowded = ratio(waiting, waiting + context.cpus).unwrap_or(0.0);
        crowded.max(self.throttling.share.unwrap_or(0.0).clamp(0.0, 1.0))
    }

    /// What a verdict shows.
    #[must_use]
    pub(super) fn evidence(&self, context: &Context) -> Evidence {
        let view = &self.view;
        let velocity = self.trajectory.velocity();
        let mut evidence = Evidence {
            value: Some(self.dispersion_ms),
            baseline: self.past.dispersion.published(),
            sigma: self.past.dispersion.sigmas(self.dispersion_ms),
            rarity: self.past.dispersion.decades(self.dispersion_ms),
            velocity_per_s: velocity.map(|slope| slope.per_s),
            acceleration_per_s2: self.trajectory.acceleration_per_s2(),
            window_ms: view.window_ms,
            coverage: view.coverage,
            ..Evidence::default()
        };
        evidence.feature("velocity_error_ms_per_s", velocity.map(|slope| slope.error_per_s));
        evidence.feature("severity", self.severity(context));
        evidence.feature("crowding_evidence", self.crowding.evidence());
        evidence.feature("plain_sigma_ms", view.plain_sigma_ms);
        evidence.feature("successive_sigma_ms", self.successive.variance().sqrt());
        evidence.feature("mean_wait_ms", view.mean_wait_ms);
        evidence.feature("tail_wait_ms", view.tail_ms);
        evidence.feature("tail_wait_baseline_ms", self.past.tail.mean());
        evidence.feature("waits_per_s", view.waits_per_s);
        evidence.feature("waiting_ms_per_s", view.waiting_tasks * 1e3);
        evidence.feature("waiting_baseline_ms_per_s", self.past.waiting.mean());
        evidence.feature("waiting_share", view.waiting_share);
        evidence.feature("on_cpu_ms_per_s", view.running_tasks * 1e3);
        evidence.feature("on_cpu_baseline_ms_per_s", self.past.on_cpu.mean());
        evidence.feature("own_cpu_share", self.own_share(view, &context.second));
        evidence.feature("runnable_tasks", view.runnable_tasks());
        evidence.feature("voluntary_per_s", view.voluntary_per_s);
        evidence.feature("voluntary_baseline_per_s", self.past.voluntary.mean());
        evidence.feature("involuntary_per_s", view.involuntary_per_s);
        evidence.feature("preemptions_per_cpu_s", view.preemptions_per_cpu_s());
        evidence.feature("on_cpu_ms_per_sleep", view.run_ms());
        evidence.feature("throttled_share", self.throttling.share);
        evidence.feature("host_busy_cpus", context.second.busy);
        evidence.feature("host_run_queue_per_cpu", context.second.queue_mean);
        evidence.feature("host_run_queue_sigma", context.second.queue_sigma);
        evidence.feature("signs", self.signs.count() as f64);
        evidence
    }
}
