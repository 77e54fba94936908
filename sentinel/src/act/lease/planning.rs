//! From a verdict, or what a person wants, to what would be ordered, and why it may not be. Rules and measurements come
//! in; plans and drafts go out. Orders nothing.

use std::time::Duration;

use super::{
    Desk, caps,
    effect::{Expectation, Measured},
    held::Called,
    order::{Wanted, order},
};
use crate::{
    act::{
        action::{Order, Ttl},
        hands::Hand,
        plan::{self, Plan},
        veto::{LeaseFacts, PlanContext, Step, Veto},
    },
    config::{Autonomy, RuleAction, RuleConfig, VetoConfig},
    judge::{
        Verdict,
        verdict::{Phase, Signal},
    },
    sense::sample::{Sample, Scope},
    time::Now,
};

/// What would be ordered, before it is allowed.
#[derive(Clone, Debug)]
pub(in crate::act) struct Draft {
    pub(super) order: Order,
    pub(super) called: Called,
    pub(super) expectation: Expectation,
    pub(super) hold_ns: u64,
}

impl Draft {
    /// What it should bring, in one sentence.
    pub(super) fn expects(&self) -> String {
        self.expectation.sentence()
    }
}

/// What is wanted on a scope, and by whom.
pub(super) struct Request<'a> {
    pub(super) id: String,
    pub(super) scope: &'a Scope,
    pub(super) wanted: Wanted,
    pub(super) called: Called,
    pub(super) reason: String,
    pub(super) ttl: Ttl,
    pub(super) hold_ns: u64,
}

impl Desk {
    /// A plan for each rule that a verdict calls on; with what to order for those that may be carried out.
    pub(in crate::act) fn plan(
        &mut self,
        verdict: &Verdict,
        sample: &Sample,
        waiting: &dyn Fn(u64, &str) -> bool,
        vetoes: &[Box<dyn Veto>],
        now_ns: u64,
    ) -> Vec<(Plan, Option<Draft>)> {
        let mut plans = Vec::new();
        // The kernel keeps one policy for each cgroup: of two rules the first has it.
        let mut taken = false;
        for rule in self.rules.configs() {
            if !concerns(verdict, &rule) || self.is_held(verdict.scope.cgroup_id, rule.action) {
                continue;
            }
            self.note_call(&rule, &verdict.scope, now_ns);
            let request = Request {
                id: plan::id(verdict, rule.action.name()),
                scope: &verdict.scope,
                wanted: Wanted::by(&rule, verdict),
                called: Called {
                    rule: Some(rule.name.clone()),
                    signal: Some(verdict.signal),
                    verdict_id: Some(verdict.id.clone()),
                },
                reason: plan::reason(verdict),
                ttl: ttl(&self.limits),
                hold_ns: nanoseconds(self.limits.max_hold),
            };
            let draft = self.draft(&request, sample);
            let kernel = Hand::of_rule(rule.action) == Hand::Kernel;
            let waits = waiting(verdict.scope.cgroup_id, rule.action.name()) || kernel && taken;
            let forbidden = self.objection(
                &rule,
                Some(verdict),
                request.scope,
                &draft,
                waits,
                sample,
                vetoes,
                now_ns,
            );
            taken |= kernel && forbidden.is_none();
            let expects = draft.as_ref().ok().map(Draft::expects);
            plans.push((
                Plan::for_rule(
                    verdict,
                    &rule,
                    request.id,
                    request.ttl.ms(),
                    expects,
                    self.autonomy,
                    forbidden,
                ),
                draft.ok(),
            ));
        }
        plans
    }

