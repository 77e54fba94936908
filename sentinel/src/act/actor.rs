//! The actor: plans what a verdict calls for, has it carried out beside the agent, answers what a person asks, and hands
//! back outcomes. Hooks are run by [`Hooks`], actions on cgroups held by the [`Desk`]; what waits for approval, waits here.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use tokio::sync::{mpsc::UnboundedReceiver, oneshot};

use super::{
    action::LeaseId,
    control::{Caller, Command, Listed, Reply, Request, protocol::RuleView},
    hands::{Done, Hands},
    hooks::Hooks,
    lease::{Desk, Draft, LeaseView, Protected, WaitingView},
    outcome::{self, ActionResult, Outcome},
    plan::Plan,
    runner::Runner,
    veto::{self, Veto},
    waiting::{Queue, Waiting},
};
use crate::{
    config::{Autonomy, Config},
    judge::{
        Verdict,
        verdict::{Level, Signal},
    },
    sense::sample::Sample,
    time::Now,
};

/// How long what was done to cgroups may take to be undone when the agent ends.
const UNDO_WAIT: Duration = Duration::from_secs(2);

/// Turns verdicts into plans and plans into outcomes. Dropping it kills every hook that still runs, and undoes what holds.
pub struct Actor {
    autonomy: Autonomy,
    approval_ns: u64,
    hooks: Hooks,
    desk: Desk,
    vetoes: Vec<Box<dyn Veto>>,
    /// What the plans of the last verdict would order.
    drafts: BTreeMap<String, Draft>,
    waiting: Queue,
    said: Vec<Outcome>,
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vetoes: Vec<_> = self.vetoes.iter().map(|veto| veto.name()).collect();
        f.debug_struct("Actor")
            .field("autonomy", &self.autonomy)
            .field("vetoes", &vetoes)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

impl Actor {
    /// An actor for a config. It plans; without [hands](Self::with_hands) it does nothing to any cgroup.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            autonomy: config.autonomy,
            approval_ns: u64::try_from(config.veto.approval.as_nanos()).unwrap_or(u64::MAX),
            hooks: Hooks::new(config),
            desk: Desk::new(config),
            vetoes: veto::all(),
            drafts: BTreeMap::new(),
            waiting: Queue::default(),
            said: Vec::new(),
        }
    }

    /// With hands on this host. `blind`: sensors that do not run, with the reason.
    #[must_use]
    pub fn with_hands(mut self, hands: Box<dyn Hands>, protected: Protected, blind: Vec<(String, String)>) -> Self {
        self.desk.on_this_host(hands, protected, blind);
        self
    }

    /// A sensor does not run any more.
    pub fn blinded(&mut self, sensor: &str, reason: &str) {
        self.desk.blinded(sensor, reason);
    }

    /// A sensor runs again.
    pub fn sees_again(&mut self, sensor: &str) {
        self.desk.sees_again(sensor);
    }

    /// With hooks run by somebody else than this process.
    #[must_use]
    pub fn with_runner(mut self, runner: Box<dyn Runner>) -> Self {
        self.hooks.run_by(runner);
        self
    }

    /// Plans by the hooks, rules and limits of another config from now on. What runs or holds goes on as it began; autonomy
    /// stays, and so does what a hook's cooldown and cap count.
    pub fn take_over(&mut self, config: &Config) {
        self.approval_ns = u64::try_from(config.veto.approval.as_nanos()).unwrap_or(u64::MAX);
        self.hooks.take_over(config);
        self.desk.take_over(config);
    }

    /// Adds a rule that can forbid; it is asked after those that are always there.
    #[must_use]
    pub fn with_veto(mut self, veto: Box<dyn Veto>) -> Self {
        self.vetoes.push(veto);
        self
    }

    /// Plans for one verdict: each rule that it calls on, then each hook it concerns, in the order of the config. The same
    /// is written into `verdict.plan`. `sample` is the one it was judged from.
    ///
    /// Deterministic in `observe`: it depends on the verdicts, samples and times it was given and on nothing else. `now_ns`
    /// is `CLOCK_MONOTONIC`, best the verdict's own. Every plan must be given to [`Actor::carry_out`] before the next call.
    pub fn plan(&mut self, verdict: &mut Verdict, sample: &Sample, now_ns: u64) -> Vec<Plan> {
        self.drafts.clear();
        let mut plans = Vec::new();
        let waiting = |id, action: &str| self.waiting.has(id, action);
        for (plan, draft) in self.desk.plan(verdict, sample, &waiting, &self.vetoes, now_ns) {
            if let Some(draft) = draft {
                self.drafts.insert(plan.id.clone(), draft);
            }
            plans.push(plan);
        }
        plans.extend(self.hooks.plan(verdict, &self.vetoes, now_ns));
        verdict.plan = plans.iter().map(Plan::planned_action).collect();
        plans
    }

    /// Begins what a plan says, or lets it wait for approval, and returns at once. `verdict` is the one that was planned
    /// for, with its plan. Needs a tokio runtime with I/O and time.
    pub fn carry_out(&mut self, plan: &Plan, verdict: &Verdict, now: Now) {
        let draft = self.drafts.remove(&plan.id);
        if plan.waits && plan.forbidden.is_none() && self.autonomy == Autonomy::Approve {
            let waiting = Waiting {
                plan: plan.clone(),
                verdict: Arc::new(verdict.clone()),
                draft,
                until_ns: now.monotonic_ns.saturating_add(self.approval_ns),
            };
            if let Some(crowded) = self.waiting.add(waiting) {
                self.said.push(expired(&crowded, now));
            }
            return;
        }
        if !plan.runs() || self.autonomy != Autonomy::Auto {
            return;
        }
        match draft {
            Some(draft) => self.desk.grant(draft, now),
            None => self.hooks.carry_out(plan, verdict),
        }
    }

    /// Takes in a reading that was judged; `level_of` tells the level of a cgroup's signal.
    pub fn observe(&mut self, sample: &Arc<Sample>, level_of: &dyn Fn(u64, Signal) -> Option<Level>, now: Now) {
        self.desk.observe(sample, level_of, now);
        self.tend(now);
    }

    /// Renews and ends what is due. To be called several times a second while [something holds](Self::holds).
    pub fn tend(&mut self, now: Now) {
        self.desk.tend(now);
        for waiting in self.waiting.expire(now.monotonic_ns) {
            self.said.push(expired(&waiting, now));
        }
    }

    /// Whether anything holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.desk.holds()
    }

    /// Takes in what the hands said.
    pub fn hear(&mut self, done: Done, now: Now) {
        self.desk.hear(done, now);
    }

    /// Does what a person asks. The answer comes at once, or when the hands have done it.
    pub fn command(&mut self, command: Command, now: Now) {
        let Command { request, by, answer } = command;
        // Looking changes nothing, and a screen looks every second.
        if matches!(request, Request::List) {
            tracing::debug!("{by} asks: {request:?}");
        } else {
            tracing::info!("{by} asks: {request:?}");
        }
        match request {
            Request::List => drop(answer.send(Reply::Listed(self.listed(now)))),
            Request::Approve { plan } => drop(answer.send(reply(self.approve(&plan, &by, now)))),
            Request::Lift { lease } => self.lift(&lease, &by, answer, now),
            Request::Apply(apply) => self.desk.apply(&apply, &by, &self.vetoes, answer, now),
            Request::Arm { rule } => {
                let armed = self.desk.arm(&rule).map(|was_disarmed| {
                    let how = if was_disarmed { "acts again" } else { "was not disarmed" };
                    format!("rule {rule} {how}")
                });
                drop(answer.send(reply(armed)));
            }
        }
    }

    fn approve(&mut self, id: &LeaseId, by: &Caller, now: Now) -> Result<String, String> {
        self.tend(now);
        let Some(waiting) = self.waiting.take(id) else {
            return Err(format!(
                "no plan {id} waits: it was never made, was approved or lifted already, or its time is over; \
                 `sentinel veto list` shows those that wait"
            ));
        };
        let Waiting {
            mut plan,
            verdict,
            draft,
            ..
        } = waiting;
        plan.waits = false;
        let said = format!("{} on {} is approved by {by}", plan.action, plan.scope);
        let Some(draft) = draft else {
            self.hooks.carry_out(&plan, &verdict);
            return Ok(said);
        };
        // What was allowed when it was planned may not be any more.
        if let Some(why) = self
            .desk
            .objection_to(&plan, &verdict, &draft, &self.vetoes, now.monotonic_ns)
        {
            return Err(format!("it is not carried out any more: {why}"));
        }
        self.desk.grant(draft, now);
        Ok(said)
    }

    fn lift(&mut self, lease: &LeaseId, by: &Caller, answer: oneshot::Sender<Reply>, now: Now) {
        let Some(waiting) = self.waiting.take(lease) else {
            self.desk.lift(lease, by, answer);
            return;
        };
        let ended = ActionResult::Ended {
            why: format!("{by} does not approve it"),
            refused: None,
            allowed: None,
        };
        self.said.push(of_waiting(&waiting, ended, now));
        let text = format!("plan {lease} is dropped");
        drop(answer.send(Reply::Done { text }));
    }

    /// What there is to say since the last call: hooks that ended, and leases that began, had their effect or ended.
    /// Never waits. To be called each reading before [`Actor::plan`].
    pub fn outcomes(&mut self) -> Vec<Outcome> {
        let mut outcomes = std::mem::take(&mut self.said);
        outcomes.append(&mut self.desk.said());
        outcomes.append(&mut self.hooks.outcomes());
        outcomes
    }

    /// What holds, as of a moment (`CLOCK_MONOTONIC`, nanoseconds), the oldest first.
    #[must_use]
    pub fn leases(&self, now_ns: u64) -> Vec<LeaseView> {
        self.desk.views(now_ns)
    }

    /// What waits for approval, as of a moment, the oldest first.
    #[must_use]
    pub fn waiting(&self, now_ns: u64) -> Vec<WaitingView> {
        self.waiting.views(now_ns)
    }

    /// Rules, and whether they act.
    #[must_use]
    pub fn rules(&self) -> Vec<RuleView> {
        self.desk.rules()
    }

    fn listed(&self, now: Now) -> Listed {
        Listed {
            autonomy: self.autonomy,
            leases: self.leases(now.monotonic_ns),
            waiting: self.waiting(now.monotonic_ns),
            rules: self.rules(),
        }
    }

    /// Hooks that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.hooks.running()
    }

    /// Undoes what holds and gives hooks `grace` to end by themselves, then kills every group. Returns the outcomes that
    /// are left. Takes at most a few seconds more than `grace`.
    pub async fn drain(&mut self, grace: Duration, done: Option<&mut UnboundedReceiver<Done>>) -> Vec<Outcome> {
        self.desk.end_all();
        if let Some(done) = done {
            let undone = async {
                while self.desk.holds() {
                    let Some(done) = done.recv().await else { break };
                    self.desk.hear(done, Now::read());
                }
            };
            let _ = tokio::time::timeout(UNDO_WAIT, undone).await;
        }
        let mut outcomes = self.outcomes();
        outcomes.append(&mut self.hooks.drain(grace).await);
        self.desk.finish();
        outcomes
    }
}

fn reply(result: Result<String, String>) -> Reply {
    match result {
        Ok(text) => Reply::Done { text },
        Err(reason) => Reply::Refused { reason },
    }
}

fn expired(waiting: &Waiting, now: Now) -> Outcome {
    of_waiting(waiting, ActionResult::Expired, now)
}

/// An outcome of a plan that was never carried out.
fn of_waiting(waiting: &Waiting, result: ActionResult, now: Now) -> Outcome {
    let plan = &waiting.plan;
    Outcome {
        schema: outcome::SCHEMA.into(),
        time: now.rfc3339(),
        verdict_id: Some(plan.verdict_id.clone()),
        lease: plan.rule.as_ref().map(|_| plan.id.clone()),
        action: plan.action.clone(),
        scope: plan.scope.clone(),
        signal: Some(plan.signal),
        result,
        duration_ms: now.monotonic_ns.saturating_sub(waiting.verdict.monotonic_ns) / 1_000_000,
        output_tail: String::new(),
        output_bytes: 0,
    }
}
