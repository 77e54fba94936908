//! Things to show, for the tests of this module.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Snapshot, State,
    encode::{Body, Record, object},
};
use crate::{
    act::{LeaseView, Outcome, Plan, WaitingView, lease::Effect, outcome::ActionResult},
    config::Autonomy,
    judge::{
        Portrait, SignalView, Verdict,
        verdict::{Baseline, Cause, Level, Phase, PlannedAction, SCHEMA, Signal},
    },
    sense::{
        Sample,
        sample::{Elapsed, Host, Loss, Mem, Net, Origin, RunQueue, Sched, Scope, ScopeKind, ScopeSample, Traffic},
    },
    time::Now,
};

pub(super) const SECOND_NS: u64 = 1_000_000_000;
/// A path that clears the screen, turns the direction of text and breaks the line.
pub(super) const HOSTILE: &str = "/a\u{1b}[2J\u{202e}b\nc\u{9b}d.service";

pub(super) fn scope(path: &str) -> Arc<Scope> {
    Arc::new(Scope {
        kind: ScopeKind::Cgroup,
        path: path.to_owned(),
        unit: path.rsplit('/').next().map(str::to_owned),
        container: None,
        cgroup_id: 4711,
    })
}

pub(super) fn verdict(path: &str) -> Verdict {
    let scope = scope(path);
    Verdict {
        schema: SCHEMA.to_owned(),
        id: "01JGFJJZ00ABCDEFGHJKMNPQRS".to_owned(),
        seq: 42,
        time: "2026-01-01T12:30:45.007Z".to_owned(),
        boot_id: "9f0c2f2e-0000-4000-8000-000000000001".to_owned(),
        monotonic_ns: 5 * SECOND_NS,
        host: "web-1".to_owned(),
        signal: Signal::Amplification,
        level: Level::Veto,
        previous: Level::Watch,
        cause: Cause::RetryStorm,
        phase: Some(Phase::Amplifying),
        value: Some(3.1),
        unit: "ratio".to_owned(),
        baseline: Some(Baseline {
            mean: 1.02,
            sigma: 0.04,
            samples: 300,
        }),
        sigma: Some(52.0),
        velocity_per_s: Some(0.8),
        acceleration_per_s2: Some(0.1),
        rarity: None,
        calibration: None,
        forecast: None,
        risk: None,
        destination: None,
        incident: None,
        features: BTreeMap::from([("connect_attempts_per_s".to_owned(), 940.0)]),
        window_ms: 2000,
        coverage: 1.0,
        lost: 0,
        autonomy: Autonomy::Observe,
        plan: vec![PlannedAction {
            id: "01JGFJJZ00ZZZZZZZZZZZZZZZZ".to_owned(),
            action: "hook:page".to_owned(),
            rule: None,
            would: true,
            waits: false,
            forbidden: None,
            ttl_ms: 10_000,
            expects: None,
        }],
        summary: format!(
            "{} sends 3.1 requests for each one it receives (baseline 1.02)",
            scope.name()
        ),
        scope,
    }
}

pub(super) fn outcome(path: &str, result: ActionResult, output_tail: &str) -> Outcome {
    Outcome {
        schema: "sentinel.outcome/1".to_owned(),
        time: "2026-01-01T12:30:46.019Z".to_owned(),
        verdict_id: Some("01JGFJJZ00ABCDEFGHJKMNPQRS".to_owned()),
        lease: None,
        action: "hook:page".to_owned(),
        scope: path.to_owned(),
        signal: Some(Signal::Amplification),
        result,
        duration_ms: 12,
        output_tail: output_tail.to_owned(),
        output_bytes: output_tail.len() as u64,
    }
}

pub(super) fn record(verdict: Verdict) -> Record {
    Record {
        json: object(&verdict).unwrap(),
        body: Body::Verdict(Arc::new(verdict)),
    }
}

pub(super) fn origin() -> Arc<Origin> {
    Arc::new(Origin {
        host: "web-1".to_owned(),
        boot_id: "9f0c2f2e-0000-4000-8000-000000000001".to_owned(),
        kernel: "6.12.1".to_owned(),
        cpus: 8,
        page_bytes: 4096,
    })
}

