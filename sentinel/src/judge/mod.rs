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
mod losses;
mod report;
mod scope;
pub mod series;
mod statistics;
mod threshold;
mod track;
pub mod verdict;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    config::{AmplificationConfig, Autonomy, Config, FeverConfig, JitterConfig},
    sense::sample::{Origin, Sample, Scope, ScopeKind},
};

use self::{
    context::Context,
    losses::Losses,
    report::Reporter,
    scope::{Desk, Input, ScopeState},
};

pub use report::unit;
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
    host: Arc<Scope>,
    scopes: BTreeMap<(ScopeKind, u64), Box<ScopeState>>,
    losses: Losses,
    first_ns: Option<u64>,
    last_ns: u64,
}

impl Judge {
    /// Of a run that begins.
    #[must_use]
    pub fn new(config: JudgeConfig, origin: Arc<Origin>) -> Self {
        Self {
            reporter: Reporter::new(Arc::clone(&origin), config.autonomy),
            context: Context::new(&origin, config.false_alarms_per_week),
            config,
            host: Arc::new(Scope::host()),
            scopes: BTreeMap::new(),
            losses: Losses::default(),
            first_ns: None,
            last_ns: 0,
        }
    }

    /// Takes in a sample and appends what there is to say about it. A sample that is not later than the one before is
    /// not judged.
    pub fn observe(&mut self, sample: &Sample, verdicts: &mut Vec<Verdict>) {
        let now_ns = sample.now.monotonic_ns;
        if self.first_ns.is_some() && now_ns <= self.last_ns {
            return;
        }
        let first_ns = *self.first_ns.get_or_insert(now_ns);
        self.last_ns = now_ns;
        let newborn = now_ns - first_ns >= 2 * self.config.tolerance_ns();
        self.context.observe(sample);
        let mut desk = Desk {
            now: sample.now,
            elapsed: sample.elapsed,
            config: &self.config,
            reporter: &mut self.reporter,
            verdicts,
            lost: self.losses.observe(now_ns, &sample.losses),
        };
        for listed in &sample.scopes {
            let state = listed_state(&mut self.scopes, &listed.scope, &self.config, newborn);
            state.listed_ns = now_ns;
            state.observe(Input::of(listed), &mut self.context, &mut desk);
        }
        let host = Input {
            sched: sample.host.sched.as_ref(),
            mem: sample.host.mem.as_ref(),
            ..Input::default()
        };
        let state = listed_state(&mut self.scopes, &self.host, &self.config, newborn);
        state.listed_ns = now_ns;
        state.observe(host, &mut self.context, &mut desk);
        drop_unlisted(&mut self.scopes, &mut self.context, &mut desk);
    }

    /// Every signal of every scope, in order of scope.
    pub fn states(&self) -> impl Iterator<Item = State> {
        self.scopes.values().flat_map(|state| state.states())
    }

    /// Fills `out` with every signal of every scope, most severe first: by level, then signal, then value.
    pub fn most_severe(&self, out: &mut Vec<State>) {
        out.clear();
        out.extend(self.states());
        out.sort_by(|a, b| {
            let value = |state: &State| state.value.unwrap_or(f64::NEG_INFINITY);
            b.level
                .cmp(&a.level)
                .then(a.signal.cmp(&b.signal))
                .then(value(b).total_cmp(&value(a)))
                .then_with(|| a.scope.cmp(&b.scope))
        });
    }
}

/// The state of a scope, new if there is none; its path and unit may have become known meanwhile.
fn listed_state<'a>(
    scopes: &'a mut BTreeMap<(ScopeKind, u64), Box<ScopeState>>,
    scope: &Arc<Scope>,
    config: &JudgeConfig,
    newborn: bool,
) -> &'a mut ScopeState {
    let state = scopes
        .entry((scope.kind, scope.cgroup_id))
        .or_insert_with(|| Box::new(ScopeState::new(scope, config, newborn)));
    if !Arc::ptr_eq(&state.scope, scope) && state.scope != *scope {
        state.scope = Arc::clone(scope);
    }
    state
}

fn drop_unlisted(scopes: &mut BTreeMap<(ScopeKind, u64), Box<ScopeState>>, context: &mut Context, desk: &mut Desk<'_>) {
    let (now_ns, tolerance_ns) = (desk.now.monotonic_ns, desk.config.tolerance_ns());
    scopes.retain(|_, state| {
        let listed = now_ns.saturating_sub(state.listed_ns) <= tolerance_ns;
        if !listed {
            state.bury(context, desk);
        }
        listed
    });
}
