//! What a reading shows of a scope's waits, why, and what that asks for.

use crate::{
    config::JitterConfig,
    judge::{
        context::Context,
        cpus::Cpus,
        evidence::{Finding, Reading, SECOND_NS, ratio},
        threshold::Hold,
        verdict::{Cause, Level},
    },
};

use super::{
    Jitter,
    counts::View,
    crowding::{Crowd, Lasting, MOVING_MS, TOLERABLE_SHARE},
};

/// Calm before the level falls.
const CLEAR_NS: u64 = 3 * SECOND_NS;
/// Crowding is summed over time, so it has lasted when it is seen.
const CROWDED: Hold = hold(0, 0, 1);
/// A limit holds the scope back, and tasks wait for it or do not.
const THROTTLED: Hold = hold(3 * SECOND_NS / 2, 3 * SECOND_NS / 2, 2);
const THROTTLED_UNSEEN: Hold = hold(3 * SECOND_NS / 2, 4 * SECOND_NS, 2);
const CONVOY: Hold = hold(2 * SECOND_NS, 3 * SECOND_NS, 2);
const STARVED: Hold = hold(2 * SECOND_NS, 2 * SECOND_NS, 2);
const UNDETERMINED: Hold = hold(4 * SECOND_NS, 4 * SECOND_NS, 2);

const fn hold(watch_ns: u64, veto_ns: u64, readings: u32) -> Hold {
    Hold {
        watch_ns,
        veto_ns,
        readings,
        clear_ns: CLEAR_NS,
    }
}

/// Share of the time wanted that is spent waiting from which on tasks crowd each other: one in four.
const CROWDED_SHARE: f64 = 0.25;
/// Share below which waiting is the odd collision that every busy host has, however many milliseconds it adds up to.
const NOTICED_SHARE: f64 = 0.15;
/// Waiting this many times the baseline's is above it.
const WAITING_FACTOR: f64 = 3.0;
/// The longest hundredth of waits this many times the baseline's, and this long, is above it.
const TAIL_FACTOR: f64 = 4.0;
const TAIL_MS: f64 = 4.0;
/// Share of switches that take the CPU away, and how many of them per second on a CPU, in a crowd of tasks that have
/// more to do. A task that has a CPU to itself is hardly ever taken off it; the scheduler's slices are 3 to 10 ms.
const PREEMPTED_SHARE: f64 = 0.5;
const PREEMPTED_PER_CPU_S: f64 = 50.0;
/// Share of time throttled that is worth a look, and that is a fault.
const THROTTLED_SHARE: f64 = 0.05;
const THROTTLED_HARD: f64 = 0.2;
/// Runnable tasks per CPU from which on a scope alone is more than the host can run.
const OWN_CROWD: f64 = 1.2;
/// Least share of the busy CPU time for a scope to be in its own way.
const OWN_SHARE: f64 = 0.25;
/// Waiting tasks, and times what the load explains, of a queue that the load does not explain; and the share of the CPUs
/// below which they have time.
const UNEXPLAINED_TASKS: f64 = 0.8;
const UNEXPLAINED_FACTOR: f64 = 2.5;
const FREE_SHARE: f64 = 0.6;
/// Voluntary switches per second, and times the baseline's, that make a convoy of a scope that got at least this much
/// CPU before, milliseconds per second, and gets no more now.
const CONVOY_PER_S: f64 = 1000.0;
const CONVOY_FACTOR: f64 = 5.0;
const CONVOY_ON_CPU_MS_PER_S: f64 = 20.0;
const CONVOY_PROGRESS: f64 = 1.1;
/// Once it is one, this much less of either will do: a convoy does not end because it got a little further.
const CONVOY_SLACK: f64 = 2.0;
/// Runnable tasks per CPU from which on somebody must be without.
const STARVING_QUEUE: f64 = 2.0;
/// Share of the time wanted that a victim waits.
const STARVED_SHARE: f64 = 0.35;
const STARVED_SHARE_WITHOUT_PAST: f64 = 0.5;

/// What speaks for a fault. Each of them can be there without the others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs {
    /// It waits more than the floor, and more than an odd collision. No sign by itself: without it most are not looked at.
    pub(super) noticed: bool,
    /// Dispersion is rare in the scope's own past, as rare as one of two signs has to be.
    pub(super) dispersion: bool,
    /// It is as rare as a sign alone has to be.
    pub(super) alone: bool,
    /// It waits more than it is used to.
    pub(super) waiting: bool,
    /// Its longest waits are longer than it is used to.
    pub(super) tail: bool,
    /// It waits a large part of the time it wants.
    pub(super) crowded: bool,
    /// The host's run-queues are long.
    pub(super) queue: bool,
    /// Its tasks are taken off the CPU.
    pub(super) preempted: bool,
    /// Its limit holds it back.
    pub(super) throttled: bool,
    /// Its tasks give up the CPU to each other.
    pub(super) convoy: bool,
}

