//! The agent: calls each stage in order, once per reading. An index of stages, and nothing more.
//!
//! Owns the order and the pace. In: a source of samples, a configuration, surfaces. Out: how it ended. Never measures,
//! judges or prints by itself.
#![forbid(unsafe_code)]

use std::{collections::BTreeMap, io::Write, sync::Arc, time::Duration};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::{
    act::{Actor, Outcome},
    config::Config,
    judge::{Judge, JudgeConfig, verdict::Level},
    sense::{
        Source,
        record::Recorder,
        sample::{Origin, Sample},
    },
    show::{SinkError, Sinks, Snapshot, Unavailable, add_losses},
    time::Now,
};

/// How long hooks may go on after the agent was told to end.
const HOOK_GRACE: Duration = Duration::from_secs(2);
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
    pub recorder: Option<Recorder<Box<dyn Write>>>,
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
}

/// The running agent.
pub struct Agent<S> {
    parts: Parts<S>,
    judge: Judge,
    actor: Actor,
    verdicts: Vec<crate::judge::Verdict>,
    ended: Ended,
    losses: BTreeMap<String, u64>,
    read_at: Option<Instant>,
}

/// Why a reading was the last one.
enum Stop {
    Closed,
    FailedOn,
}

impl<S: Source> Agent<S> {
    /// Builds every stage; reads nothing yet.
    #[must_use]
    pub fn new(parts: Parts<S>) -> Self {
        let judging = JudgeConfig {
            every_tick: parts.every_tick,
            ..JudgeConfig::from(&parts.config)
        };
        Self {
            judge: Judge::new(judging, Arc::clone(&parts.origin)),
            actor: Actor::new(&parts.config),
            verdicts: Vec::new(),
            ended: Ended::default(),
            losses: BTreeMap::new(),
            read_at: None,
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
        let interval = self.parts.config.interval;
        let mut ticks = every(interval, Duration::ZERO);
        let fast = self.parts.config.network_interval;
        let mut readings = every(fast, fast);
        let read_between = self.parts.read_between && fast < interval;
        loop {
            let stopped = tokio::select! {
                biased;
                () = &mut stop => break,
                due = ticks.tick() => {
                    self.ended.ticks += 1;
                    self.ended.late_ticks += u64::from(due.elapsed() > interval / 2);
                    self.read(true)?
                }
                _ = readings.tick(), if read_between => {
                    // A tick reads these sensors too: no second reading right after it.
                    if self.read_at.is_some_and(|at| at.elapsed() < fast / 2) { None } else { self.read(false)? }
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

    /// One reading, through all stages.
    fn read(&mut self, tick: bool) -> Result<Option<Stop>, AgentError> {
        self.read_at = Some(Instant::now());
        let sample = self.parts.source.read(Now::read(), tick);
        if let Some(recorder) = &mut self.parts.recorder {
            recorder.record(&sample)?;
        }
        add_losses(&mut self.losses, &sample);
        let outcomes = self.actor.outcomes();
        self.judge.observe(&sample, &mut self.verdicts);
        let mut verdicts = Vec::with_capacity(self.verdicts.len());
        for mut verdict in self.verdicts.drain(..) {
            let now_ns = verdict.monotonic_ns;
            let plans = self.actor.plan(&mut verdict, now_ns);
            for plan in &plans {
                self.actor.carry_out(plan, &verdict);
            }
            verdicts.push(Arc::new(verdict));
        }
        let reached = |level| verdicts.iter().any(|verdict| verdict.level >= level);
        let failed_on = self.parts.fail_on.is_some_and(reached);
        // Between ticks a surface hears only what happened.
        if !tick && verdicts.is_empty() && outcomes.is_empty() {
            return Ok(None);
        }
        let mut snapshot = self.snapshot(sample, outcomes);
        snapshot.verdicts = verdicts;
        let closed = matches!(self.parts.sinks.publish(&snapshot), Err(SinkError::Closed { .. }));
        Ok(match (closed, failed_on) {
            (true, _) => Some(Stop::Closed),
            (false, true) => Some(Stop::FailedOn),
            (false, false) => None,
        })
    }

    fn snapshot(&self, sample: Sample, outcomes: Vec<Outcome>) -> Snapshot {
        let mut states = Vec::new();
        self.judge.most_severe(&mut states);
        Snapshot {
            origin: Arc::clone(&self.parts.origin),
            now: sample.now,
            sample: Arc::new(sample),
            verdicts: Vec::new(),
            outcomes: outcomes.into_iter().map(Arc::new).collect(),
            states,
            unavailable: Arc::clone(&self.parts.unavailable),
            losses: self.losses.clone(),
            ticks: self.ended.ticks,
            late_ticks: self.ended.late_ticks,
        }
    }

    async fn finish(mut self) -> Result<Ended, AgentError> {
        let outcomes = self.actor.drain(HOOK_GRACE).await;
        let mut last = self.snapshot(
            Sample {
                now: Now::read(),
                ..Sample::default()
            },
            outcomes,
        );
        last.sample = Arc::default();
        // The run is over: a surface that is closed now has nothing more to lose.
        let _ = self.parts.sinks.publish(&last);
        let mut ended = self.ended;
        if let Some(recorder) = self.parts.recorder {
            ended.recorded = recorder.samples();
            recorder.finish()?;
        }
        drop(self.parts.source);
        self.parts.sinks.finish(SINK_PATIENCE);
        Ok(ended)
    }
}

fn every(period: Duration, after: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + after, period);
    // A late tick is not made up for: the next one covers more time, and says so.
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}
