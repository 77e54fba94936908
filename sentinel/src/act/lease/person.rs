//! What a person asked for: an action on a cgroup of their choice, or its end. The same limits hold as for a rule, but for
//! those that only a verdict can break.

use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use ulid::Ulid;

use super::{Answer, Desk, held::Called, order::Wanted, planning::Request};
use crate::{
    act::{
        action::LeaseId,
        control::{Caller, Reply, protocol::Apply},
        veto::Veto,
    },
    config::{Autonomy, RuleAction, RuleConfig},
    judge::verdict::Level,
    sense::sample::Scope,
    time::Now,
};

/// The longest a person's order is renewed, milliseconds: a day.
const MOST_FOR_MS: u64 = 86_400_000;
/// Nanoseconds in a millisecond.
const MS_NS: u64 = 1_000_000;

impl Desk {
    /// Does what a person asks; answers when it was done, or at once where it may not be.
    pub(in crate::act) fn apply(
        &mut self,
        apply: &Apply,
        by: &Caller,
        vetoes: &[Box<dyn Veto>],
        to: oneshot::Sender<Reply>,
        now: Now,
    ) {
        match self.ordered(apply, by, vetoes, now) {
            Ok((lease, draft)) => {
                let done = format!("{} holds on {}: lease {lease}", apply.action.name(), apply.scope);
                self.answers.insert(lease, Answer { to, done });
                self.grant(draft, now);
            }
            Err(reason) => drop(to.send(Reply::Refused { reason })),
        }
    }

    fn ordered(
        &self,
        apply: &Apply,
        by: &Caller,
        vetoes: &[Box<dyn Veto>],
        now: Now,
    ) -> Result<(LeaseId, super::Draft), String> {
        if self.autonomy == Autonomy::Observe {
            return Err(
                "autonomy is `observe`: nothing is loaded that could act; start the agent with `--autonomy approve`"
                    .into(),
            );
        }
        if apply.for_ms > MOST_FOR_MS {
            return Err(format!("`--for` may be a day at the most, not {} ms", apply.for_ms));
        }
        let scope = self.scope(&apply.scope)?;
        if apply.action == RuleAction::Freeze && !self.limits.allow_freeze {
            return Err("freezing is not allowed: set `allow_freeze = true` below [veto] and restart the agent".into());
        }
        let wanted = Wanted {
            action: apply.action,
            reserve_per_s: apply.reserve_per_s,
            keep_pct: apply.keep_pct,
            fan_out_milli: apply.fan_out_milli,
        };
        let rule = RuleConfig {
            name: "by hand".into(),
            causes: Vec::new(),
            level: Level::Veto,
            scope: None,
            action: apply.action,
            reserve_per_s: 0,
            keep_pct: 0,
        };
        let request = Request {
            id: self.id(&scope, now),
            scope: &scope,
            wanted,
            called: Called {
                rule: None,
                signal: None,
                verdict_id: None,
            },
            reason: format!("{by}: {}", apply.reason),
            ttl: apply.ttl_ms,
            hold_ns: apply.for_ms.max(apply.ttl_ms.ms()).saturating_mul(MS_NS),
        };
        let sample = std::sync::Arc::clone(&self.last);
        let draft = self.draft(&request, &sample);
        if let Some(why) = self.objection(&rule, None, &scope, &draft, false, &sample, vetoes, now.monotonic_ns) {
            return Err(why);
        }
        let draft = draft?;
        Ok((draft.order.lease().clone(), draft))
    }

    /// The scope a person named, as the sensors know it.
    fn scope(&self, path: &str) -> Result<Scope, String> {
        let mut scopes = self.last.all();
        let found = scopes.find(|scope| scope.path == path || scope.unit.as_deref() == Some(path));
        let found = found.ok_or_else(|| {
            format!("no cgroup {path:?} is watched; give its path from the root of the hierarchy, or its unit, as in a verdict's scope")
        })?;
        Ok(Scope::clone(found))
    }

    /// ULID: the time, and 80 bits of a hash of what nobody asks for twice.
    fn id(&self, scope: &Scope, now: Now) -> String {
        let hash = Sha256::new()
            .chain_update("sentinel.lease/1")
            .chain_update(now.monotonic_ns.to_le_bytes())
            .chain_update(scope.cgroup_id.to_le_bytes())
            .finalize();
        let random = hash
            .iter()
            .take(10)
            .fold(0u128, |all, byte| all << 8 | u128::from(*byte));
        Ulid::from_parts(u64::try_from(now.unix_ms).unwrap_or(0), random).to_string()
    }

    /// Undoes a lease because a person asks.
    pub(in crate::act) fn lift(&mut self, lease: &LeaseId, by: &Caller, to: oneshot::Sender<Reply>) {
        if !self.held.contains_key(lease) {
            let reason =
                format!("no lease {lease} is held and no such plan waits; `sentinel veto list` shows those that are");
            drop(to.send(Reply::Refused { reason }));
            return;
        }
        let done = format!("lease {lease} is lifted");
        self.answers.insert(lease.clone(), Answer { to, done });
        self.end(lease, format!("{by} asked for it"));
    }

    /// Tells whoever waits what came of a lease.
    pub(super) fn answer(&mut self, lease: &LeaseId, result: Result<(), String>) {
        let Some(Answer { to, done }) = self.answers.remove(lease) else {
            return;
        };
        // Whoever asked may have gone.
        drop(to.send(match result {
            Ok(()) => Reply::Done { text: done },
            Err(reason) => Reply::Refused { reason },
        }));
    }
}
