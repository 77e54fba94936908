//! Runs one scenario: samples go to the judge one by one, verdicts are held against the truth as they come.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result};

use sentinel::{
    judge::{
        Judge, JudgeConfig, Verdict,
        verdict::{Cause, Level, Phase, Signal},
    },
    sense::sample::{Origin, Sample},
};

use super::outcome::{Finding, Outcome, Wrong};
use crate::{
    corpus::{
        Kind,
        recorded::{self, Recorded},
        scenario::Scenario,
        truth::{Allowance, Truth},
    },
    score::forecast::Forecasts,
};

/// Before the moment from which on a phase is true it may be named by this much, seconds.
const PHASE_EARLY_S: f64 = 0.5;

/// What is true of a recording, wherever it came from.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// Its faults.
    pub truths: Vec<Truth>,
    /// What may be said beside.
    pub allowances: Vec<Allowance>,
    /// Phases that must never be named.
    pub never: Vec<(String, Phase)>,
    /// No forecast may be given.
    pub no_forecast: bool,
}

impl Labels {
    /// Every reading has to be looked at, not only changes of level.
    #[must_use]
    pub fn need_every_tick(&self) -> bool {
        let truth = |truth: &Truth| truth.exhausts.is_some() || truth.phase.is_some();
        self.no_forecast || !self.never.is_empty() || self.truths.iter().any(truth)
    }
}

/// Follows one recording.
#[derive(Debug)]
pub struct Referee {
    labels: Labels,
    follows: Vec<Follow>,
    levels: BTreeMap<(String, Signal), (Level, Cause)>,
    wrong: Vec<Wrong>,
    wrong_forecasts: u64,
    wrong_phase: bool,
    begin_ns: Option<u64>,
    now_s: f64,
    crowded: bool,
}

/// What is known of one fault so far.
#[derive(Clone, Debug)]
struct Follow {
    truth: Truth,
    detected: Option<(f64, Cause)>,
    lost: u32,
    cleared_s: Option<f64>,
    phase_s: Option<f64>,
    phase_early: bool,
    forecasts: Forecasts,
}

impl Referee {
    /// Of a recording with these labels.
    #[must_use]
    pub fn new(labels: Labels) -> Self {
        let follow = |truth: &Truth| Follow {
            truth: truth.clone(),
            detected: None,
            lost: 0,
            cleared_s: None,
            phase_s: None,
            phase_early: false,
            forecasts: Forecasts::default(),
        };
        Self {
            follows: labels.truths.iter().map(follow).collect(),
            labels,
            levels: BTreeMap::new(),
            wrong: Vec::new(),
            wrong_forecasts: 0,
            wrong_phase: false,
            begin_ns: None,
            now_s: 0.0,
            crowded: false,
        }
    }

    /// Takes in what was said about a sample that is `at_s` seconds from the beginning. `crowded`: tasks did want far
    /// more than there is, whatever the labels say, so that `watch` for waiting is not wrong.
    pub fn hear(&mut self, at_s: f64, crowded: bool, verdicts: &[Verdict]) {
        self.now_s = at_s;
        self.crowded = crowded;
        for verdict in verdicts {
            self.weigh(at_s, verdict);
        }
        for follow in &mut self.follows {
            let key = (follow.truth.scope.clone(), follow.truth.signal);
            if follow.detected.is_none()
                && let Some((level, cause)) = self.levels.get(&key)
            {
                follow.stand(at_s, *level, *cause);
            }
        }
    }

    /// The same by the sample's own clock: the first reading's beginning is second zero.
    pub fn hear_sample(&mut self, sample: &Sample, verdicts: &[Verdict]) {
        let covered = sample.elapsed.net_ns.or(sample.elapsed.sched_ns).unwrap_or(0);
        let now_ns = sample.now.monotonic_ns;
        let begin_ns = *self.begin_ns.get_or_insert(now_ns.saturating_sub(covered));
        self.hear((now_ns - begin_ns) as f64 / 1e9, false, verdicts);
    }

