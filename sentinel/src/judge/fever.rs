//! Judge of page allocation: does a scope take memory and not bring it back, and when will there be none left?

use crate::{
    config::FeverConfig,
    sense::sample::{Mem, ScopeSample},
};

use super::{
    context::Context,
    evidence::{Evidence, Finding, Reading, SECOND_NS, ratio},
    sawtooth::Sawtooth,
    statistics::{
        Learn, Past,
        trajectory::Trajectory,
        trend::{Growth, Trend},
        window::{Counts, Window},
    },
    threshold::Hold,
    verdict::{Cause, Forecast, Level},
};

/// Window of the value, nanoseconds.
const WINDOW_NS: u64 = 3 * SECOND_NS;
/// A trend already looks back over ten steps; it only has to hold for two more.
const HOLD: Hold = Hold {
    watch_ns: 3 * SECOND_NS / 2,
    veto_ns: 2 * SECOND_NS,
    readings: 2,
    clear_ns: 3 * SECOND_NS,
};
/// A jump has happened when it is seen.
const HOLD_BURST: Hold = Hold {
    watch_ns: 0,
    readings: 1,
    ..HOLD
};
/// Steps of the quick and of the slow test, seconds.
const QUICK_STEP_S: f64 = 1.0;
const SLOW_STEP_S: f64 = 6.0;
/// Irregularity up to which ten quick steps are enough; a compiler at work is less regular.
const REGULAR: f64 = 0.35;
/// Share of the growth that has to be resident memory of processes: the page cache is not.
const RESIDENT_SHARE: f64 = 0.3;
/// Velocity in floors from which on a leak is one whatever the forecast.
const FAST_FLOORS: f64 = 40.0;
/// Share of the limit taken at once that is a burst.
const BURST_SHARE: f64 = 0.2;
/// Reclaim: MB/s both ways, with less than this share available.
const RECLAIM_MB_PER_S: f64 = 100.0;
const RECLAIM_AVAILABLE_SHARE: f64 = 0.05;

#[derive(Clone, Copy, Debug, Default)]
struct Pages {
    allocated: u64,
    freed: u64,
    failed: u64,
    oom_kills: u64,
}

impl Counts for Pages {
    fn add(&mut self, other: &Self) {
        self.allocated = self.allocated.saturating_add(other.allocated);
        self.freed = self.freed.saturating_add(other.freed);
        self.failed = self.failed.saturating_add(other.failed);
        self.oom_kills = self.oom_kills.saturating_add(other.oom_kills);
    }
}

/// The limits of a scope, MB.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// `memory.max`.
    pub(super) max_mb: Option<f64>,
    /// `memory.current`.
    pub(super) current_mb: Option<f64>,
}