impl Signs {
    pub(super) fn count(&self) -> usize {
        let all = [
            self.dispersion,
            self.waiting,
            self.tail,
            self.crowded,
            self.queue,
            self.preempted,
            self.throttled,
            self.convoy,
        ];
        all.into_iter().filter(|sign| *sign).count()
    }
}

impl Jitter {
    /// Tasks that want a CPU for longer than a moment: what others may have to wait for.
    pub(in crate::judge) fn stuck_tasks(&self) -> f64 {
        if self.view.run_ms() >= MOVING_MS {
            self.view.runnable_tasks()
        } else {
            0.0
        }
    }

    /// The signs. Those of waiting count only where tasks wait more than the floor, and for a noticeable share of the
    /// time that they want a CPU: variance of what hardly happens is no news. A limit and a convoy need no such waits.
    pub(super) fn signs(&self, reading: Reading, context: &Context, config: &JitterConfig) -> Signs {
        let view = &self.view;
        let signs = Signs {
            throttled: self.throttling.share.is_some_and(|share| share >= THROTTLED_SHARE),
            convoy: self.is_convoy(reading, context, config),
            ..Signs::default()
        };
        if !is_noticed(view, NOTICED_SHARE, context, config) {
            return signs;
        }
        let past = &self.past;
        let rare = |decades| {
            past.dispersion
                .exceeded(reading.at(), self.dispersion_ms, config.sigma, decades)
        };
        let dispersion = rare(context.calibration.paired());
        Signs {
            noticed: true,
            dispersion,
            alone: dispersion && rare(context.calibration.alone()),
            waiting: view.waiting_tasks * 1e3 > WAITING_FACTOR * past.waiting.mean().unwrap_or(0.0),
            tail: self.tail_is_long(),
            crowded: view.waiting_share.is_some_and(|share| share > CROWDED_SHARE),
            queue: context.second.queue_is_long(),
            preempted: is_preempted(view),
            ..signs
        }
    }

    fn tail_is_long(&self) -> bool {
        self.view
            .tail_ms
            .zip(self.past.tail.mean())
            .is_some_and(|(tail, usual)| tail >= TAIL_MS && tail > TAIL_FACTOR * usual)
    }

    fn is_convoy(&self, reading: Reading, context: &Context, config: &JitterConfig) -> bool {
        let (view, past) = (&self.view, &self.past);
        let (Some(switches), Some(on_cpu)) = (past.voluntary.mean(), past.on_cpu.mean()) else {
            return false;
        };
        let slack = if self.signs.convoy { CONVOY_SLACK } else { 1.0 };
        view.voluntary_per_s > CONVOY_PER_S / slack
            && view.voluntary_per_s > CONVOY_FACTOR / slack * switches
            && on_cpu >= CONVOY_ON_CPU_MS_PER_S
            && view.running_tasks * 1e3 < CONVOY_PROGRESS * slack * on_cpu
            && past.voluntary.exceeded(
                reading.at(),
                view.voluntary_per_s,
                config.sigma,
                context.calibration.paired(),
            )
    }

    /// Share of the busy CPU time that is its own.
    pub(super) fn own_share(&self, view: &View, cpus: &Cpus) -> Option<f64> {
        ratio(view.running_tasks, cpus.busy?)
    }

    /// The crowd that this reading shows, if it is the scope's own: the CPUs have no more to give, or, at a load that
    /// does not explain a queue, there is one that comes and goes. A second sign, from another sensor or from the past,
    /// has to agree.
    pub(super) fn crowd(&self, moment: &View, context: &Context, config: &JitterConfig) -> Option<Crowd> {
        self.standing_crowd(moment, context, config)
            .or_else(|| self.passing_crowd(context, config))
    }

    fn standing_crowd(&self, view: &View, context: &Context, config: &JitterConfig) -> Option<Crowd> {
        let cpus = &context.moment;
        let own = view.runnable_tasks() > OWN_CROWD * context.cpus
            && self.own_share(view, cpus).is_some_and(|share| share >= OWN_SHARE);
        let preempted = is_preempted(view);
        // Where the queues are not sampled, that tasks are taken off the CPU or wait as never before has to do.
        let agreed = match cpus.queue_mean {
            Some(_) => cpus.queue_is_long(),
            None => preempted || self.signs.tail || self.signs.dispersion,
        };
        let crowd = own && agreed && cpus.is_saturated() && is_noticed(view, TOLERABLE_SHARE, context, config);
        crowd.then(|| Crowd {
            waiting_share: view.waiting_share.unwrap_or(0.0),
            busy_share: cpus.busy_share(),
            run_ms: if preempted { view.run_ms() } else { 0.0 },
        })
    }

