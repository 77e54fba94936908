//! Acting as a contract: what runs, what does not, and what is left of it afterwards.

mod admission;
mod ends;
mod leases;
mod limits;
mod plans;
mod runs;
pub(super) mod scene;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    action::LeaseId,
    control::{Caller, Command, Reply, Request},
    *,
};
use crate::{
    config::Config,
    judge::{
        Verdict,
        verdict::{self, Cause, Level, Phase, Signal},
    },
    sense::sample::{Sample, Scope, ScopeKind},
    time::{Now, monotonic_ns},
};

const SECOND: u64 = 1_000_000_000;

/// A config with one hook named `it`, whose command is a shell script, and these keys besides.
fn config(autonomy: &str, script: &str, more: &str) -> Config {
    let text = format!(
        "autonomy = \"{autonomy}\"\nrule = []\n[[hook]]\nname = \"it\"\ncommand = [\"/bin/sh\", \"-c\", '''{script}''']\n{more}\n"
    );
    Config::from_toml(&text, Path::new("test.toml")).unwrap_or_else(|error| panic!("{error}"))
}

fn verdict_of(unit: &str, previous: Level, level: Level) -> Verdict {
    Verdict {
        schema: verdict::SCHEMA.into(),
        id: "01JTEST".into(),
        seq: 1,
        time: "2026-01-01T00:00:00.000Z".into(),
        boot_id: "boot".into(),
        monotonic_ns: 0,
        host: "host".into(),
        scope: Arc::new(Scope {
            kind: ScopeKind::Cgroup,
            path: format!("/system.slice/{unit}"),
            unit: Some(unit.into()),
            container: None,
            cgroup_id: 4711,
        }),
        signal: Signal::Amplification,
        level,
        previous,
        cause: Cause::RetryStorm,
        phase: Some(Phase::Amplifying),
        value: Some(3.5),
        unit: "ratio".into(),
        baseline: None,
        sigma: None,
        velocity_per_s: None,
        acceleration_per_s2: None,
        rarity: None,
        calibration: None,
        forecast: None,
        risk: None,
        destination: None,
        incident: None,
        features: BTreeMap::new(),
        window_ms: 2000,
        coverage: 1.0,
        lost: 0,
        autonomy: crate::config::Autonomy::Auto,
        plan: Vec::new(),
        summary: "shop.service sends 3.5 requests for each one it receives".into(),
    }
}

pub(super) fn storm() -> Verdict {
    verdict_of("shop.service", Level::Watch, Level::Veto)
}

/// Plans and carries out; the plans.
fn act(actor: &mut Actor, verdict: &mut Verdict, now_ns: u64) -> Vec<Plan> {
    let plans = actor.plan(verdict, &Sample::default(), now_ns);
    for plan in &plans {
        actor.carry_out(plan, verdict, at(now_ns));
    }
    plans
}

/// Waits until every hook has ended by itself.
async fn ended(actor: &mut Actor) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for _ in 0..2000 {
        outcomes.extend(actor.outcomes());
        if actor.running() == 0 {
            return outcomes;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a hook still runs after 20 s");
}

/// Runs the script once for a storm.
async fn run(script: &str, more: &str) -> Outcome {
    let mut actor = Actor::new(&config("auto", script, more));
    act(&mut actor, &mut storm(), 0);
    ended(&mut actor).await.pop().expect("an outcome")
}

/// What the actor answers at once.
fn ask(actor: &mut Actor, request: Request, now_ns: u64) -> Reply {
    let (answer, mut reply) = oneshot::channel();
    let by = Caller::Socket { uid: 0, pid: 1 };
    actor.command(Command { request, by, answer }, at(now_ns));
    reply.try_recv().expect("an answer at once")
}

fn approval(id: &str) -> Request {
    Request::Approve {
        plan: LeaseId::new(id).expect("an id"),
    }
}

fn at(monotonic_ns: u64) -> Now {
    Now {
        unix_ms: 0,
        monotonic_ns,
    }
}

fn exited(code: i32) -> ActionResult {
    ActionResult::Exited { code }
}
