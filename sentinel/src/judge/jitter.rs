//! Judge of run-queue waits: does a scope get the CPU when it wants it, and if not, who is in the way?

use crate::{config::JitterConfig, sense::sample::Sched};

use super::{
    context::Context,
    evidence::{Evidence, Finding, Reading, SECOND_NS, ratio},
    statistics::{
        Learn, Past,
        dispersion::{Successive, plain_variance},
        trajectory::Trajectory,
        window::{Counts, Window},
    },
    threshold::Hold,
    verdict::{Cause, Level},
};

/// Window, nanoseconds.
const WINDOW_NS: u64 = SECOND_NS;
/// Two ticks of a second, fifteen of 100 ms; clears after three seconds.
const HOLD: Hold = Hold {
    watch_ns: 3 * SECOND_NS / 2,
    veto_ns: 3 * SECOND_NS / 2,
    readings: 2,
    clear_ns: 3 * SECOND_NS,
};
/// Milliseconds in the unit in which waits are squared.
const SQUARED_UNIT_MS: f64 = sentinel_common::sched::WAIT_UNIT_NS as f64 / 1e6;
/// Share of runnable time spent waiting from which on tasks crowd each other: one in four.
const CROWDED_SHARE: f64 = 0.25;
/// Share below which waiting is the odd collision that every busy host has, however many milliseconds it adds up to.
const NOTICED_SHARE: f64 = 0.15;
/// Waiting this many times the baseline's is above it.
const BASELINE_FACTOR: f64 = 3.0;
/// Share of time throttled that counts.
const THROTTLED_SHARE: f64 = 0.05;
/// Runnable tasks per CPU from which on a scope alone is more than the host can run.
const OWN_CROWD: f64 = 1.2;
/// Least share of the busy CPU time for a scope to be in its own way.
const OWN_SHARE: f64 = 0.25;
/// Voluntary switches per second and CPU, and times the baseline's, that make a convoy.
const CONVOY_PER_S: f64 = 500.0;
const CONVOY_FACTOR: f64 = 5.0;

#[derive(Clone, Copy, Debug, Default)]
struct Waits {
    waits: u64,
    wait_ns: u64,
    wait_units_squared: u64,
    on_cpu_ns: u64,
    voluntary: u64,
    involuntary: u64,
    throttled_ns: u64,
}

impl Counts for Waits {
    fn add(&mut self, other: &Self) {
        self.waits = self.waits.saturating_add(other.waits);
        self.wait_ns = self.wait_ns.saturating_add(other.wait_ns);
        self.wait_units_squared = self.wait_units_squared.saturating_add(other.wait_units_squared);
        self.on_cpu_ns = self.on_cpu_ns.saturating_add(other.on_cpu_ns);
        self.voluntary = self.voluntary.saturating_add(other.voluntary);
        self.involuntary = self.involuntary.saturating_add(other.involuntary);
        self.throttled_ns = self.throttled_ns.saturating_add(other.throttled_ns);
    }
}

/// What the window shows. Milliseconds and shares.
#[derive(Clone, Copy, Debug, Default)]
struct View {
    dispersion_ms: f64,
    plain_sigma_ms: f64,
    successive_sigma_ms: f64,
    mean_wait_ms: f64,
    waits_per_s: f64,
    waiting_ms_per_s: f64,
    on_cpu_ms_per_s: f64,
    waiting_share: Option<f64>,
    own_cpu_share: Option<f64>,
    voluntary_per_s: f64,
    involuntary_per_s: f64,
    throttled_share: f64,
    throttled_known: bool,
    runnable_tasks: f64,
    coverage: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Signs {
    dispersion: bool,
    waiting: bool,
    crowded: bool,
    queue: bool,
    throttled: bool,
    convoy: bool,
}

impl Signs {
    fn count(&self) -> usize {
        let all = [
            self.dispersion,
            self.waiting,
            self.crowded,
            self.queue,
            self.throttled,
            self.convoy,
        ];
        all.into_iter().filter(|sign| *sign).count()
    }
}

/// The jitter of one scope.
#[derive(Clone, Debug)]
pub(super) struct Jitter {
    window: Window<Waits, 10>,
    second: Waits,
    second_ns: u64,
    successive: Successive,
    trajectory: Trajectory,
    dispersion: Past,
    waiting: Past,
    voluntary: Past,
    on_cpu: Past,
    view: View,
    signs: Signs,
}

impl Default for Jitter {
    fn default() -> Self {
        Self {
            window: Window::new(WINDOW_NS),
            second: Waits::default(),
            second_ns: 0,
            successive: Successive::default(),
            trajectory: Trajectory::default(),
            dispersion: Past::new(0.05),
            waiting: Past::new(5.0),
            voluntary: Past::new(10.0),
            on_cpu: Past::new(5.0),
            view: View::default(),
            signs: Signs::default(),
        }
    }
}

impl Jitter {
    /// Takes in a reading and says what it asks for.
    pub(super) fn observe(
        &mut self,
        reading: Reading,
        sched: &Sched,
        throttled_ns: Option<u64>,
        context: &Context,
        config: &JitterConfig,
    ) -> Finding {
        self.count(reading, sched, throttled_ns);
        self.look(context);
        self.view.throttled_known = throttled_ns.is_some();
        self.trajectory.push(reading.end_ns, self.view.dispersion_ms);
        self.signs = self.signs(reading, context, config);
        let (wanted, cause) = self.judge(context);
        self.learn(reading, wanted);
        Finding {
            wanted,
            cause,
            hold: HOLD,
        }
    }

