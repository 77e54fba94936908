//! The actor: plans what a verdict calls for, carries it out beside the agent, and hands back outcomes.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use nix::{libc, unistd::Uid};
use tokio::{
    sync::watch,
    task::{self, JoinError, JoinSet},
    time::timeout,
};

use super::{
    environment,
    hook::{self, Job},
    ledger::{Key, Ledger},
    outcome::{ActionResult, Outcome},
    output::Output,
    plan::{self, Plan},
    process::Program,
    veto::{self, PlanContext, Veto},
};
use crate::{
    config::{Account, Autonomy, Config, HookConfig},
    judge::Verdict,
    time::monotonic_ns,
};

/// How long a killed hook may take to be gone before the agent stops without it.
const KILL_WAIT: Duration = Duration::from_secs(1);

/// Turns verdicts into plans and plans into outcomes. Dropping it kills every hook that still runs.
pub struct Actor {
    autonomy: Autonomy,
    hooks: Vec<Arc<HookConfig>>,
    own: Option<Account>,
    vetoes: Vec<Box<dyn Veto>>,
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

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vetoes: Vec<_> = self.vetoes.iter().map(|veto| veto.name()).collect();
        f.debug_struct("Actor")
            .field("autonomy", &self.autonomy)
            .field("hooks", &self.hooks)
            .field("vetoes", &vetoes)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

impl Actor {
    /// An actor for the hooks of a config. Nothing runs before the first [`Actor::carry_out`].
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            autonomy: config.autonomy,
            hooks: config.hooks.iter().cloned().map(Arc::new).collect(),
            own: if config.hooks.is_empty() { None } else { Account::own() },
            vetoes: veto::all(),
            ledger: Ledger::default(),
            in_flight: BTreeSet::new(),
            running: JoinSet::new(),
            runs: HashMap::new(),
            stop: watch::Sender::new(false),
        }
    }

    /// Adds a rule; it is asked after those that are always there.
    #[must_use]
    pub fn with_veto(mut self, veto: Box<dyn Veto>) -> Self {
        self.vetoes.push(veto);
        self
    }

    /// One plan for each hook the verdict concerns, in the order of the config; the same is written into `verdict.plan`.
    ///
    /// Deterministic in `observe`: it depends on the verdicts and times it was given and on nothing else. `now_ns` is
    /// `CLOCK_MONOTONIC`, best the verdict's own. In `auto`, every plan that [runs](Plan::runs) counts as running from
    /// here on, so each must be given to [`Actor::carry_out`].
    pub fn plan(&mut self, verdict: &mut Verdict, now_ns: u64) -> Vec<Plan> {
        let mut plans = Vec::new();
        for (index, hook) in self.hooks.iter().enumerate() {
            if !plan::concerns(verdict, hook) {
                continue;
            }
            let key = Key::new(index, &verdict.scope);
            let context = PlanContext {
                verdict,
                hook,
                autonomy: self.autonomy,
                now_ns,
                last_run_ns: self.ledger.last(&key),
                runs_last_hour: self.ledger.last_hour(index, now_ns),
                still_running: self.in_flight.contains(&key),
                running: self.in_flight.len(),
            };
            let forbidden = self.vetoes.iter().find_map(|veto| veto.forbids(&context));
            let plan = Plan::for_hook(verdict, hook, self.autonomy != Autonomy::Auto, forbidden);
            if plan.forbidden.is_none() {
                self.ledger.record(&key, hook.cooldown, now_ns);
            }
            if plan.runs() {
                self.in_flight.insert(key);
            }
            plans.push(plan);
        }
        verdict.plan = plans.iter().map(Plan::planned_action).collect();
        plans
    }

    /// Starts what a plan says and returns at once; a plan that does not [run](Plan::runs) is passed over. `verdict` is
    /// what the hook gets on stdin: the one that was planned for, with its plan. Needs a tokio runtime with I/O and time.
    pub fn carry_out(&mut self, plan: &Plan, verdict: &Verdict) {
        let found = self
            .hooks
            .iter()
            .enumerate()
            .find(|(_, hook)| plan::action(hook) == plan.action);
        let Some((index, hook)) = found.filter(|_| plan.runs() && self.autonomy == Autonomy::Auto) else {
            return;
        };
        let key = Key::new(index, &verdict.scope);
        let mut input = serde_json::to_vec(verdict).unwrap_or_default();
        input.push(b'\n');
        let job = Job {
            plan: plan.clone(),
            program: Program {
                command: hook.command.clone(),
                account: hook.user.clone().filter(|user| !self.is_own(user)),
                variables: environment::variables(hook, verdict, hook.user.as_ref().or(self.own.as_ref())),
            },
            input,
            timeout: hook.timeout,
        };
        let id = self.running.spawn(hook::run(job, self.stop.subscribe())).id();
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

    /// An agent that is not root can still run a hook as itself. Root becomes root anew, without supplementary groups.
    fn is_own(&self, user: &Account) -> bool {
        let own = Uid::effective();
        !own.is_root() && user.uid == own.as_raw()
    }

    /// Outcomes of the hooks that ended since the last call, in the order they ended; never waits. To be called each
    /// tick before [`Actor::plan`].
    pub fn outcomes(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some(joined) = self.running.try_join_next_with_id() {
            outcomes.extend(self.settle(joined));
        }
        outcomes
    }

    /// Hooks that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Gives hooks `grace` to end by themselves, then kills every group. Returns the outcomes that are left. Takes at
    /// most a second more than `grace`.
    pub async fn drain(&mut self, grace: Duration) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let _ = timeout(grace, self.join_all(&mut outcomes)).await;
        self.stop.send_replace(true);
        let _ = timeout(KILL_WAIT, self.join_all(&mut outcomes)).await;
        // What is left was killed and has not gone, in a system call that nothing interrupts.
        self.running.abort_all();
        for (_, run) in self.runs.drain() {
            let killed = ActionResult::Killed { signal: libc::SIGKILL };
            outcomes.push(hook::outcome(&run.plan, killed, run.started_ns, &Output::default()));
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
            hook::outcome(
                &run.plan,
                ActionResult::NotStarted { reason },
                run.started_ns,
                &Output::default(),
            )
        }))
    }
}