    fn weigh(&mut self, at_s: f64, verdict: &Verdict) {
        let scope = verdict.scope.name();
        let key = (scope.to_owned(), verdict.signal);
        let before = self.levels.get(&key).map_or(Level::Unknown, |(level, _)| *level);
        self.levels.insert(key, (verdict.level, verdict.cause));
        if verdict.level >= Level::Watch && verdict.level > before && !self.is_right(at_s, verdict) {
            self.wrong.push(Wrong {
                scope: scope.to_owned(),
                signal: verdict.signal,
                level: verdict.level,
                cause: verdict.cause,
                at_s,
                summary: verdict.summary.clone(),
            });
        }
        self.wrong_forecasts += u64::from(self.labels.no_forecast && verdict.forecast.is_some());
        let never = |(name, phase): &(String, Phase)| name == scope && verdict.phase == Some(*phase);
        self.wrong_phase |= self.labels.never.iter().any(never);
        for follow in &mut self.follows {
            if follow.truth.scope == scope && follow.truth.signal == verdict.signal {
                follow.hear(at_s, before, verdict);
            }
        }
    }

    fn is_right(&self, at_s: f64, verdict: &Verdict) -> bool {
        let (scope, signal) = (verdict.scope.name(), verdict.signal);
        let truths = &self.labels.truths;
        let allowances = &self.labels.allowances;
        if self.crowded && signal == Signal::Jitter && verdict.level <= Level::Watch {
            return true;
        }
        truths
            .iter()
            .any(|truth| truth.covers(scope, signal, verdict.level, at_s))
            || allowances
                .iter()
                .any(|it| it.allows(scope, signal, verdict.level, verdict.cause, at_s))
    }

    /// What came of it. `exhausted`: when and of whom memory ran out, the host's name being empty.
    #[must_use]
    pub fn end(self, kind: &str, seed: u64, faulty: bool, fine: bool, exhausted: Option<&(f64, String)>) -> Outcome {
        let finding = |follow: Follow| {
            let mine = exhausted.filter(|(_, name)| name.is_empty() || *name == follow.truth.scope);
            follow.finding(mine.map(|(at_s, _)| *at_s))
        };
        Outcome {
            kind: kind.to_owned(),
            seed,
            faulty,
            hours: self.now_s / 3600.0,
            fine,
            wrong_phase: (!self.labels.never.is_empty()).then_some(self.wrong_phase),
            findings: self.follows.into_iter().map(finding).collect(),
            wrong: self.wrong,
            wrong_forecasts: self.wrong_forecasts,
        }
    }
}

impl Follow {
    /// This is what is said of it now, from before its onset or since.
    fn stand(&mut self, at_s: f64, level: Level, cause: Cause) {
        let truth = &self.truth;
        if level >= truth.level && (truth.onset_s..=truth.end_s).contains(&at_s) {
            self.detected = Some((at_s - truth.onset_s, cause));
            self.forecasts.alarm(at_s);
        }
    }

    fn hear(&mut self, at_s: f64, before: Level, verdict: &Verdict) {
        let truth = &self.truth;
        let level = verdict.level;
        let during = (truth.onset_s..=truth.end_s).contains(&at_s);
        let fell = before >= Level::Watch && level < Level::Watch;
        if fell && during && self.detected.is_some() {
            self.lost += 1;
        }
        if fell && at_s > truth.end_s {
            self.cleared_s.get_or_insert(at_s - truth.end_s);
        }
        if truth.exhausts.is_some() && at_s >= truth.onset_s {
            self.forecasts.hear(at_s, verdict.forecast);
        }
        if let Some(wanted) = truth.phase
            && verdict.phase == Some(wanted.phase)
        {
            if at_s < wanted.from_s - PHASE_EARLY_S {
                self.phase_early = true;
            } else {
                self.phase_s.get_or_insert((at_s - wanted.from_s).max(0.0));
            }
        }
    }

