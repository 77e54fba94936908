//! Judge of page allocation: does a scope take memory and not bring it back, and when will there be none left?
//!
//! What is judged is memory resident in processes (`growth`), less what comes and goes (`teeth`); page counts and what
//! is left are witnesses. When it will be gone is a forecast with an interval (`forecast`) and a record (`score`).

mod forecast;
mod growth;
mod limits;
mod score;
mod signs;
mod teeth;

pub(super) use growth::OverHorizons;
pub(super) use limits::Limits;

use crate::{config::FeverConfig, sense::sample::Mem};

use super::{
    context::Context,
    evidence::{Evidence, Finding, PARTS, Reading, SECOND_NS, ratio},
    learned::{Kept, KeptMut},
    statistics::{
        Learn, Past,
        steps::Change,
        trajectory::Trajectory,
        trend::Trend,
        window::{Counts, Window},
    },
    threshold::Hold,
    verdict::{self, Cause, Level},
};

use self::{
    forecast::{Course, Grounds},
    growth::{Demand, Growth, Sustained},
    limits::Room,
    score::Record,
    signs::Trial,
    teeth::Teeth,
};

/// Window of the value, nanoseconds.
const WINDOW_NS: u64 = 3 * SECOND_NS;
/// A trend already looks back over eight steps and more; it only has to hold a little longer.
const HOLD: Hold = Hold {
    watch_ns: 3 * SECOND_NS / 2,
    veto_ns: 2 * SECOND_NS,
    readings: 2,
    clear_ns: 3 * SECOND_NS,
};
/// A jump that is given back at once is none.
const HOLD_BURST: Hold = Hold {
    watch_ns: 3 * SECOND_NS,
    readings: 1,
    ..HOLD
};
/// What appears while the agent runs starts, and grows for that, for this long, seconds.
const START_S: f64 = 120.0;
/// The same of what was there before: perhaps it started just then.
const UNKNOWN_START_S: f64 = 25.0;
/// A trend that was not seen for this long is over, seconds.
const OVER_S: f64 = 10.0;
/// Or for this share of the time it was seen.
const OVER_SHARE: f64 = 0.25;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pages {
    allocated: u64,
    freed: u64,
    oom_kills: u64,
}

impl Counts for Pages {
    fn add(&mut self, other: &Self) {
        self.allocated = self.allocated.saturating_add(other.allocated);
        self.freed = self.freed.saturating_add(other.freed);
        self.oom_kills = self.oom_kills.saturating_add(other.oom_kills);
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct View {
    velocity_mb_per_s: f64,
    allocated_mb_per_s: f64,
    freed_mb_per_s: f64,
    oom_kills: f64,
    coverage: f64,
    /// What is left and of how much.
    room: Option<Room>,
    /// The sustained trend, when there is one.
    trend: Option<Sustained>,
    /// Where it leads.
    course: Option<Course>,
    /// It was seen for long enough to say so.
    forecast: bool,
}

/// How long there has been a trend, seconds.
#[derive(Clone, Copy, Debug)]
struct Seen {
    since_s: f64,
    last_s: f64,
    /// Level it began at, and the highest since, MB.
    base_mb: f64,
    peak_mb: f64,
}

/// The fever of one scope.
#[derive(Clone, Debug)]
pub(super) struct Fever {
    window: Window<Pages, 6>,
    growth: Growth,
    teeth: Teeth,
    /// Made with the first forecast.
    record: Option<Box<Record>>,
    trajectory: Trajectory,
    baseline: Past,
    is_host: bool,
    /// For how much longer it is expected to grow because it starts, seconds.
    young_s: f64,
    now_s: f64,
    seen: Option<Seen>,
    /// What was left at the reading before.
    room_before: Option<Room>,
    view: View,
}

impl Fever {
    /// What is kept over a restart.
    pub(super) fn kept(&self) -> Kept<'_> {
        vec![("fever.velocity", &self.baseline)]
    }

    /// The same, to take back what was known.
    pub(super) fn kept_mut(&mut self) -> KeptMut<'_> {
        vec![("fever.velocity", &mut self.baseline)]
    }

