//! From samples to verdicts. Pure: no clock, no I/O, no randomness; the same samples give the same verdicts.
//!
//! In: a [`Sample`]. Out: a [`Verdict`] for each change of level, and the [`State`] of every scope and signal. Memory is
//! bounded by the number of scopes, and nothing is allocated for a sample that changes nothing.
#![forbid(unsafe_code)]

mod amplification;
mod calibration;
mod context;
mod cpus;
mod evidence;
mod fever;
mod incident;
mod jitter;
pub mod learned;
mod losses;
pub mod own_cost;
mod portrait;
mod report;
mod rest;
mod scope;
mod scopes;
pub mod series;
mod servers;
mod standing;
mod statistics;
mod threshold;
mod track;
pub mod verdict;

use std::{sync::Arc, time::Duration};

use crate::{
    config::{AmplificationConfig, Autonomy, Config, FeverConfig, JitterConfig},
    sense::sample::{Origin, Sample, Scope, ScopeKind},
    time::Now,
};

use self::{
    context::Context,
    learned::{Remembered, ScopeLearned},
    losses::Losses,
    report::Reporter,
    rest::{Covered, Zero},
    scope::{Desk, Input, ScopeState},
    scopes::{Arrival, Scopes, World},
};

pub use portrait::{Portrait, SignalView};
pub use report::unit;
pub use scopes::Key;
pub use standing::{Levels, Standing};
pub use verdict::Verdict;
use verdict::{Cause, Level, Signal};

/// What the judge needs to know of the configuration.
#[derive(Clone, Debug)]
pub struct JudgeConfig {
    /// Time between ticks. Data older than 2.5 of them is missing.
    pub interval: Duration,
    /// Goes into every verdict.
    pub autonomy: Autonomy,
    /// False alarms that the operator accepts, per week of this host.
    pub false_alarms_per_week: f64,
    /// `[jitter]`
    pub jitter: JitterConfig,
    /// `[fever]`
    pub fever: FeverConfig,
    /// `[amplification]`
    pub amplification: AmplificationConfig,
    /// A verdict for every reading, not only for changes of level. Default false.
    pub every_tick: bool,
    /// A verdict also when a scope's warm-up ends without an alarm. Default false: on a host with a hundred cgroups
    /// that would be three hundred lines that say nothing.
    pub announce_nominal: bool,
}

impl From<&Config> for JudgeConfig {
    fn from(config: &Config) -> Self {
        Self {
            interval: config.interval,
            autonomy: config.autonomy,
            false_alarms_per_week: config.false_alarms_per_week,
            jitter: config.jitter.clone(),
            fever: config.fever.clone(),
            amplification: config.amplification.clone(),
            every_tick: false,
            announce_nominal: false,
        }
    }
}

impl JudgeConfig {
    /// Age from which on data is missing, nanoseconds: the third tick without it says so.
    fn tolerance_ns(&self) -> u64 {
        u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX) / 2 * 5
    }
}

/// One signal of one scope as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Which scope.
    pub scope: Arc<Scope>,
    /// Which signal.
    pub signal: Signal,
    /// Its level.
    pub level: Level,
    /// Why; `None` below `watch`.
    pub cause: Cause,
    /// The signal's value, see [`unit`]; `None` when not measured or not defined.
    pub value: Option<f64>,
}

/// The judge of a run.
#[derive(Debug)]
pub struct Judge {
    config: JudgeConfig,
    reporter: Reporter,
    context: Context,
    host: Option<Box<ScopeState>>,
    scopes: Scopes,
    losses: Losses,
    first_ns: Option<u64>,
    last: Now,
    covered: Covered,
    /// When each sensor was read last, by signal.
    read_ns: [Option<u64>; 3],
    zero: Zero,
    remembered: Remembered,
    own_level: Level,
}

impl Judge {
    /// Of a run that begins.
    #[must_use]
    pub fn new(config: JudgeConfig, origin: Arc<Origin>) -> Self {
        Self {
            reporter: Reporter::new(Arc::clone(&origin), config.autonomy),
            context: Context::new(&origin, config.false_alarms_per_week),
            config,
            host: None,
            scopes: Scopes::default(),
            losses: Losses::default(),
            first_ns: None,
            last: Now::default(),
            covered: Covered::default(),
            read_ns: [None; 3],
            zero: Zero::default(),
            remembered: Remembered::default(),
            own_level: Level::Nominal,
        }
    }

    /// What the agent says about its own cost, numbered among the other verdicts.
    pub fn about_itself(&mut self, cost: &own_cost::Cost, now: Now) -> Verdict {
        own_cost::verdict(&mut self.reporter, cost, &mut self.own_level, now)
    }

    /// Judges by other thresholds from the next sample on; what was learned stays. Which signals are judged, and how often,
    /// holds for the whole run.
    pub fn take_over(&mut self, config: &JudgeConfig) {
        self.context.false_alarms_per_week = config.false_alarms_per_week;
        self.config.false_alarms_per_week = config.false_alarms_per_week;
        self.config.jitter = config.jitter.clone();
        self.config.fever = config.fever.clone();
        self.config.amplification = config.amplification.clone();
    }