/// A scope with one signal at `level`.
pub(super) fn portrait(scope: Arc<Scope>, level: Level, rarity: Option<f64>) -> Portrait {
    Portrait {
        scope,
        signals: vec![SignalView {
            signal: Signal::Amplification,
            level,
            cause: if level >= Level::Watch {
                Cause::RetryStorm
            } else {
                Cause::None
            },
            value: (level > Level::Unknown).then_some(3.1),
            baseline: None,
            sigma: None,
            rarity,
            velocity_per_s: (level > Level::Unknown).then_some(0.8),
            acceleration_per_s2: (level > Level::Unknown).then_some(0.1),
            phase: (level > Level::Unknown).then_some(Phase::Amplifying),
            forecast: None,
            risk: None,
            destination: None,
        }],
    }
}

/// One second with one verdict, one outcome, two cgroups, and every rate.
pub(super) fn snapshot(path: &str) -> Snapshot {
    let mut pages = Mem::default();
    (pages.allocated_pages, pages.freed_pages) = (1200, 200);
    let path_traffic = Traffic {
        ingress_packets: 1000,
        egress_packets: 2000,
        ..Traffic::default()
    };
    let net = Net {
        external: path_traffic,
        loopback: path_traffic,
        connect_attempts: 940,
        ..Net::default()
    };
    let host = Host {
        sched: Some(Sched {
            wait_ns: 35_000_000,
            ..Sched::default()
        }),
        mem: Some(pages),
        net: Some(net),
        run_queue: Some(RunQueue {
            samples: 100,
            length: 125,
            length_squared: 300,
        }),
        ..Host::default()
    };
    let scoped = |path: &str| ScopeSample {
        scope: scope(path),
        ..ScopeSample::default()
    };
    let elapsed = Elapsed {
        sched_ns: Some(SECOND_NS),
        mem_ns: Some(SECOND_NS),
        net_ns: Some(SECOND_NS / 5),
    };
    let sample = Sample {
        elapsed,
        host,
        scopes: vec![scoped(path), scoped("/system.slice/calm.service")],
        losses: vec![Loss {
            kind: "switch_unseen".to_owned(),
            count: 2,
        }],
        ..Sample::default()
    };
    Snapshot {
        origin: origin(),
        now: Now {
            unix_ms: 1_767_270_645_007,
            monotonic_ns: 5 * SECOND_NS,
        },
        sample: Arc::new(sample),
        verdicts: vec![Arc::new(verdict(path))],
        outcomes: vec![Arc::new(outcome(path, ActionResult::Exited { code: 0 }, "paged\n"))],
        standing: [State {
            scope: scope(path),
            signal: Signal::Amplification,
            level: Level::Veto,
            cause: Cause::RetryStorm,
            value: Some(3.1),
        }]
        .into_iter()
        .collect(),
        portraits: vec![portrait(scope(path), Level::Veto, Some(9.0))],
        losses: BTreeMap::from([("switch_unseen".to_owned(), 2)]),
        ticks: 1,
        ..Snapshot::default()
    }
}

/// A lease whose every number is this.
pub(super) fn lease(count: u64) -> LeaseView {
    LeaseView {
        id: "L1".to_owned(),
        action: "retry_budget".to_owned(),
        detail: "at most 10 attempts per second beside those for inbound work".to_owned(),
        rule: Some("storms".to_owned()),
        scope: "/a.service".to_owned(),
        cgroup_id: 4711,
        signal: Some(Signal::Amplification),
        verdict_id: None,
        reason: "it storms".to_owned(),
        began: "2026-01-01T12:30:46.019Z".to_owned(),
        held_s: count as f64,
        ttl_ms: 10_000,
        left_ms: count,
        renewals: count,
        expects: "fewer attempts".to_owned(),
        effect: Effect::Pending,
        refused: Some(count),
        allowed: Some(count),
    }
}

/// A plan that waits.
pub(super) fn waiting() -> WaitingView {
    WaitingView {
        plan: Plan {
            schema: "sentinel.plan/1".to_owned(),
            id: "P1".to_owned(),
            verdict_id: "V1".to_owned(),
            action: "retry_budget".to_owned(),
            rule: Some("storms".to_owned()),
            scope: "/a.service".to_owned(),
            signal: Signal::Amplification,
            level: Level::Veto,
            reason: "it storms".to_owned(),
            ttl_ms: 10_000,
            expects: Some("fewer attempts".to_owned()),
            would: false,
            waits: true,
            forbidden: None,
        },
        left_ms: 60_000,
    }
}