    fn passing_crowd(&self, context: &Context, config: &JitterConfig) -> Option<Crowd> {
        let (view, cpus) = (&self.view, &context.second);
        let explained = cpus.explained_waiting_tasks()?;
        let unexplained = view.waiting_tasks > UNEXPLAINED_TASKS && view.waiting_tasks > UNEXPLAINED_FACTOR * explained;
        // While CPUs have time, nobody else holds them: what waits is crowded on a part of them, or comes all at once.
        let own = cpus.busy_share() < FREE_SHARE || self.own_share(view, cpus).is_some_and(|share| share >= 0.5);
        let agreed = (self.signs.tail || self.signs.dispersion) && is_preempted(view);
        let crowd = unexplained && own && agreed && is_noticed(view, TOLERABLE_SHARE, context, config);
        crowd.then(|| Crowd {
            waiting_share: view.waiting_share.unwrap_or(0.0),
            // On a part of the CPUs it may have been there all the time; that is not known, so half of it counts.
            busy_share: cpus.busy_share().max(view.running_tasks.min(1.0) / 2.0),
            // What runs between the bursts gives up the CPU by itself, and says nothing about them.
            run_ms: f64::INFINITY,
        })
    }

    /// What the reading asks for, and why. The first cause that holds is named.
    pub(super) fn finding(&self, context: &Context) -> Finding {
        let whole = self.view.coverage >= 0.5;
        let found = self
            .held_back()
            .or_else(|| self.thrashes())
            .or_else(|| self.jams())
            .or_else(|| self.starves(context))
            .or_else(|| self.is_odd());
        let Some((wanted, cause, hold)) = found else {
            return Finding {
                wanted: Level::Nominal,
                cause: Cause::None,
                hold: CROWDED,
            };
        };
        let most = if whole { Level::Veto } else { Level::Watch };
        Finding { wanted, cause, hold }.at_most(most)
    }

    /// Its own limit is in the way: the kernel says so, and its tasks wait or it lasts.
    fn held_back(&self) -> Option<(Level, Cause, Hold)> {
        let share = self.throttling.share.filter(|_| self.signs.throttled)?;
        if share < THROTTLED_HARD {
            let proven = self.crowding.lasting(true) == Lasting::Proven;
            return (!proven).then_some((Level::Watch, Cause::Throttled, THROTTLED));
        }
        let waits = self.signs.crowded || self.signs.waiting || self.signs.dispersion || self.signs.tail;
        let hold = if waits { THROTTLED } else { THROTTLED_UNSEEN };
        Some((Level::Veto, Cause::Throttled, hold))
    }

    /// Its own tasks are in its way, and it lasts.
    fn thrashes(&self) -> Option<(Level, Cause, Hold)> {
        if !self.signs.noticed {
            return None;
        }
        match self.crowding.lasting(self.past.waiting.is_ready()) {
            Lasting::Proven => Some((Level::Veto, Cause::Thrash, CROWDED)),
            Lasting::Noticed => Some((Level::Watch, Cause::Thrash, CROWDED)),
            Lasting::Short => None,
        }
    }

    /// Its tasks give the CPU to each other and get no further. That it waits too is what tells it from a program that
    /// has come to a part with much input and output.
    fn jams(&self) -> Option<(Level, Cause, Hold)> {
        let waits = self.signs.crowded || self.signs.dispersion || self.signs.tail;
        let wanted = if waits { Level::Veto } else { Level::Watch };
        self.signs.convoy.then_some((wanted, Cause::Convoy, CONVOY))
    }

    /// Others hold the CPUs. It is the victim: the verdict that pages names them.
    fn starves(&self, context: &Context) -> Option<(Level, Cause, Hold)> {
        let least = if self.past.waiting.is_ready() && self.signs.waiting {
            STARVED_SHARE
        } else {
            STARVED_SHARE_WITHOUT_PAST
        };
        let share = self.view.waiting_share.filter(|_| self.signs.crowded)?;
        let others = self.own_share(&self.view, &context.second).unwrap_or(0.0) < 0.5;
        // As many tasks as CPUs delay others for a moment each time, and so do many that come and go: a busy host.
        let crowd = context.second.queue_mean.is_none_or(|mean| mean >= STARVING_QUEUE)
            && context.stuck_tasks >= OWN_CROWD * context.cpus;
        let starved = others && share >= least && crowd && context.second.is_saturated();
        starved.then_some((Level::Watch, Cause::Starved, STARVED))
    }

    /// Its waits are as they hardly ever were, its tasks are taken off the CPU, and none of the above.
    fn is_odd(&self) -> Option<(Level, Cause, Hold)> {
        let odd = self.signs.alone && self.signs.crowded && self.signs.preempted;
        odd.then_some((Level::Watch, Cause::Undetermined, UNDETERMINED))
    }
}

fn is_noticed(view: &View, share: f64, context: &Context, config: &JitterConfig) -> bool {
    view.waiting_tasks * 1e3 >= config.floor_ms_per_s * context.cpus
        && view.waiting_share.is_some_and(|found| found >= share)
}

fn is_preempted(view: &View) -> bool {
    view.preempted_share().is_some_and(|share| share >= PREEMPTED_SHARE)
        && view
            .preemptions_per_cpu_s()
            .is_some_and(|count| count >= PREEMPTED_PER_CPU_S)
}
