//! From what is known of one reading to a level and a cause. Remembers nothing.

use crate::{
    config::FeverConfig,
    judge::{
        context::Context,
        evidence::ratio,
        statistics::{steps::STEPS, trend::Trend},
        verdict::{Cause, Level},
    },
};

use super::{
    View,
    growth::{Growth, Sustained, TEETH_PER_STEP, USED},
    limits::{Limits, Room},
    teeth::{Falls, Teeth},
};

/// Share of the rise that page counts have to confirm: a fork maps pages twice without taking any.
const PAGE_SHARE: f64 = 0.3;
/// Share of the rise that what is left has to confirm.
const USED_SHARE: f64 = 0.5;
/// The same where only pages are counted, files among them, and of the host: what is available falls a little as the page cache
/// fills, which is no leak.
const OF_PAGES_SHARE: f64 = 0.7;
/// Exhaustion sooner than this is a matter of minutes, seconds: 1 part in 25 of the time there is must have been seen.
const SOON_S: f64 = 360.0;
const SOON_PARTS: f64 = 25.0;
/// Else a quarter of it, and longer than a cache takes to warm up, seconds: what has lasted for long goes on for long.
const LATER_PARTS: f64 = 4.0;
const WARM_UP_S: f64 = 150.0;
/// Growth spread over many scopes is no single cache: less will do.
const SPREAD_PARTS: f64 = 60.0;
/// A scope that just appeared grows because it starts: half of the time there is, and half a minute.
const YOUNG_PARTS: f64 = 2.0;
const YOUNG_S: f64 = 30.0;
/// `watch` needs half of that, at most this many seconds, and an end within a week; a scope that just appeared the half too.
const WATCH_PARTS: f64 = 8.0;
const WATCH_S: f64 = 320.0;
const WATCH_YOUNG_PARTS: f64 = 4.0;
/// Who takes this share of the limit within the shortest horizon loads its data: as much time as is left must have been seen.
const BULK_SHARE: f64 = 0.1;
const BULK_MB_PER_S: f64 = 100.0;
/// With less than this share of the host left its own fall is sign enough.
const SCARCE_SHARE: f64 = 0.1;
const WEEK_S: f64 = 604_800.0;
/// What comes and goes has to rise for as long as is left, or for this many times the time between two falls.
const FALLS: f64 = 4.0;
/// The same where it fell by this share of that at least so often.
const SMALLER: f64 = 0.5;
const HABIT: u16 = 3;
/// A scope that comes down of itself and is now above where it did so before is only vetoed this close to the end.
const NEAR_S: f64 = 60.0;
/// Share of the host's rise in one scope from which on it is that scope's own affair.
const ONE_SCOPE: f64 = 0.5;
/// The shortest horizon, seconds, and a rise that stands out of any noise in it, MB.
const SHORTEST_S: f64 = 12.0;
const SHOWS_MB: f64 = 20.0;
/// Share of the limit taken at once that is a burst.
const BURST_SHARE: f64 = 0.25;
/// Reclaim: MB/s both ways, with less than this share available.
const RECLAIM_MB_PER_S: f64 = 100.0;
const RECLAIM_SHARE: f64 = 0.05;

/// All that one reading is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial<'a> {
    pub(super) view: &'a View,
    pub(super) is_host: bool,
    pub(super) seen_s: f64,
    /// The trend that the forecast rests on; of no meaning without one.
    pub(super) rests_on: Trend,
    pub(super) is_young: bool,
    pub(super) growth: &'a Growth,
    pub(super) teeth: &'a Teeth,
    pub(super) limits: Limits,
    pub(super) context: &'a Context,
    pub(super) config: &'a FeverConfig,
}

