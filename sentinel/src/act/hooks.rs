//! The hooks of a run: which a verdict concerns, those that run now, and what became of them. A [`Runner`] runs each beside
//! the agent.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use nix::libc;
use tokio::{
    sync::watch,
    task::{self, JoinError, JoinSet},
    time::timeout,
};

use super::{
    ledger::{Key, Ledger},
    outcome::{self, ActionResult, Outcome},
    plan::{self, Plan},
    runner::{HooksHere, Ran, Runner},
    veto::{HookFacts, PlanContext, Step, Veto},
};
use crate::{
    config::{Autonomy, Config, HookConfig},
    judge::Verdict,
    time::{Now, monotonic_ns},
};

/// How long a killed hook may take to be gone before the agent stops without it.
const KILL_WAIT: Duration = Duration::from_secs(1);

/// The number of a hook that is not in the config any more but may still run.
const GONE: usize = usize::MAX;

/// Turns verdicts into runs of hooks. Dropping it kills every hook that still runs.
pub(super) struct Hooks {
    autonomy: Autonomy,
    hooks: Vec<Arc<HookConfig>>,
    runner: Box<dyn Runner>,
    ledger: Ledger,
    /// What was planned to run and has not ended.
    in_flight: BTreeSet<Key>,
    running: JoinSet<Outcome>,
    runs: HashMap<task::Id, Run>,
    stop: watch::Sender<bool>,
}

/// What to say of a run that cannot speak for itself any more.
struct Run {
    key: Key,
    plan: Plan,
    started_ns: u64,
}

impl Run {
    fn cut_short(&self, result: ActionResult) -> Outcome {
        let duration_ms = monotonic_ns().saturating_sub(self.started_ns) / 1_000_000;
        outcome(&self.plan, Ran::without_output(result, duration_ms))
    }
}

/// The outcome of a plan whose run ends now.
fn outcome(plan: &Plan, ran: Ran) -> Outcome {
    Outcome {
        schema: outcome::SCHEMA.into(),
        time: Now::read().rfc3339(),
        verdict_id: Some(plan.verdict_id.clone()),
        lease: None,
        action: plan.action.clone(),
        scope: plan.scope.clone(),
        signal: Some(plan.signal),
        result: ran.result,
        duration_ms: ran.duration_ms,
        output_tail: ran.output_tail,
        output_bytes: ran.output_bytes,
    }
}

impl Hooks {
    /// Those of a config. Nothing runs before the first [`Hooks::carry_out`].
    pub(super) fn new(config: &Config) -> Self {
        Self {
            autonomy: config.autonomy,
            hooks: config.hooks.iter().cloned().map(Arc::new).collect(),
            runner: Box::new(HooksHere::new(config)),
            ledger: Ledger::default(),
            in_flight: BTreeSet::new(),
            running: JoinSet::new(),
            runs: HashMap::new(),
            stop: watch::Sender::new(false),
        }
    }

    /// Run by somebody else from now on.
    pub(super) fn run_by(&mut self, runner: Box<dyn Runner>) {
        self.runner = runner;
    }

    /// The hooks of another config from now on. One of the same name keeps its cooldown and its count of runs.
    pub(super) fn take_over(&mut self, config: &Config) {
        let places: Vec<Option<usize>> = self
            .hooks
            .iter()
            .map(|old| config.hooks.iter().position(|new| new.name == old.name))
            .collect();
        let place = |old: usize| places.get(old).copied().flatten();
        self.ledger.renumber(&place);
        let renumbered = |key: &Key| Key {
            hook: place(key.hook).unwrap_or(GONE),
            ..key.clone()
        };
        self.in_flight = self.in_flight.iter().map(renumbered).collect();
        for run in self.runs.values_mut() {
            run.key = renumbered(&run.key);
        }
        self.hooks = config.hooks.iter().cloned().map(Arc::new).collect();
        self.runner.take_over(config);
    }