    /// Of a scope nothing is known of yet. The host is judged by its available memory. `newborn`: it appeared while the agent ran.
    #[must_use]
    pub(super) fn new(is_host: bool, newborn: bool) -> Self {
        Self {
            window: Window::new(WINDOW_NS),
            growth: Growth::new(),
            teeth: Teeth::default(),
            record: None,
            trajectory: Trajectory::default(),
            baseline: Past::new(0.05),
            is_host,
            young_s: if newborn { START_S } else { UNKNOWN_START_S },
            now_s: 0.0,
            seen: None,
            room_before: None,
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
        self.count(reading, mem, limits, context, config);
        self.look(reading.seconds(), context);
        for (end_ns, _) in reading.parts(PARTS) {
            self.trajectory.push(end_ns, self.view.velocity_mb_per_s);
        }
        let (wanted, cause) = self.trial(limits, context, config).verdict();
        let foreseen = cause == Cause::Leak
            && self.view.trend.zip(self.view.course).is_some_and(|(trend, course)| {
                self.trial(limits, context, config)
                    .is_foreseeable(&trend, course.exhaustion_s)
            });
        self.follow(mem, foreseen);
        let how = match wanted {
            Level::Veto => Learn::Nothing,
            Level::Watch => Learn::Slowly,
            _ => Learn::Fully,
        };
        self.baseline.learn(reading.at(), self.view.velocity_mb_per_s, how);
        let hold = if cause == Cause::Burst { HOLD_BURST } else { HOLD };
        Finding { wanted, cause, hold }
    }

    /// Gives memory back that it needs only while something happens.
    pub(super) fn release(&mut self) {
        self.window.release();
        self.trajectory.release();
        self.growth.release();
    }

    /// Whether nothing of what happened is left in what it looks at: no page moves, no trend is followed, and no forecast
    /// waits to be scored.
    #[must_use]
    pub(super) fn is_at_rest(&self) -> bool {
        let view = &self.view;
        (view.allocated_mb_per_s, view.freed_mb_per_s) == (0.0, 0.0)
            && view.trend.is_none()
            && self.seen.is_none()
            && self.record.as_ref().is_none_or(|record| record.is_settled())
    }

    /// Net velocity, MB/s.
    #[must_use]
    pub(super) fn value(&self) -> f64 {
        self.view.velocity_mb_per_s
    }

    /// Rise of resident memory over each horizon, MB.
    #[must_use]
    pub(super) fn over_horizons(&self) -> OverHorizons {
        self.growth.over_horizons()
    }

    fn count(&mut self, reading: Reading, mem: &Mem, limits: Limits, context: &Context, config: &FeverConfig) {
        let pages = Pages {
            allocated: mem.allocated_pages,
            freed: mem.freed_pages,
            oom_kills: mem.oom_kills,
        };
        for (end_ns, elapsed_ns) in reading.parts(PARTS) {
            self.window.push(end_ns, elapsed_ns, &pages);
        }
        let seconds = reading.seconds();
        self.young_s -= seconds;
        self.now_s = reading.end_ns as f64 / 1e9;
        let room = limits.nearest(context);
        let before = std::mem::replace(&mut self.room_before, room);
        let used_mb = before
            .zip(room)
            .filter(|(before, room)| before.is_host == room.is_host)
            .map(|(before, room)| before.left_mb - room.left_mb);
        let net_mb = (pages.allocated as f64 - pages.freed as f64) * context.page_mb;
        let resident_mb = resident_pages(mem).map(|pages| pages as f64 * context.page_mb);
        let change = match (self.is_host, used_mb, resident_mb) {
            (true, Some(used_mb), _) => Change {
                seconds,
                level: used_mb,
                // Page counts hold the page cache too, and what is available falls a little as that fills.
                witnesses: [resident_mb.or(Some(net_mb)), None],
            },
            (_, used_mb, Some(resident_mb)) => Change {
                seconds,
                level: resident_mb,
                witnesses: [Some(net_mb), used_mb],
            },
            (_, used_mb, None) => Change {
                seconds,
                level: net_mb,
                witnesses: [None, used_mb],
            },
        };
        let demand = Demand {
            floor_mb_per_s: config.floor_mb_per_s,
            sigmas: context.calibration.paired_sigmas(),
        };
        let (bulk, part, parts) = change.split(reading.readings, PARTS);
        bulk.iter()
            .chain(std::iter::repeat_n(&part, parts))
            .for_each(|change| self.growth.push(change, demand));
        self.teeth.push(seconds, change.level, mem.oom_kills > 0);
        self.view.room = room;
    }

    fn look(&mut self, elapsed_s: f64, context: &Context) {
        let sum = self.window.sum();
        let Some(seconds) = sum.seconds() else { return };
        let rate = |pages: u64| pages as f64 * context.page_mb / seconds;
        let (allocated, freed) = (rate(sum.counts.allocated), rate(sum.counts.freed));
        let trend = self.growth.sustained(&self.teeth);
        self.see(elapsed_s, trend.as_ref());
        let course = trend.zip(self.view.room).and_then(|(trend, room)| {
            let grounds = Grounds {
                trend: self.best(&trend),
                latest: self.growth.shown(&trend),
                seen_s: self.seen_s(&trend),
                widened: self.record.as_ref().map_or(1.0, |record| record.widened()),
            };
            Course::of(&grounds, &room)
        });
        self.view = View {
            velocity_mb_per_s: allocated - freed,
            allocated_mb_per_s: allocated,
            freed_mb_per_s: freed,
            oom_kills: sum.counts.oom_kills as f64,
            coverage: sum.coverage(),
            room: self.view.room,
            trend,
            course,
            forecast: false,
        };
    }

    fn see(&mut self, elapsed_s: f64, trend: Option<&Sustained>) {
        let (now_s, level_mb) = (self.now_s, self.teeth.level_mb());
        if let Some(trend) = trend {
            let span_s = self.growth.shown(trend).span_s;
            let seen = self.seen.get_or_insert(Seen {
                since_s: now_s - span_s,
                last_s: now_s,
                base_mb: level_mb - self.growth.shown(trend).total,
                peak_mb: level_mb,
            });
            seen.last_s = now_s;
            seen.peak_mb = seen.peak_mb.max(level_mb);
        } else {
            // A pause is no end, and neither is a tooth; what gives back half of it is.
            self.seen = self.seen.filter(|seen| {
                let pause_s = OVER_S.max(elapsed_s).max(OVER_SHARE * (seen.last_s - seen.since_s));
                let held = level_mb - seen.base_mb >= 0.5 * (seen.peak_mb - seen.base_mb);
                now_s - seen.last_s <= pause_s && held
            });
        }
    }

    /// How long there has been this trend, seconds, as far as the longer horizons bear that out.
    fn seen_s(&self, trend: &Sustained) -> f64 {
        let seen_s = self.seen.map_or(0.0, |seen| self.now_s - seen.since_s);
        seen_s.min(self.growth.borne_out_s(trend))
    }

    fn best(&self, trend: &Sustained) -> Trend {
        let left_mb = self.view.room.map_or(0.0, |room| room.left_mb);
        self.growth.best(trend, self.seen_s(trend), left_mb)
    }

    fn trial<'a>(&'a self, limits: Limits, context: &'a Context, config: &'a FeverConfig) -> Trial<'a> {
        Trial {
            view: &self.view,
            is_host: self.is_host,
            seen_s: self.view.trend.map_or(0.0, |trend| self.seen_s(&trend)),
            rests_on: self.view.trend.map(|trend| self.best(&trend)).unwrap_or_default(),
            is_young: self.young_s > 0.0,
            growth: &self.growth,
            teeth: &self.teeth,
            limits,
            context,
            config,
        }
    }

    /// A forecast that is made is remembered, and scored later.
    fn follow(&mut self, mem: &Mem, foreseen: bool) {
        let above_mb = self.view.trend.map_or(0.0, |trend| self.best(&trend).above);
        if let Some(record) = &mut self.record {
            record.observe(self.now_s, self.view.room.as_ref(), above_mb, mem.oom_kills > 0);
        }
        self.view.forecast = foreseen;
        if let Some((course, room)) = self.view.course.zip(self.view.room).filter(|_| foreseen) {
            self.record.get_or_insert_default().speak(self.now_s, course, room);
        }
    }

    /// Forgets what led up to a hole in the data; the past stays.
    pub(super) fn interrupt(&mut self) {
        self.window.clear();
        self.growth.interrupt();
        self.teeth.interrupt();
        self.trajectory.clear();
        self.room_before = None;
        self.seen = None;
    }

    fn forecast(&self) -> Option<verdict::Forecast> {
        let (course, room) = self.view.course.zip(self.view.room).filter(|_| self.view.forecast)?;
        Some(verdict::Forecast {
            exhaustion_s: course.exhaustion_s,
            earliest_s: course.earliest_s,
            latest_s: course.latest_s,
            limit_bytes: (room.limit_mb * 1e6) as u64,
            score: self.record.as_ref().and_then(|record| record.published()),
        })
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
            forecast: self.forecast(),
            window_ms: self.window.sum().span_ns / 1_000_000,
            coverage: view.coverage,
            ..Evidence::default()
        };
        evidence.feature("allocated_mb_per_s", view.allocated_mb_per_s);
        evidence.feature("freed_mb_per_s", view.freed_mb_per_s);
        evidence.feature("oom_kills", view.oom_kills);
        evidence.feature("left_mb", view.room.map(|room| room.left_mb));
        evidence.feature("taken_of_late_mb", self.growth.of_late());
        evidence.feature("host_available_mb", context.available_mb);
        evidence.feature("host_available_mb_per_s", context.available_mb_per_s);
        evidence.feature("velocity_error_mb_per_s2", velocity.map(|slope| slope.error_per_s));
        if let Some(trend) = &view.trend {
            self.trend_evidence(trend, &mut evidence);
        }
        evidence
    }

    fn trend_evidence(&self, trend: &Sustained, evidence: &mut Evidence) {
        let (shown, best) = (self.growth.shown(trend), self.best(trend));
        let slope_per_s = self.view.course.map_or(best.slope_per_s, |course| course.curve.slope);
        evidence.feature("trend_mb_per_s", slope_per_s);
        evidence.feature("trend_error_mb_per_s", best.error_per_s);
        evidence.feature("trend_mb_per_s2", self.view.course.map(|course| course.curve.bend));
        evidence.feature("trend_total_mb", shown.total);
        evidence.feature("trend_span_s", shown.span_s);
        evidence.feature("trend_horizon_s", best.span_s);
        evidence.feature("trend_seen_s", self.seen_s(trend));
        evidence.feature("trend_sigmas", shown.significance());
        evidence.feature("trend_concordance", shown.concordance);
        evidence.feature("trend_irregularity", shown.irregularity);
        evidence.feature("comes_and_goes_mb", best.height);
        let [first, second] = shown.witnesses;
        evidence.feature("page_share", first.and_then(|mb| ratio(mb, shown.total)));
        evidence.feature("used_share", second.and_then(|mb| ratio(mb, shown.total)));
        if let Some(falls) = &trend.falls {
            evidence.feature("falls", f64::from(falls.count));
            evidence.feature("falls_period_s", falls.period_s);
        }
    }
}

/// Net movement of anonymous and shared-memory pages; `None` where the kernel does not tell.
fn resident_pages(mem: &Mem) -> Option<i64> {
    let anonymous = mem.rss_anon_pages?;
    Some(anonymous.saturating_add(mem.rss_shmem_pages.unwrap_or(0)))
}