    /// Takes in a sample and appends what there is to say about it. A sample that is not later than the one before is
    /// not judged.
    pub fn observe(&mut self, sample: &Sample, verdicts: &mut Vec<Verdict>) {
        let now_ns = sample.now.monotonic_ns;
        if self.first_ns.is_some() && now_ns <= self.last.monotonic_ns {
            return;
        }
        let first_ns = *self.first_ns.get_or_insert(now_ns);
        let newborn = now_ns - first_ns >= 2 * self.config.tolerance_ns();
        self.context.observe(sample);
        let world = self.world(sample);
        let mut desk = Desk {
            now: sample.now,
            elapsed: sample.elapsed,
            config: &self.config,
            reporter: &mut self.reporter,
            verdicts,
            readings: [1; 3],
            end_ns: [now_ns; 3],
            lost: self.losses.observe(now_ns, &sample.losses),
        };
        let mut arrival = Arrival {
            config: &self.config,
            newborn,
            remembered: &mut self.remembered,
            now: sample.now,
        };
        self.scopes.list(sample, &mut arrival, self.last.monotonic_ns);
        self.scopes.observe(sample, &world, &mut self.context, &mut desk);
        let host = Input {
            sched: sample.host.sched.as_ref(),
            mem: sample.host.mem.as_ref(),
            ..Input::default()
        };
        self.host
            .get_or_insert_with(|| Box::new(arrival.state(&Arc::new(Scope::host()))))
            .observe(host, &mut self.context, &mut desk);
        self.scopes
            .bury(self.config.tolerance_ns(), &mut self.context, &mut desk);
        self.remembered.settle(sample.now);
        self.last = sample.now;
    }

    fn world(&mut self, sample: &Sample) -> World {
        let now_ns = sample.now.monotonic_ns;
        let before = self.covered;
        self.covered.add(&sample.elapsed, now_ns);
        let read = [sample.elapsed.sched_ns, sample.elapsed.mem_ns, sample.elapsed.net_ns];
        for (at, _) in self.read_ns.iter_mut().zip(read).filter(|(_, read)| read.is_some()) {
            *at = Some(now_ns);
        }
        let late = |at: &u64| now_ns - at > self.config.tolerance_ns();
        let stale = self.read_ns.iter().flatten().any(late);
        if sample.elapsed.mem_ns.is_some() {
            self.zero.mem = sample.still_pages();
        }
        World {
            before,
            covered: self.covered,
            last: self.last,
            may_rest: !stale && !self.config.every_tick,
            zero: self.zero,
        }
    }

    /// Every signal of every scope, in order of scope.
    pub fn states(&self) -> impl Iterator<Item = State> {
        let all = self.host.as_deref().into_iter().chain(self.scopes.iter());
        all.flat_map(ScopeState::states)
    }

    /// How all scopes stand, and the `most` most severe of them as a verdict would show them now.
    #[must_use]
    pub fn standing(&self, most: usize) -> (Standing, Vec<Portrait>) {
        let mut standing = Standing::default();
        let mut states: Vec<State> = self.host.iter().flat_map(|host| host.states()).collect();
        standing.scopes += u32::from(self.host.is_some());
        self.scopes.stand(&mut standing, &mut states, most.max(1));
        states
            .iter()
            .for_each(|state| standing.levels.add(state.signal, state.level));
        standing::sort(&mut states);
        let mut wanted: Vec<Key> = Vec::with_capacity(most.min(states.len()));
        for state in &states {
            let key = (state.scope.kind, state.scope.cgroup_id);
            if wanted.len() < most && !wanted.contains(&key) {
                wanted.push(key);
            }
        }
        let scopes = wanted.iter().filter_map(|key| match key.0 {
            ScopeKind::Host => self.host.as_deref(),
            ScopeKind::Cgroup | ScopeKind::Other => self.scopes.get(*key),
            ScopeKind::Agent => None,
        });
        let portraits = scopes.map(|state| state.portrait(&self.context)).collect();
        standing.worst = states.into_iter().next();
        (standing, portraits)
    }

    /// Begins with what an earlier run had learned. To be called before the first sample.
    pub fn remember(&mut self, remembered: Remembered) {
        self.remembered = remembered;
    }

    /// What is left of that, and how much of it was found again.
    #[must_use]
    pub const fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    /// What was learned of the `most` scopes after one, the host before all others; the last of them, `None` when there are no more.
    /// A part at a time, so that no reading waits for all of it.
    pub fn learned(&self, after: Option<Key>, most: usize, into: &mut Vec<ScopeLearned>) -> Option<Key> {
        if after.is_none() {
            into.extend(self.host.iter().filter_map(|host| host.learned()));
        }
        self.scopes.learned(after, most, into)
    }

    /// Scopes in which nothing happens, and which are judged once a minute for that.
    #[must_use]
    pub fn resting(&self) -> usize {
        self.scopes.resting()
    }

    /// The level of one signal of a cgroup; `None` when there is no such cgroup.
    #[must_use]
    pub fn level_of(&self, cgroup_id: u64, signal: Signal) -> Option<Level> {
        let state = self.scopes.get((ScopeKind::Cgroup, cgroup_id))?;
        let mut states = state.states();
        states.find(|state| state.signal == signal).map(|state| state.level)
    }
}