    /// One plan for each hook the verdict concerns, in the order of the config.
    ///
    /// Deterministic in `observe`: it depends on the verdicts and times it was given and on nothing else. `now_ns` is
    /// `CLOCK_MONOTONIC`, best the verdict's own. In `auto`, every plan that [runs](Plan::runs) counts as running from
    /// here on, so each must be given to [`Hooks::carry_out`].
    pub(super) fn plan(&mut self, verdict: &Verdict, vetoes: &[Box<dyn Veto>], now_ns: u64) -> Vec<Plan> {
        let mut plans = Vec::new();
        for (index, hook) in self.hooks.iter().enumerate() {
            if !plan::concerns(verdict, hook) {
                continue;
            }
            let key = Key::new(index, &verdict.scope);
            let facts = HookFacts {
                hook,
                last_run_ns: self.ledger.last(&key),
                runs_last_hour: self.ledger.last_hour(index, now_ns),
                still_running: self.in_flight.contains(&key),
                running: self.in_flight.len(),
            };
            let context = PlanContext {
                verdict: Some(verdict),
                scope: &verdict.scope,
                step: Step::Hook(facts),
                autonomy: self.autonomy,
                now_ns,
            };
            let forbidden = vetoes.iter().find_map(|veto| veto.forbids(&context));
            let plan = Plan::for_hook(verdict, hook, self.autonomy, forbidden);
            if plan.forbidden.is_none() {
                self.ledger.record(&key, hook.cooldown, now_ns);
            }
            if plan.runs() {
                self.in_flight.insert(key);
            }
            plans.push(plan);
        }
        plans
    }

    /// Starts what a plan says and returns at once; a plan that does not [run](Plan::runs), or of no hook, is passed over.
    /// `verdict` is what the hook gets on stdin. Needs a tokio runtime with I/O and time.
    pub(super) fn carry_out(&mut self, plan: &Plan, verdict: &Verdict) {
        let found = self
            .hooks
            .iter()
            .enumerate()
            .find(|(_, hook)| plan::action(hook) == plan.action);
        let Some((index, hook)) = found.filter(|_| plan.runs() && self.autonomy != Autonomy::Observe) else {
            return;
        };
        let key = Key::new(index, &verdict.scope);
        let run = self.runner.run(&hook.name, verdict, self.stop.subscribe());
        let id = {
            let plan = plan.clone();
            self.running.spawn(async move { outcome(&plan, run.await) }).id()
        };
        self.in_flight.insert(key.clone());
        self.runs.insert(
            id,
            Run {
                key,
                plan: plan.clone(),
                started_ns: monotonic_ns(),
            },
        );
    }

    /// Outcomes of the hooks that ended since the last call, in the order they ended; never waits. To be called each
    /// tick before [`Hooks::plan`].
    pub(super) fn outcomes(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some(joined) = self.running.try_join_next_with_id() {
            outcomes.extend(self.settle(joined));
        }
        outcomes
    }

    /// Hooks that run now.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// Gives hooks `grace` to end by themselves, then kills every group. Returns the outcomes that are left. Takes at
    /// most a second more than `grace`.
    pub(super) async fn drain(&mut self, grace: Duration) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let _ = timeout(grace, self.join_all(&mut outcomes)).await;
        self.stop.send_replace(true);
        let _ = timeout(KILL_WAIT, self.join_all(&mut outcomes)).await;
        // What is left was killed and has not gone, in a system call that nothing interrupts.
        self.running.abort_all();
        for (_, run) in self.runs.drain() {
            let killed = ActionResult::Killed { signal: libc::SIGKILL };
            outcomes.push(run.cut_short(killed));
        }
        self.in_flight.clear();
        outcomes
    }

    async fn join_all(&mut self, outcomes: &mut Vec<Outcome>) {
        while let Some(joined) = self.running.join_next_with_id().await {
            outcomes.extend(self.settle(joined));
        }
    }

    fn settle(&mut self, joined: Result<(task::Id, Outcome), JoinError>) -> Option<Outcome> {
        let (id, outcome) = match joined {
            Ok((id, outcome)) => (id, Ok(outcome)),
            Err(error) => (error.id(), Err(error)),
        };
        let run = self.runs.remove(&id)?;
        self.in_flight.remove(&run.key);
        Some(outcome.unwrap_or_else(|error| {
            let reason = format!("the task that attends to it failed ({error}); please report this");
            run.cut_short(ActionResult::NotStarted { reason })
        }))
    }
}
