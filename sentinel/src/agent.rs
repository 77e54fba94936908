//! The agent: calls each stage in order, once per reading. An index of stages, and nothing more.
//!
//! Owns the order and the pace. In: a source of samples, a configuration, surfaces. Out: how it ended. Never measures,
//! judges or prints by itself.
#![forbid(unsafe_code)]

mod fault_point;
mod governor;
mod pacing;
mod reload;
mod spending;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io::Write, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::{Receiver, UnboundedReceiver},
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::{
    act::{Actor, Outcome, Protected, control::Command, hands::Done, privileged::Privileged},
    config::Config,
    judge::{
        Judge, JudgeConfig,
        verdict::{Level, Signal},
    },
    kernel::Pace,
    memory::Memory,
    sense::{
        Source,
        attention::Attention,
        liveness::Change,
        record::Recorder,
        sample::{Origin, Sample},
    },
    show::{SinkError, Sinks, Snapshot, Unavailable, add_losses, own::Meter},
    time::Now,
};

pub use self::reload::Reload;
use self::{
    fault_point::{FaultPoint, Stage},
    governor::{Can, Governor},
    spending::Between,
};

/// How long hooks may go on after the agent was told to end.
const HOOK_GRACE: Duration = Duration::from_secs(2);
/// How long the disk may take at the end to keep what was learned.
const DISK_PATIENCE: Duration = Duration::from_secs(2);
/// How often leases are looked after between readings.
const TEND: Duration = Duration::from_millis(200);
/// How long each surface may take to get through what waits.
const SINK_PATIENCE: Duration = Duration::from_secs(2);

/// What the agent is made of.
pub struct Parts<S> {
    /// Where samples come from.
    pub source: S,
    /// Checked configuration.
    pub config: Config,
    /// What holds for the whole run.
    pub origin: Arc<Origin>,
    /// Sensors that do not run.
    pub unavailable: Arc<Vec<Unavailable>>,
    /// Whether a sensor runs that is read between ticks: the scheduler's or the network's.
    pub read_between: bool,
    /// Say everything at every reading, not only changes.
    pub every_tick: bool,
    /// End when a verdict reaches this level.
    pub fail_on: Option<Level>,
    /// Surfaces.
    pub sinks: Sinks,
    /// Recording of every sample, if asked for.
    pub recorder: Option<Recorder<Box<dyn Write + Send>>>,
    /// What acts on cgroups; `None` in `observe`.
    pub acting: Option<Acting>,
    /// What persons ask; `None` where nobody can.
    pub commands: Option<Receiver<Command>>,
    /// What keeps what is learned over a restart; `None` where nothing is.
    pub memory: Option<Memory>,
    /// Configurations that are read again; `None` where nothing reads them.
    pub reloads: Option<Receiver<Reload>>,
}

/// What acts on cgroups.
#[derive(Debug)]
pub struct Acting {
    /// The process that does it.
    pub privileged: Privileged,
    /// What they say.
    pub done: UnboundedReceiver<Done>,
    /// Whom nothing is done to.
    pub protected: Protected,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Ticks.
    pub ticks: u64,
    /// Ticks that began later than half an interval after their time.
    pub late_ticks: u64,
    /// Samples recorded.
    pub recorded: u64,
    /// `fail_on` was reached.
    pub failed_on: bool,
}

/// Why a run could not go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The recording could not be written.
    #[error("the recording cannot be written: {0}")]
    Recording(#[from] std::io::Error),
    /// There is no timer to be had.
    #[error("the kernel gives no timer: {0}; too many files may be open")]
    Timer(std::io::Error),
}

/// The running agent.
pub struct Agent<S> {
    parts: Parts<S>,
    judge: Judge,
    actor: Actor,
    done: Option<UnboundedReceiver<Done>>,
    commands: Option<Receiver<Command>>,
    reloads: Option<Receiver<Reload>>,
    /// What there is to say about reloads.
    reloaded: Vec<Outcome>,
    verdicts: Vec<crate::judge::Verdict>,
    ended: Ended,
    losses: BTreeMap<String, u64>,
    /// When a reading was last begun, `CLOCK_MONOTONIC`, nanoseconds.
    read_ns: Option<u64>,
    attention: Attention,
    meter: Meter,
    governor: Governor,
    between: Between,
    fault: FaultPoint,
}

/// Why a reading was the last one.
enum Stop {
    Closed,
    FailedOn,
}

