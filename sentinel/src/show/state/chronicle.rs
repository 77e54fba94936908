//! Follows a run from snapshot to snapshot: what was said last of each signal, which incidents are open, what came to
//! pass in all.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    AgentState, Document, Facts, HostState, IncidentState, LevelCounts, MOST_ENTRIES, MOST_INCIDENTS, Rest, SCHEMA,
    ScopeState, SignalState, Totals, Unavailable,
    log::{self, Log},
};
use crate::{
    judge::{
        Levels, Portrait, SignalView, Standing, Verdict, unit,
        verdict::{Cause, Level, Signal},
    },
    sense::{Sample, sample::ScopeKind},
    show::{Snapshot, escape, status::Rates},
};

/// Documents between two clean-ups of what was said of scopes that are gone.
const SWEEP: u64 = 64;
/// Decades of rarity that count as one level.
const DECADES: f64 = 12.0;

/// A signal of a scope.
type Key = (ScopeKind, u64, Signal);

/// What was said last of one signal.
#[derive(Debug)]
struct Said {
    verdict: Arc<Verdict>,
    /// The level before the last change, and when that was.
    changed: Option<(Level, String)>,
}

/// One incident as it is kept.
#[derive(Debug)]
struct Kept {
    state: IncidentState,
    /// `CLOCK_MONOTONIC` of its first alarm, nanoseconds.
    began_ns: u64,
}

/// A run so far. Memory is bounded by the scopes that exist.
#[derive(Debug)]
pub struct Chronicle {
    facts: Facts,
    run: String,
    seq: u64,
    rates: Rates,
    memory: (Option<u64>, Option<u64>),
    said: BTreeMap<Key, Said>,
    open: BTreeMap<String, Kept>,
    ended: VecDeque<IncidentState>,
    log: Log,
    totals: Totals,
}

impl Chronicle {
    /// Of a run that begins.
    #[must_use]
    pub fn new(facts: Facts) -> Self {
        Self {
            run: facts.run(),
            facts,
            seq: 0,
            rates: Rates::default(),
            memory: (None, None),
            said: BTreeMap::new(),
            open: BTreeMap::new(),
            ended: VecDeque::new(),
            log: Log::new(MOST_ENTRIES),
            totals: Totals {
                verdicts: Signal::ALL.map(LevelCounts::none).to_vec(),
                ..Totals::default()
            },
        }
    }

    /// Takes in a snapshot and tells how the run stands now; of surfaces it knows nothing.
    pub fn record(&mut self, snapshot: &Snapshot) -> Document {
        self.seq += 1;
        self.rates.update(&snapshot.sample, snapshot.origin.page_bytes);
        self.rates.forget(&snapshot.unavailable);
        let host = &snapshot.sample.host;
        self.memory.0 = host.memory_total_bytes.or(self.memory.0);
        self.memory.1 = host.memory_available_bytes.or(self.memory.1);
        for verdict in &snapshot.verdicts {
            self.hear(verdict);
        }
        for outcome in &snapshot.outcomes {
            let kind = log::kind(&outcome.result).to_owned();
            *self.totals.outcomes.entry(kind).or_default() += 1;
            self.log.outcome(outcome);
        }
        if self.seq.is_multiple_of(SWEEP) {
            self.forget(&snapshot.sample);
        }
        self.document(snapshot)
    }

    fn hear(&mut self, verdict: &Arc<Verdict>) {
        self.log.verdict(verdict);
        if let Some(counts) = self.totals.verdicts.get_mut(verdict.signal as usize) {
            *counts.at(verdict.level) += 1;
        }
        let key = (verdict.scope.kind, verdict.scope.cgroup_id, verdict.signal);
        let before = self.said.remove(&key).and_then(|said| said.changed);
        let changed = if verdict.level == verdict.previous {
            before
        } else {
            Some((verdict.previous, verdict.time.clone()))
        };
        self.said.insert(
            key,
            Said {
                verdict: Arc::clone(verdict),
                changed,
            },
        );
        let Some(incident) = &verdict.incident else { return };
        let mut state = IncidentState::of(
            verdict,
            incident,
            log::name(verdict.scope.name()),
            log::sentence(&verdict.summary),
        );
        let known = self.open.remove(&incident.id);
        self.ended.retain(|ended| ended.id != incident.id);
        // An all-clear has no cause; what it was stays worth knowing.
        if let Some(known) = known.as_ref().filter(|_| state.cause == Cause::None) {
            state.cause = known.state.cause;
        }
        if incident.ended.is_some() {
            self.ended.push_front(state);
            self.ended.truncate(MOST_INCIDENTS);
            return;
        }
        self.totals.incidents += u64::from(known.is_none() && incident.changes <= 1);
        let lasted_ns = (incident.seconds.max(0.0) * 1e9) as u64;
        let kept = Kept {
            state,
            began_ns: verdict.monotonic_ns.saturating_sub(lasted_ns),
        };
        self.open.insert(incident.id.clone(), kept);
    }

    /// Drops what was said of scopes that are gone. Their incidents ended with a verdict of their own.
    fn forget(&mut self, sample: &Sample) {
        let there: BTreeSet<_> = sample.all().map(|scope| (scope.kind, scope.cgroup_id)).collect();
        self.said
            .retain(|(kind, id, _), _| *kind == ScopeKind::Host || there.contains(&(*kind, *id)));
    }