    /// Dispersion of waits, milliseconds.
    #[must_use]
    pub(super) fn value(&self) -> f64 {
        self.view.dispersion_ms
    }

    /// Milliseconds of waiting per second.
    #[must_use]
    pub(super) fn waiting_ms_per_s(&self) -> f64 {
        self.view.waiting_ms_per_s
    }

    fn count(&mut self, reading: Reading, sched: &Sched, throttled_ns: Option<u64>) {
        let waits = Waits {
            waits: sched.waits,
            wait_ns: sched.wait_ns,
            wait_units_squared: sched.wait_units_squared,
            on_cpu_ns: sched.on_cpu_ns,
            voluntary: sched.voluntary,
            involuntary: sched.involuntary,
            throttled_ns: throttled_ns.unwrap_or(0),
        };
        self.window.push(reading.end_ns, reading.elapsed_ns, &waits);
        self.second.add(&waits);
        self.second_ns += reading.elapsed_ns;
        if self.second_ns >= SECOND_NS / 20 * 19 {
            let mean = ratio(self.second.wait_ns as f64 / 1e6, self.second.waits as f64);
            self.successive.push(mean.unwrap_or(0.0));
            self.second = Waits::default();
            self.second_ns = 0;
        }
    }

    fn look(&mut self, context: &Context) {
        let sum = self.window.sum();
        let Some(seconds) = sum.seconds() else { return };
        let counts = sum.counts;
        let (waits, wait_ms) = (counts.waits as f64, counts.wait_ns as f64 / 1e6);
        let on_cpu_ms = counts.on_cpu_ns as f64 / 1e6;
        let squares = counts.wait_units_squared as f64 * SQUARED_UNIT_MS * SQUARED_UNIT_MS;
        let plain = plain_variance(waits, wait_ms, squares);
        let successive = self.successive.variance();
        self.view = View {
            dispersion_ms: (plain + successive).sqrt(),
            plain_sigma_ms: plain.sqrt(),
            successive_sigma_ms: successive.sqrt(),
            mean_wait_ms: ratio(wait_ms, waits).unwrap_or(0.0),
            waits_per_s: waits / seconds,
            waiting_ms_per_s: wait_ms / seconds,
            on_cpu_ms_per_s: on_cpu_ms / seconds,
            waiting_share: ratio(wait_ms, wait_ms + on_cpu_ms),
            own_cpu_share: context
                .on_cpu_s_per_s
                .and_then(|used| ratio(on_cpu_ms / seconds, used * 1e3)),
            voluntary_per_s: counts.voluntary as f64 / seconds,
            involuntary_per_s: counts.involuntary as f64 / seconds,
            throttled_share: counts.throttled_ns as f64 / 1e9 / seconds,
            throttled_known: false,
            runnable_tasks: (wait_ms + on_cpu_ms) / seconds / 1e3,
            coverage: sum.coverage(),
        };
    }

    /// The signs, all of them only where tasks wait more than the floor, and for a noticeable share of the time that
    /// they want a CPU: variance of what hardly happens is no news.
    fn signs(&self, reading: Reading, context: &Context, config: &JitterConfig) -> Signs {
        let view = &self.view;
        let noticed = view.waiting_ms_per_s >= config.floor_ms_per_s * context.cpus
            && view.waiting_share.is_some_and(|share| share >= NOTICED_SHARE);
        if !noticed {
            return Signs::default();
        }
        let usual = self.waiting.mean().unwrap_or(0.0);
        Signs {
            dispersion: self.dispersion.exceeded(
                reading.at(),
                view.dispersion_ms,
                config.sigma,
                context.calibration.paired(),
            ),
            waiting: view.waiting_ms_per_s > BASELINE_FACTOR * usual,
            crowded: view.waiting_share.is_some_and(|share| share > CROWDED_SHARE),
            queue: context.queue_is_long(),
            throttled: view.throttled_share >= THROTTLED_SHARE,
            convoy: self.is_convoy(context),
        }
    }