impl<S: Source> Agent<S> {
    /// Builds every stage; reads nothing yet.
    #[must_use]
    pub fn new(mut parts: Parts<S>) -> Self {
        let (commands, reloads) = (parts.commands.take(), parts.reloads.take());
        let (mut actor, mut done) = (Actor::new(&parts.config), None);
        if let Some(acting) = parts.acting.take() {
            let blind = parts.unavailable.iter();
            let blind = blind.map(|one| (one.sensor.clone(), one.reason.clone())).collect();
            actor = actor.with_runner(acting.privileged.runner()).with_hands(
                Box::new(acting.privileged),
                acting.protected,
                blind,
            );
            done = Some(acting.done);
        }
        let judging = JudgeConfig {
            every_tick: parts.every_tick,
            ..JudgeConfig::from(&parts.config)
        };
        let mut judge = Judge::new(judging, Arc::clone(&parts.origin));
        if let Some(memory) = &mut parts.memory {
            memory.recall(&mut judge);
        }
        Self {
            judge,
            actor,
            done,
            commands,
            reloads,
            reloaded: Vec::new(),
            verdicts: Vec::new(),
            ended: Ended::default(),
            losses: BTreeMap::new(),
            read_ns: None,
            attention: Attention::default(),
            meter: Meter::new(parts.origin.page_bytes),
            governor: Governor::new(Can {
                readings: parts.read_between && parts.config.network_interval < parts.config.interval,
                sensors: parts.source.sparable(),
            }),
            between: Between::default(),
            fault: FaultPoint::from_environment(),
            parts,
        }
    }