    fn document(&self, snapshot: &Snapshot) -> Document {
        let now = snapshot.now;
        let (levels, rest) = counted(&snapshot.standing, &snapshot.portraits);
        let mut scopes: Vec<_> = snapshot.portraits.iter().map(|portrait| self.scope(portrait)).collect();
        scopes.sort_by(|a, b| b.severity.total_cmp(&a.severity));
        let uptime_ns = now.monotonic_ns.saturating_sub(self.facts.began.monotonic_ns);
        Document {
            schema: SCHEMA.to_owned(),
            run: self.run.clone(),
            seq: self.seq,
            time: now.rfc3339(),
            unix_ms: now.unix_ms,
            monotonic_ns: now.monotonic_ns,
            host: HostState {
                name: escape::line(&snapshot.origin.host),
                boot_id: snapshot.origin.boot_id.clone(),
                kernel: escape::line(&snapshot.origin.kernel),
                cpus: snapshot.origin.cpus,
                rates: self.rates,
                memory_total_bytes: self.memory.0,
                memory_available_bytes: self.memory.1,
            },
            agent: AgentState {
                version: self.facts.version.clone(),
                autonomy: self.facts.autonomy,
                interval_ms: self.facts.interval_ms,
                began_unix_ms: self.facts.began.unix_ms,
                uptime_s: uptime_ns as f64 / 1e9,
                ticks: snapshot.ticks,
                late_ticks: snapshot.late_ticks,
                own: snapshot.own,
                surfaces: Vec::new(),
            },
            levels,
            scopes,
            rest,
            incidents: self.incidents(now.monotonic_ns),
            incidents_not_listed: self.open.len().saturating_sub(MOST_INCIDENTS) as u64,
            leases: snapshot.leases.clone(),
            waiting: snapshot.waiting.clone(),
            log: self.log.entries().map(|entry| entry.as_ref().clone()).collect(),
            totals: self.totals.clone(),
            losses: snapshot.losses.clone(),
            unavailable: snapshot
                .unavailable
                .iter()
                .map(|sensor| Unavailable {
                    sensor: sensor.sensor.clone(),
                    reason: escape::line(&sensor.reason),
                })
                .collect(),
        }
    }

    fn incidents(&self, now_ns: u64) -> Vec<IncidentState> {
        let mut open: Vec<&Kept> = self.open.values().collect();
        open.sort_by(|a, b| b.state.level.cmp(&a.state.level).then(b.began_ns.cmp(&a.began_ns)));
        let open = open.into_iter().map(|kept| IncidentState {
            seconds: now_ns.saturating_sub(kept.began_ns) as f64 / 1e9,
            ..kept.state.clone()
        });
        open.chain(self.ended.iter().cloned()).take(MOST_INCIDENTS).collect()
    }

    fn scope(&self, portrait: &Portrait) -> ScopeState {
        let scope = &portrait.scope;
        let worst = portrait.signals.iter().map(|view| (severity(view), view.level));
        let (severity, level) = worst
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap_or((0.0, Level::Unknown));
        let signals = portrait.signals.iter();
        ScopeState {
            kind: scope.kind,
            cgroup_id: scope.cgroup_id,
            name: log::name(scope.name()),
            path: scope.path.clone(),
            unit: scope.unit.clone(),
            container: scope.container.clone(),
            level,
            severity,
            signals: signals
                .map(|view| self.signal(view, (scope.kind, scope.cgroup_id, view.signal)))
                .collect(),
        }
    }

    fn signal(&self, view: &SignalView, key: Key) -> SignalState {
        let said = self.said.get(&key);
        let changed = said.and_then(|said| said.changed.as_ref());
        let verdict = said.map(|said| &said.verdict);
        let incident = verdict.and_then(|verdict| verdict.incident.as_ref());
        SignalState {
            signal: view.signal,
            level: view.level,
            previous: changed.map(|(previous, _)| *previous),
            since: changed.map(|(_, since)| since.clone()),
            cause: view.cause,
            phase: view.phase,
            value: view.value,
            unit: unit(view.signal).to_owned(),
            baseline: view.baseline,
            sigma: view.sigma,
            rarity: view.rarity,
            velocity_per_s: view.velocity_per_s,
            acceleration_per_s2: view.acceleration_per_s2,
            forecast: view.forecast,
            risk: view.risk,
            destination: view.destination,
            incident: incident
                .filter(|incident| incident.ended.is_none())
                .map(|incident| incident.id.clone()),
            summary: verdict.map(|verdict| log::sentence(&verdict.summary)),
            plan: verdict.map(|verdict| verdict.plan.clone()).unwrap_or_default(),
        }
    }
}

/// See [`ScopeState::severity`].
fn severity(view: &SignalView) -> f64 {
    let level = view.level as u8;
    let rarity = view.rarity.unwrap_or(0.0).clamp(0.0, DECADES);
    f64::from(level)
        + if view.level > Level::Unknown {
            rarity / DECADES
        } else {
            0.0
        }
}

/// Signals by level: of all scopes, and of those without a portrait.
fn counted(standing: &Standing, portraits: &[Portrait]) -> (Vec<LevelCounts>, Rest) {
    let mut others = standing.levels;
    for portrait in portraits {
        for view in &portrait.signals {
            others.take(view.signal, view.level);
        }
    }
    let counts = |levels: &Levels| Signal::ALL.map(|signal| LevelCounts::of(signal, levels)).to_vec();
    let rest = Rest {
        scopes: u64::from(standing.scopes).saturating_sub(portraits.len() as u64),
        levels: counts(&others),
    };
    (counts(&standing.levels), rest)
}