    /// Why a draft may not be ordered now; asked again when a plan that waited is approved.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a fact of its own, and this is the one place that joins them"
    )]
    pub(super) fn objection(
        &self,
        rule: &RuleConfig,
        verdict: Option<&Verdict>,
        scope: &Scope,
        draft: &Result<Draft, String>,
        waits: bool,
        sample: &Sample,
        vetoes: &[Box<dyn Veto>],
        now_ns: u64,
    ) -> Option<String> {
        let hand = Hand::of_rule(rule.action);
        let sensor = verdict.map(|verdict| sensor(verdict.signal));
        let blind = self
            .blind
            .iter()
            .find(|(name, _)| sensor.is_some_and(|sensor| name.split('.').next() == Some(sensor)));
        let facts = LeaseFacts {
            rule,
            limits: &self.limits,
            disarmed: verdict.and_then(|_| self.rules.disarmed(&rule.name)),
            unavailable: self.unavailable.get(&hand).map(String::as_str),
            blind: blind.map(|(_, reason)| reason.as_str()),
            protected: self.protected.objection(scope, sample.all()),
            unmeasured: draft.as_ref().err().cloned(),
            held: waits || self.is_held(scope.cgroup_id, rule.action),
            scopes: self.scopes(),
            active: caps::active(sample, scope),
            last_hour: self.starts.last_hour(now_ns),
        };
        let context = PlanContext {
            verdict,
            scope,
            step: Step::Lease(facts),
            autonomy: self.autonomy,
            now_ns,
        };
        vetoes.iter().find_map(|veto| veto.forbids(&context))
    }

    /// Why a plan that waited may not be carried out any more.
    pub(in crate::act) fn objection_to(
        &self,
        plan: &Plan,
        verdict: &Verdict,
        draft: &Draft,
        vetoes: &[Box<dyn Veto>],
        now_ns: u64,
    ) -> Option<String> {
        let name = plan.rule.as_deref()?;
        let (rule, draft) = (self.rules.config(name)?, Ok(draft.clone()));
        self.objection(
            &rule,
            Some(verdict),
            &verdict.scope,
            &draft,
            false,
            &self.last,
            vetoes,
            now_ns,
        )
    }

    /// What would be ordered.
    pub(super) fn draft(&self, request: &Request<'_>, sample: &Sample) -> Result<Draft, String> {
        let measured = measured(sample, request.scope.cgroup_id);
        let action = request.wanted.action(&measured)?;
        let expectation = Expectation::of(&action, &measured, nanoseconds(self.limits.effect_after));
        let order = order(&request.id, request.scope, action, request.ttl, &request.reason);
        Ok(Draft {
            order: order.map_err(|error| error.to_string())?,
            called: request.called.clone(),
            expectation,
            hold_ns: request.hold_ns,
        })
    }

    /// Notes that a scope called for a rule; too many at once disarm it.
    fn note_call(&mut self, rule: &RuleConfig, scope: &Scope, monotonic_ns: u64) {
        let now = Now {
            unix_ms: self.last.now.unix_ms,
            monotonic_ns,
        };
        let most = self.limits.max_scopes as usize;
        let said = self.rules.note_call(&rule.name, scope, most, now);
        self.said.extend(said);
    }
}

/// Whether a verdict calls on a rule: its level and cause, a scope the rule is for, and a phase in which its action can
/// help.
fn concerns(verdict: &Verdict, rule: &RuleConfig) -> bool {
    let rose = verdict.previous < rule.level;
    verdict.level >= rule.level
        && (rose || verdict.autonomy != Autonomy::Observe)
        && rule.causes.contains(&verdict.cause)
        && plan::matches(&verdict.scope, rule.scope.as_ref())
        && (rule.action != RuleAction::Admission || is_overloaded(verdict))
}

/// Whether a scope is overloaded now, and not only at risk or on its way back. Signals without a phase tell by their level.
const fn is_overloaded(verdict: &Verdict) -> bool {
    matches!(
        verdict.phase,
        None | Some(Phase::Overloaded | Phase::Amplifying | Phase::Metastable)
    )
}

/// What a reading says of a scope.
pub(super) fn measured(sample: &Sample, cgroup_id: u64) -> Measured {
    let part = sample.part(cgroup_id);
    part.map_or_else(Measured::default, |part| Measured::of(&part, &sample.elapsed))
}

/// The sensor a signal rests on; attribution, for what the agent says about itself.
const fn sensor(signal: Signal) -> &'static str {
    match signal {
        Signal::Jitter | Signal::Cost => "sched",
        Signal::Fever => "mem",
        Signal::Amplification => "net",
    }
}

fn ttl(limits: &VetoConfig) -> Ttl {
    let ms = u64::try_from(limits.ttl.as_millis()).unwrap_or(u64::MAX);
    // The configuration keeps to the same bounds.
    Ttl::try_from(ms).unwrap_or_default()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