impl Trial<'_> {
    /// The level it asks for, and why.
    #[must_use]
    pub(super) fn verdict(&self) -> (Level, Cause) {
        if let Some(trend) = &self.view.trend
            && let Some(wanted) = self.leak(trend)
        {
            return (wanted, Cause::Leak);
        }
        if self.is_reclaim() {
            return (Level::Watch, Cause::Reclaim);
        }
        if self.is_burst() {
            return (Level::Watch, Cause::Burst);
        }
        (Level::Nominal, Cause::None)
    }

    /// A trend is one sign. The second: page counts, or what is left, moved with it. Without either it is no leak.
    fn leak(&self, trend: &Sustained) -> Option<Level> {
        if !self.is_confirmed(trend) || self.is_host && self.is_one_scope(trend) {
            return None;
        }
        let Some(course) = &self.view.course else {
            // No limit is known, or it is levelling off.
            return self.view.room.is_none().then_some(Level::Watch);
        };
        let exhaustion_s = course.exhaustion_s;
        if exhaustion_s > WEEK_S || !self.is_seen(exhaustion_s) {
            return None;
        }
        let falls = trend
            .falls
            .filter(|_| !trend.is_free_of_teeth())
            .or_else(|| self.smaller_falls(trend));
        if falls.is_some_and(|falls| self.seen_s < exhaustion_s.min(FALLS * falls.period_s)) {
            return None;
        }
        let urgent = exhaustion_s <= self.config.horizon.as_secs_f64()
            && self.is_foreseeable(trend, exhaustion_s)
            && (self.is_settled(trend) && self.is_moving(trend) || exhaustion_s <= NEAR_S);
        let named = self.is_host && self.context.leak_named;
        let veto = urgent && !named && self.view.coverage >= 0.5;
        Some(if veto { Level::Veto } else { Level::Watch })
    }

    /// What came down by a good part of this rise before, again and again, may be about to do so at a size that was not seen yet.
    fn smaller_falls(&self, trend: &Sustained) -> Option<Falls> {
        let shown = self.growth.shown(trend);
        let falls = self.teeth.of(SMALLER * shown.total)?;
        (falls.count >= HABIT && shown.step_s < TEETH_PER_STEP * falls.period_s).then_some(falls)
    }

    /// A trend was seen for long enough to be worth a look.
    fn is_seen(&self, exhaustion_s: f64) -> bool {
        if self.is_bulk() {
            return self.growth.goes_on_now() && self.seen_s.min(self.bulk_s()) >= exhaustion_s;
        }
        self.seen_s >= self.watch_needs_s(exhaustion_s)
    }

    /// How long that is, seconds.
    fn watch_needs_s(&self, exhaustion_s: f64) -> f64 {
        if self.is_young {
            return YOUNG_S.max(exhaustion_s / WATCH_YOUNG_PARTS);
        }
        let parts = match self.is_host {
            true => SPREAD_PARTS,
            false if exhaustion_s <= SOON_S => SOON_PARTS,
            false => WATCH_PARTS,
        };
        WATCH_S.min(exhaustion_s / parts)
    }

    /// True when a trend was seen for long enough to say when it ends.
    #[must_use]
    pub(super) fn is_foreseeable(&self, trend: &Sustained, exhaustion_s: f64) -> bool {
        if !trend.is_free_of_teeth() {
            return exhaustion_s <= NEAR_S;
        }
        let needs_s = if self.is_host {
            exhaustion_s / SPREAD_PARTS
        } else if self.is_young {
            YOUNG_S.max(exhaustion_s / YOUNG_PARTS)
        } else if exhaustion_s <= SOON_S {
            exhaustion_s / SOON_PARTS
        } else {
            WARM_UP_S.max(exhaustion_s / LATER_PARTS)
        };
        self.seen_s >= needs_s
    }

    /// It takes memory as fast as a program that loads its data.
    fn is_bulk(&self) -> bool {
        let limit_mb = self.view.room.map(|room| room.limit_mb);
        let slope_per_s = self.view.course.map_or(0.0, |course| course.curve.slope);
        limit_mb.is_some_and(|limit_mb| self.growth.of_late() >= BULK_SHARE * limit_mb) && slope_per_s >= BULK_MB_PER_S
    }

    /// How long it has taken as fast as it does now, seconds, at most a minute: what it took before at another pace says nothing.
    fn bulk_s(&self) -> f64 {
        let slope_per_s = self.view.course.map_or(f64::INFINITY, |course| course.curve.slope);
        self.growth.over_a_minute() / slope_per_s
    }

    /// It was seen for as long as its horizon: its slope is worth a forecast.
    fn is_settled(&self, trend: &Sustained) -> bool {
        !trend.is_of_shortest() || self.seen_s >= STEPS as f64 * self.growth.shown(trend).step_s
    }

    /// It rises in these seconds too, where that would show: what just stopped is not to be vetoed.
    fn is_moving(&self, trend: &Sustained) -> bool {
        let shown = self.growth.shown(trend);
        let expected_mb = shown.slope_per_s * SHORTEST_S;
        let shows = expected_mb >= SHOWS_MB.max(2.0 * shown.height);
        !shows || self.growth.of_late() >= 0.1 * expected_mb
    }

    fn is_confirmed(&self, trend: &Sustained) -> bool {
        let shown = self.growth.shown(trend);
        let [pages, used] = shown.witnesses;
        let confirms = |moved: Option<f64>, of: &Trend, share: f64| moved.is_some_and(|mb| mb >= share * of.total);
        let room = self.view.room;
        if self.is_host && room.is_some_and(|room| room.is_host && room.share() < SCARCE_SHARE) {
            return true;
        }
        if pages.is_some() {
            let share = if self.is_host { OF_PAGES_SHARE } else { PAGE_SHARE };
            return confirms(pages, &shown, share) || confirms(used, &shown, USED_SHARE);
        }
        // Pages are the level itself: what is left has to move with it over all that the forecast rests on, where it is known.
        let moves = |trend: &Trend| confirms(trend.witnesses[USED], trend, OF_PAGES_SHARE);
        room.is_none() || moves(&shown) && moves(&self.rests_on)
    }

    /// The host's rise is mostly one scope's, which has a judge of its own.
    fn is_one_scope(&self, trend: &Sustained) -> bool {
        let most_mb = self.growth.over_shown(trend, &self.context.most_grown_mb);
        most_mb >= ONE_SCOPE * self.growth.over_shown(trend, &self.growth.over_horizons())
    }

    fn is_burst(&self) -> bool {
        let limit_mb = self.limits.own().map(|room| room.limit_mb).or(self.context.total_mb);
        let taken_mb = self.growth.of_late();
        let one_scope = self.is_host && self.context.most_grown_mb[0] >= ONE_SCOPE * taken_mb;
        limit_mb.is_some_and(|limit_mb| taken_mb >= BURST_SHARE * limit_mb)
            && self.teeth.of(taken_mb).is_none()
            && self
                .growth
                .used_of_late()
                .is_none_or(|used_mb| used_mb >= USED_SHARE * taken_mb)
            && !one_scope
    }

    fn is_reclaim(&self) -> bool {
        let view = self.view;
        let both = view.allocated_mb_per_s.min(view.freed_mb_per_s) >= RECLAIM_MB_PER_S;
        let scarce = |room: &Room| room.free_share < RECLAIM_SHARE;
        let host_share = self
            .context
            .available_mb
            .zip(self.context.total_mb)
            .and_then(|(available, total)| ratio(available, total));
        both && (self.limits.own().as_ref().is_some_and(scarce)
            || host_share.is_some_and(|share| share < RECLAIM_SHARE))
    }
}