    fn finding(self, exhausted_s: Option<f64>) -> Finding {
        let truth = self.truth;
        let late_s = self.detected.map(|(delay_s, _)| delay_s);
        // A leak ends when nothing is left; what is said after that is no detection.
        let life_s = exhausted_s.map_or(f64::INFINITY, |at_s| at_s - truth.onset_s);
        let delay_s = late_s.filter(|delay_s| *delay_s <= truth.within_s && *delay_s <= life_s);
        let right = |cause| truth.causes.is_empty() || truth.causes.contains(&cause);
        let forecast = truth.exhausts.zip(exhausted_s);
        Finding {
            delay_s,
            late_s,
            cause: self.detected.map(|(_, cause)| (cause, right(cause))),
            clear_s: self.cleared_s,
            clears_s: truth.clears_s,
            lost: truth.stays.then_some(self.lost),
            forecast: forecast.map(|(shape, at_s)| self.forecasts.score(shape, truth.onset_s, at_s)),
            phase: truth.phase.map(|_| self.phase_s.filter(|_| !self.phase_early)),
            scope: truth.scope,
            signal: truth.signal,
            level: truth.level,
        }
    }
}

/// The labels of a generated scenario.
#[must_use]
pub fn labels(scenario: &Scenario) -> Labels {
    Labels {
        truths: scenario.truths.clone(),
        allowances: scenario.allowances.clone(),
        never: scenario.never.clone(),
        no_forecast: scenario.no_forecast,
    }
}

/// The judge as the agent has it, for a recording of this origin.
#[must_use]
pub fn judge(config: &sentinel::config::Config, origin: Origin, every_tick: bool) -> Judge {
    let mut config = JudgeConfig::from(config);
    config.every_tick = every_tick;
    Judge::new(config, Arc::new(origin))
}

/// Runs the scenario of this kind and seed.
#[must_use]
pub fn run(kind: &Kind, seed: u64, scale: f64) -> Outcome {
    let mut scenario = kind.scenario(seed, scale);
    let labels = labels(&scenario);
    let mut judge = judge(
        &scenario.model.config,
        scenario.model.origin(),
        labels.need_every_tick(),
    );
    let mut referee = Referee::new(labels);
    let mut verdicts = Vec::new();
    while let Some(sample) = scenario.next_sample() {
        judge.observe(sample, &mut verdicts);
        let at_s = scenario.model.seconds();
        referee.hear(at_s, scenario.model.is_crowded(), &verdicts);
        verdicts.clear();
    }
    let fine = scenario.model.config.interval.as_secs() <= 1;
    referee.end(kind.name, seed, kind.faulty, fine, scenario.model.exhausted.as_ref())
}

/// Runs a recording.
///
/// # Errors
/// When it cannot be read to its end.
pub fn run_recorded(recorded: &Recorded) -> Result<Outcome> {
    let replay = recorded.open()?;
    let config = recorded::config(&replay);
    let label = &recorded.label;
    let labels = Labels {
        truths: label.truths.clone(),
        allowances: label.allowances.clone(),
        never: label
            .never
            .iter()
            .map(|never| (never.scope.clone(), never.phase))
            .collect(),
        no_forecast: label.no_forecast,
    };
    let mut judge = judge(&config, replay.header().origin.clone(), labels.need_every_tick());
    let mut referee = Referee::new(labels);
    let mut verdicts = Vec::new();
    for sample in replay {
        let sample = sample.with_context(|| format!("reading {}", recorded.file.display()))?;
        judge.observe(&sample, &mut verdicts);
        referee.hear_sample(&sample, &verdicts);
        verdicts.clear();
    }
    let exhausted = label.exhausted_s.map(|at_s| (at_s, String::new()));
    let fine = config.interval.as_secs() <= 1;
    Ok(referee.end(&label.kind, 0, label.faulty, fine, exhausted.as_ref()))
}
