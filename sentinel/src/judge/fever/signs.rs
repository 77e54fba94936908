//! From what is known of one reading to a level and a cause. Remembers nothing.

use crate::{
    config::FeverConfig,
    judge::{
        context::Context,
        evidence::ratio,
        statistics::steps::STEPS,
        verdict::{Cause, Level},
    },
};

use super::{
    View,
    growth::{Growth, Sustained},
    limits::{Limits, Room},
    teeth::Teeth,
};

/// Share of the rise that page counts have to confirm: a fork maps pages twice without taking any.
const PAGE_SHARE: f64 = 0.3;
/// Share of the rise that what is left has to confirm.
const USED_SHARE: f64 = 0.5;
/// Exhaustion sooner than this is a matter of minutes, seconds: 1 part in 25 of the time there is must have been seen.
const SOON_S: f64 = 400.0;
const SOON_PARTS: f64 = 25.0;
/// Else a quarter of it, and longer than a cache takes to warm up, seconds: what has lasted for long goes on for long.
const LATER_PARTS: f64 = 4.0;
const WARM_UP_S: f64 = 150.0;
/// Growth spread over many scopes is no single cache: less will do.
const SPREAD_PARTS: f64 = 60.0;
/// `watch` needs a part in 40, at most a minute, and an end within a week.
const WATCH_PARTS: f64 = 40.0;
const WATCH_S: f64 = 60.0;
const WEEK_S: f64 = 604_800.0;
/// A scope that comes down of itself and is now above where it did so before is only vetoed this close to the end.
const NEAR_S: f64 = 60.0;
/// Share of the host's rise in one scope from which on it is that scope's own affair.
const ONE_SCOPE: f64 = 0.5;
/// Share of the limit taken at once that is a burst.
const BURST_SHARE: f64 = 0.2;
/// Reclaim: MB/s both ways, with less than this share available.
const RECLAIM_MB_PER_S: f64 = 100.0;
const RECLAIM_SHARE: f64 = 0.05;

/// True when a trend was seen for long enough to say when it ends.
#[must_use]
pub(super) fn is_foreseeable(exhaustion_s: f64, seen_s: f64, is_host: bool) -> bool {
    seen_s
        >= if is_host {
            exhaustion_s / SPREAD_PARTS
        } else if exhaustion_s <= SOON_S {
            exhaustion_s / SOON_PARTS
        } else {
            WARM_UP_S.max(exhaustion_s / LATER_PARTS)
        }
}

/// All that one reading is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial<'a> {
    pub(super) view: &'a View,
    pub(super) is_host: bool,
    pub(super) seen_s: f64,
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
        if !self.is_confirmed(trend) || self.is_host && self.is_one_scope() {
            return None;
        }
        let Some(course) = &self.view.course else {
            // No limit is known, or it is levelling off.
            return self.view.room.is_none().then_some(Level::Watch);
        };
        let exhaustion_s = course.exhaustion_s;
        if exhaustion_s > WEEK_S || self.seen_s < WATCH_S.min(exhaustion_s / WATCH_PARTS) {
            return None;
        }
        let urgent = exhaustion_s <= self.config.horizon.as_secs_f64()
            && is_foreseeable(exhaustion_s, self.seen_s, self.is_host)
            && (trend.is_free_of_teeth() && self.is_settled(trend) || exhaustion_s <= NEAR_S);
        let named = self.is_host && self.context.leak_named;
        let veto = urgent && !named && self.view.coverage >= 0.5;
        Some(if veto { Level::Veto } else { Level::Watch })
    }

    /// It was seen for as long as its horizon: its slope is worth a forecast.
    fn is_settled(&self, trend: &Sustained) -> bool {
        !trend.is_of_shortest() || self.seen_s >= STEPS as f64 * self.growth.shown(trend).step_s
    }

    fn is_confirmed(&self, trend: &Sustained) -> bool {
        let shown = self.growth.shown(trend);
        let [pages, used] = shown.witnesses;
        let confirms = |moved: Option<f64>, share: f64| moved.is_some_and(|mb| mb >= share * shown.total);
        confirms(pages, PAGE_SHARE) || confirms(used, USED_SHARE) || pages.or(used).is_none()
    }

    /// The host's rise is mostly one scope's, which has a judge of its own.
    fn is_one_scope(&self) -> bool {
        self.context.most_grown_mb >= ONE_SCOPE * self.growth.of_last_minute()
    }

    fn is_burst(&self) -> bool {
        let limit_mb = self.limits.own().map(|room| room.limit_mb).or(self.context.total_mb);
        let taken_mb = self.growth.of_late();
        let comes_down = self.teeth.of(taken_mb).is_some_and(|falls| falls.cover_level());
        limit_mb.is_some_and(|limit_mb| taken_mb >= BURST_SHARE * limit_mb) && !comes_down
    }

    fn is_reclaim(&self) -> bool {
        let view = self.view;
        let both = view.allocated_mb_per_s.min(view.freed_mb_per_s) >= RECLAIM_MB_PER_S;
        let scarce = |room: &Room| room.is_exact && room.share() < RECLAIM_SHARE;
        let host_share = self
            .context
            .available_mb
            .zip(self.context.total_mb)
            .and_then(|(available, total)| ratio(available, total));
        both && (self.limits.own().as_ref().is_some_and(scarce)
            || host_share.is_some_and(|share| share < RECLAIM_SHARE))
    }
}