    /// Runs until `stop` resolves, standard output is closed, or `fail_on` is reached; then lets hooks end, writes what
    /// waits, and detaches.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<Ended, AgentError> {
        tokio::pin!(stop);
        let (interval, fast) = (self.parts.config.interval, self.parts.config.network_interval);
        let mut ticks = Pace::new(Duration::ZERO, interval).map_err(AgentError::Timer)?;
        // Nothing is known before the second reading: the first one between ticks comes sooner than the others.
        let (soon, mut begun) = (fast / 2, false);
        let mut readings = Pace::new(soon, soon).map_err(AgentError::Timer)?;
        let mut tending = interval_at(Instant::now() + TEND, TEND);
        tending.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let pause = self
                .pause()
                .map_or(Duration::ZERO, |pause| if begun { pause } else { soon });
            readings.change(pause, &ticks).map_err(AgentError::Timer)?;
            let stopped = tokio::select! {
                biased;
                () = &mut stop => break,
                late = ticks.due() => {
                    self.ended.ticks += 1;
                    // A late tick is not made up for: the next one covers more time, and says so.
                    self.ended.late_ticks += u64::from(late.map_err(AgentError::Timer)? > interval / 2);
                    self.read(true)?
                }
                due = readings.due() => {
                    due.map_err(AgentError::Timer)?;
                    begun = true;
                    // A tick reads these sensors too: no second reading right after it.
                    if self.was_read_within(fast / 4) { None } else { self.read_between()? }
                }
                Some(done) = next(&mut self.done) => {
                    self.actor.hear(done, Now::read());
                    None
                }
                Some(reload) = next_of(&mut self.reloads) => {
                    self.take_over(reload, Now::read());
                    None
                }
                Some(command) = next_of(&mut self.commands) => {
                    self.actor.command(command, Now::read());
                    None
                }
                _ = tending.tick(), if self.actor.holds() => {
                    self.actor.tend(Now::read());
                    self.pass(Stage::Tend);
                    None
                }
            };
            match stopped {
                Some(Stop::Closed) => break,
                Some(Stop::FailedOn) => {
                    self.ended.failed_on = true;
                    break;
                }
                None => {}
            }
        }
        self.finish().await
    }

    /// Goes on by another configuration, or says why not.
    fn take_over(&mut self, reload: Reload, now: Now) {
        self.reloaded.push(reload.outcome(now));
        if let Reload::Good { config, .. } = reload {
            self.judge.take_over(&JudgeConfig::from(config.as_ref()));
            self.actor.take_over(&config);
            self.parts.config = *config;
        }
    }

    /// One reading, through all stages.
    fn read(&mut self, tick: bool) -> Result<Option<Stop>, AgentError> {
        let now = Now::read();
        self.read_ns = Some(now.monotonic_ns);
        if tick {
            self.notice_change(now);
        }
        let sample = Arc::new(self.parts.source.read(now, tick));
        if let Some(recorder) = &mut self.parts.recorder {
            recorder.record(&sample)?;
        }
        self.pass(Stage::Read);
        add_losses(&mut self.losses, &sample);
        let mut outcomes = self.actor.outcomes();
        outcomes.append(&mut self.reloaded);
        self.judge.observe(&sample, &mut self.verdicts);
        self.attention.observe(&sample, !self.verdicts.is_empty());
        self.pass(Stage::Judge);
        if tick && let Some(memory) = &mut self.parts.memory {
            memory.tick(&self.judge, sample.now);
        }
        let mut verdicts = Vec::with_capacity(self.verdicts.len());
        for mut verdict in self.verdicts.drain(..) {
            let now_ns = verdict.monotonic_ns;
            let plans = self.actor.plan(&mut verdict, &sample, now_ns);
            for plan in &plans {
                self.actor.carry_out(plan, &verdict, sample.now);
            }
            verdicts.push(Arc::new(verdict));
        }
        self.pass(Stage::Plan);
        let judge = &self.judge;
        let level_of = |cgroup_id, signal| judge.level_of(cgroup_id, signal);
        self.actor.observe(&sample, &level_of, sample.now);
        self.pass(Stage::Observe);
        if tick {
            verdicts.extend(self.govern(sample.now).map(Arc::new));
        }
        let reached = |level| {
            verdicts
                .iter()
                .any(|verdict| verdict.level >= level && verdict.signal != Signal::Cost)
        };
        let failed_on = self.parts.fail_on.is_some_and(reached);
        // Between ticks a surface hears only what happened.
        if !tick && verdicts.is_empty() && outcomes.is_empty() {
            return Ok(None);
        }
        let mut snapshot = self.snapshot(sample, outcomes);
        snapshot.verdicts = verdicts;
        let closed = matches!(self.parts.sinks.publish(&snapshot), Err(SinkError::Closed { .. }));
        self.pass(Stage::Publish);
        Ok(match (closed, failed_on) {
            (true, _) => Some(Stop::Closed),
            (false, true) => Some(Stop::FailedOn),
            (false, false) => None,
        })
    }

    /// Where a test may end or halt this process.
    fn pass(&mut self, stage: Stage) {
        self.fault.pass(stage, self.actor.holds());
    }

    /// A sensor that ran and does not any more is said, and nothing is done by what it does not see until it runs again.
    fn notice_change(&mut self, now: Now) {
        match self.parts.source.changed(now) {
            Some(Change::Lost { sensor, reason }) => {
                tracing::error!("{sensor} does not run any more: {reason}");
                self.actor.blinded(&sensor, &reason);
                Arc::make_mut(&mut self.parts.unavailable).push(Unavailable { sensor, reason });
            }
            Some(Change::Back { sensor }) => {
                tracing::warn!("{sensor} runs again");
                self.actor.sees_again(&sensor);
                Arc::make_mut(&mut self.parts.unavailable).retain(|one| one.sensor != sensor);
            }
            None => {}
        }
    }

    fn snapshot(&self, sample: Arc<Sample>, outcomes: Vec<Outcome>) -> Snapshot {
        let (standing, portraits) = self.judge.standing(self.parts.sinks.portraits());
        let sample_ns = sample.now.monotonic_ns;
        Snapshot {
            origin: Arc::clone(&self.parts.origin),
            now: sample.now,
            sample,
            verdicts: Vec::new(),
            outcomes: outcomes.into_iter().map(Arc::new).collect(),
            leases: self.actor.leases(sample_ns),
            waiting: self.actor.waiting(sample_ns),
            standing,
            portraits,
            unavailable: Arc::clone(&self.parts.unavailable),
            losses: self.losses.clone(),
            ticks: self.ended.ticks,
            late_ticks: self.ended.late_ticks,
            own: self.meter.last(),
        }
    }

    async fn finish(mut self) -> Result<Ended, AgentError> {
        let outcomes = self.actor.drain(HOOK_GRACE, self.done.as_mut()).await;
        let last = Sample {
            now: Now::read(),
            ..Sample::default()
        };
        let mut last = self.snapshot(Arc::new(last), outcomes);
        last.sample = Arc::default();
        // The run is over: a surface that is closed now has nothing more to lose.
        let _ = self.parts.sinks.publish(&last);
        let mut ended = self.ended;
        if let Some(recorder) = self.parts.recorder {
            ended.recorded = recorder.samples();
            recorder.finish()?;
        }
        drop(self.parts.source);
        if let Some(memory) = self.parts.memory {
            memory.finish(&self.judge, Now::read(), DISK_PATIENCE);
        }
        self.parts.sinks.finish(SINK_PATIENCE);
        Ok(ended)
    }
}

/// What the hands say next; never, where there are none.
async fn next(done: &mut Option<UnboundedReceiver<Done>>) -> Option<Done> {
    match done {
        Some(done) => done.recv().await,
        None => std::future::pending().await,
    }
}

/// What comes in next; never, where nothing can.
async fn next_of<T>(queue: &mut Option<Receiver<T>>) -> Option<T> {
    match queue {
        Some(queue) => queue.recv().await,
        None => std::future::pending().await,
    }
}