impl Limits {
    /// Of a scope.
    #[must_use]
    pub(super) fn of(scope: &ScopeSample) -> Self {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        Self {
            max_mb: scope.memory_max_bytes.map(megabytes),
            current_mb: scope.memory_current_bytes.map(megabytes),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct View {
    velocity_mb_per_s: f64,
    allocated_mb_per_s: f64,
    freed_mb_per_s: f64,
    failed: f64,
    oom_kills: f64,
    coverage: f64,
    /// The sustained trend, when there is one.
    trend: Option<Trend>,
    resident_share: Option<f64>,
    forecast: Option<Forecast>,
    available_share: Option<f64>,
}

/// The fever of one scope.
#[derive(Clone, Debug)]
pub(super) struct Fever {
    window: Window<Pages, 6>,
    quick: Growth,
    slow: Growth,
    sawtooth: Sawtooth,
    trajectory: Trajectory,
    baseline: Past,
    is_host: bool,
    view: View,
}

impl Fever {
    /// Of a scope nothing is known of yet. The host is judged only by what all scopes together do to available memory.
    #[must_use]
    pub(super) fn new(is_host: bool) -> Self {
        Self {
            window: Window::new(WINDOW_NS),
            quick: Growth::new(QUICK_STEP_S),
            slow: Growth::new(SLOW_STEP_S),
            sawtooth: Sawtooth::default(),
            trajectory: Trajectory::default(),
            baseline: Past::new(0.05),
            is_host,
            view: View::default(),
        }
    }

    /// Takes in a reading and says what it asks for.
    pub(super) fn observe(
        &mut self,
        reading: Reading,
        mem: &Mem,
        limits: Limits,
        context: &Context,
        config: &FeverConfig,
    ) -> Finding {
        self.count(reading, mem, context, config);
        self.look(limits, context, config);
        self.trajectory.push(reading.end_ns, self.view.velocity_mb_per_s);
        let (wanted, cause) = self.judge(limits, context, config);
        let how = match wanted {
            Level::Veto => Learn::Nothing,
            Level::Watch => Learn::Slowly,
            _ => Learn::Fully,
        };
        self.baseline.learn(reading.at(), self.view.velocity_mb_per_s, how);
        let hold = if cause == Cause::Burst { HOLD_BURST } else { HOLD };
        Finding { wanted, cause, hold }
    }

    /// Net velocity, MB/s.
    #[must_use]
    pub(super) fn value(&self) -> f64 {
        self.view.velocity_mb_per_s
    }

    fn count(&mut self, reading: Reading, mem: &Mem, context: &Context, config: &FeverConfig) {
        let pages = Pages {
            allocated: mem.allocated_pages(),
            freed: mem.freed_pages(),
            failed: mem.failed,
            oom_kills: mem.oom_kills,
        };
        self.window.push(reading.end_ns, reading.elapsed_ns, &pages);
        let net_mb = (pages.allocated as f64 - pages.freed as f64) * context.page_mb;
        let resident_mb = resident_pages(mem).map(|pages| pages as f64 * context.page_mb);
        let seconds = reading.seconds();
        self.quick.push(seconds, net_mb, resident_mb);
        self.slow.push(seconds, net_mb, resident_mb);
        let least_mb = 10.0 * config.floor_mb_per_s;
        self.sawtooth.push(seconds, net_mb, mem.oom_kills > 0, least_mb);
    }

    fn look(&mut self, limits: Limits, context: &Context, config: &FeverConfig) {
        let sum = self.window.sum();
        let Some(seconds) = sum.seconds() else { return };
        let rate = |pages: u64| pages as f64 * context.page_mb / seconds;
        let (allocated, freed) = (rate(sum.counts.allocated), rate(sum.counts.freed));
        let trend = self.sustained(config);
        let resident_share = match trend {
            Some(trend) => trend.corroborating.and_then(|mb| ratio(mb, trend.total)),
            None => self.quick.corroborating().and_then(|mb| ratio(mb, self.quick.total())),
        };
        self.view = View {
            velocity_mb_per_s: allocated - freed,
            allocated_mb_per_s: allocated,
            freed_mb_per_s: freed,
            failed: sum.counts.failed as f64,
            oom_kills: sum.counts.oom_kills as f64,
            coverage: sum.coverage(),
            trend,
            resident_share,
            forecast: trend.and_then(|trend| self.forecast(&trend, limits, context)),
            available_share: context
                .available_mb
                .zip(context.total_mb)
                .and_then(|(available, total)| ratio(available, total)),
        };
    }

    /// The quick test where growth is regular and the scope not known to give back, else the slow one. Most scopes do not grow at all: they cost nothing.
    fn sustained(&self, config: &FeverConfig) -> Option<Trend> {
        let floor = config.floor_mb_per_s;
        let tested = |growth: &Growth, regular: f64| {
            if growth.total() <= 0.0 {
                return None;
            }
            let trend = growth.trend()?;
            (trend.is_sustained(floor) && trend.irregularity <= regular).then_some(trend)
        };
        let quick = tested(&self.quick, REGULAR).filter(|_| !self.sawtooth.is_known());
        quick.or_else(|| tested(&self.slow, f64::INFINITY))
    }

    /// The sooner of the scope's own limit and the host's available memory.
    fn forecast(&self, trend: &Trend, limits: Limits, context: &Context) -> Option<Forecast> {
        let own = limits
            .max_mb
            .zip(limits.current_mb)
            .map(|(max, current)| ((max - current).max(0.0), max));
        let host = context
            .available_mb
            .map(|available| (available, context.total_mb.unwrap_or(available)));
        let (left_mb, limit_mb) = match (own, host) {
            (Some(own), Some(host)) if own.0 <= host.0 => own,
            (own, host) => host.or(own)?,
        };
        Some(Forecast {
            exhaustion_s: ratio(left_mb, trend.slope_per_s)?,
            earliest_s: ratio(left_mb, trend.slope_high_per_s)?,
            latest_s: ratio(left_mb, trend.slope_low_per_s),
            limit_bytes: (limit_mb * 1e6) as u64,
        })
    }

    fn judge(&self, limits: Limits, context: &Context, config: &FeverConfig) -> (Level, Cause) {
        if let Some(trend) = &self.view.trend
            && let Some(wanted) = self.judge_trend(trend, context, config)
        {
            return (wanted, Cause::Leak);
        }
        if self.is_reclaim(limits) {
            return (Level::Watch, Cause::Reclaim);
        }
        if self.is_burst(limits, context) {
            return (Level::Watch, Cause::Burst);
        }
        (Level::Nominal, Cause::None)
    }

    /// A trend is one sign; `veto` needs a second: the growth is resident memory of processes, or, where the kernel
    /// does not tell, available memory falls with it or the forecast is near. Growth that is not resident is page cache,
    /// or pages that others free, and no sign; when available memory falls with it, the host says so.
    fn judge_trend(&self, trend: &Trend, context: &Context, config: &FeverConfig) -> Option<Level> {
        if self.sawtooth.explains_growth() {
            return None;
        }
        let falling = context
            .available_mb_per_s
            .is_some_and(|per_s| per_s < -0.5 * trend.slope_per_s);
        let near = self
            .view
            .forecast
            .is_some_and(|forecast| forecast.exhaustion_s <= config.horizon.as_secs_f64());
        let corroborated = match self.view.resident_share {
            Some(share) if share < RESIDENT_SHARE => return (self.is_host && falling).then_some(Level::Watch),
            Some(_) => true,
            None => falling || near,
        };
        let urgent = near || !self.is_host && trend.slope_per_s >= FAST_FLOORS * config.floor_mb_per_s;
        let host_agrees = !self.is_host || falling && !context.leak_named;
        let veto = corroborated && urgent && host_agrees && self.view.coverage >= 0.5;
        Some(if veto { Level::Veto } else { Level::Watch })
    }

    fn is_burst(&self, limits: Limits, context: &Context) -> bool {
        let Some(limit_mb) = limits.max_mb.or(context.total_mb) else {
            return false;
        };
        let resident = self.view.resident_share.unwrap_or(1.0) >= RESIDENT_SHARE;
        resident && self.quick.total() >= BURST_SHARE * limit_mb && !self.sawtooth.explains_growth()
    }

    fn is_reclaim(&self, limits: Limits) -> bool {
        let view = &self.view;
        let both = view.allocated_mb_per_s.min(view.freed_mb_per_s) >= RECLAIM_MB_PER_S;
        let own_share = limits
            .max_mb
            .zip(limits.current_mb)
            .and_then(|(max, current)| ratio(max - current, max));
        let scarce = |share: Option<f64>| share.is_some_and(|share| share < RECLAIM_AVAILABLE_SHARE);
        both && (scarce(own_share) || scarce(view.available_share))
    }

    /// Forgets what led up to a hole in the data; the past stays.
    pub(super) fn interrupt(&mut self) {
        self.window.clear();
        self.quick.clear();
        self.slow.clear();
        self.trajectory.clear();
        self.sawtooth = Sawtooth::default();
    }

    /// What a verdict shows.
    #[must_use]
    pub(super) fn evidence(&self, context: &Context) -> Evidence {
        let view = &self.view;
        let velocity = self.trajectory.velocity();
        let mut evidence = Evidence {
            value: Some(view.velocity_mb_per_s),
            baseline: self.baseline.published(),
            sigma: self.baseline.sigmas(view.velocity_mb_per_s),
            rarity: self.baseline.decades(view.velocity_mb_per_s),
            velocity_per_s: velocity.map(|slope| slope.per_s),
            acceleration_per_s2: self.trajectory.acceleration_per_s2(),
            forecast: view.forecast,
            window_ms: self.window.sum().span_ns / 1_000_000,
            coverage: view.coverage,
            ..Evidence::default()
        };
        evidence.feature("allocated_mb_per_s", view.allocated_mb_per_s);
        evidence.feature("freed_mb_per_s", view.freed_mb_per_s);
        evidence.feature("resident_share", view.resident_share);
        evidence.feature("allocation_failures", view.failed);
        evidence.feature("oom_kills", view.oom_kills);
        evidence.feature("give_backs", f64::from(self.sawtooth.give_backs()));
        evidence.feature("host_available_mb", context.available_mb);
        evidence.feature("host_available_mb_per_s", context.available_mb_per_s);
        evidence.feature("velocity_error_mb_per_s2", velocity.map(|slope| slope.error_per_s));
        if let Some(trend) = &view.trend {
            evidence.feature("trend_mb_per_s", trend.slope_per_s);
            evidence.feature("trend_low_mb_per_s", trend.slope_low_per_s);
            evidence.feature("trend_high_mb_per_s", trend.slope_high_per_s);
            evidence.feature("trend_total_mb", trend.total);
            evidence.feature("trend_span_s", trend.span_s);
            evidence.feature("trend_rising_share", trend.rising_share);
            evidence.feature("trend_irregularity", trend.irregularity);
        }
        evidence
    }
}

/// Net movement of anonymous and shared-memory pages; `None` where the kernel does not tell.
fn resident_pages(mem: &Mem) -> Option<i64> {
    let anonymous = mem.rss_anon_pages?;
    Some(anonymous.saturating_add(mem.rss_shmem_pages.unwrap_or(0)))
}