    fn is_convoy(&self, context: &Context) -> bool {
        let (Some(switches), Some(on_cpu)) = (self.voluntary.mean(), self.on_cpu.mean()) else {
            return false;
        };
        let often = self.view.voluntary_per_s > CONVOY_PER_S * context.cpus
            && self.view.voluntary_per_s > CONVOY_FACTOR * switches;
        often && self.view.on_cpu_ms_per_s < 1.2 * on_cpu.max(1.0)
    }

    /// `veto` needs two signs, one of them that tasks do crowd (a step of load raises variance and waiting by itself),
    /// and a CPU that has no more to give. A scope that others starve is the victim: the verdict that pages names them.
    fn judge(&self, context: &Context) -> (Level, Cause) {
        let signs = &self.signs;
        if signs.count() == 0 {
            return (Level::Nominal, Cause::None);
        }
        let cause = self.cause(context);
        let crowd = signs.crowded || signs.queue;
        let no_more = context.is_saturated() || signs.throttled || signs.convoy;
        let own = !matches!(cause, Cause::Starved | Cause::Undetermined);
        let wanted = if signs.count() >= 2 && crowd && no_more && own && self.view.coverage >= 0.5 {
            Level::Veto
        } else {
            Level::Watch
        };
        (wanted, cause)
    }

    fn cause(&self, context: &Context) -> Cause {
        let view = &self.view;
        let own_share = view.own_cpu_share.unwrap_or(0.0);
        if self.signs.throttled {
            Cause::Throttled
        } else if self.signs.crowded && view.runnable_tasks > OWN_CROWD * context.cpus && own_share >= OWN_SHARE {
            Cause::Thrash
        } else if self.signs.convoy {
            Cause::Convoy
        } else if self.signs.crowded && own_share < 0.5 {
            Cause::Starved
        } else {
            Cause::Undetermined
        }
    }

    fn learn(&mut self, reading: Reading, wanted: Level) {
        let how = match wanted {
            Level::Veto => Learn::Nothing,
            Level::Watch if self.waiting.is_ready() || self.signs.crowded => Learn::Slowly,
            _ => Learn::Fully,
        };
        let at = reading.at();
        self.dispersion.learn(at, self.view.dispersion_ms, how);
        self.waiting.learn(at, self.view.waiting_ms_per_s, how);
        self.voluntary.learn(at, self.view.voluntary_per_s, how);
        self.on_cpu.learn(at, self.view.on_cpu_ms_per_s, how);
    }

    /// Forgets what led up to a hole in the data; the past stays.
    pub(super) fn interrupt(&mut self) {
        self.window.clear();
        self.trajectory.clear();
        self.successive = Successive::default();
        self.second = Waits::default();
        self.second_ns = 0;
    }

    /// What a verdict shows.
    #[must_use]
    pub(super) fn evidence(&self, context: &Context) -> Evidence {
        let view = &self.view;
        let velocity = self.trajectory.velocity();
        let mut evidence = Evidence {
            value: Some(view.dispersion_ms),
            baseline: self.dispersion.published(),
            sigma: self.dispersion.sigmas(view.dispersion_ms),
            rarity: self.dispersion.decades(view.dispersion_ms),
            velocity_per_s: velocity.map(|slope| slope.per_s),
            acceleration_per_s2: self.trajectory.acceleration_per_s2(),
            window_ms: self.window.sum().span_ns / 1_000_000,
            coverage: view.coverage,
            ..Evidence::default()
        };
        evidence.feature("velocity_error_ms_per_s", velocity.map(|slope| slope.error_per_s));
        evidence.feature("plain_sigma_ms", view.plain_sigma_ms);
        evidence.feature("successive_sigma_ms", view.successive_sigma_ms);
        evidence.feature("mean_wait_ms", view.mean_wait_ms);
        evidence.feature("waits_per_s", view.waits_per_s);
        evidence.feature("waiting_ms_per_s", view.waiting_ms_per_s);
        evidence.feature("waiting_baseline_ms_per_s", self.waiting.mean());
        evidence.feature("waiting_share", view.waiting_share);
        evidence.feature("on_cpu_ms_per_s", view.on_cpu_ms_per_s);
        evidence.feature("own_cpu_share", view.own_cpu_share);
        evidence.feature("runnable_tasks", view.runnable_tasks);
        evidence.feature("voluntary_per_s", view.voluntary_per_s);
        evidence.feature("involuntary_per_s", view.involuntary_per_s);
        let throttled = view.throttled_known.then_some(view.throttled_share);
        evidence.feature("throttled_share", throttled);
        evidence.feature("host_busy_cpus", context.on_cpu_s_per_s);
        evidence.feature("host_run_queue_per_cpu", context.queue_mean);
        evidence.feature("signs", self.signs.count() as f64);
        evidence
    }
}
