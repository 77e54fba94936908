//! Writes a verdict: its id, its evidence, and one sentence for a reader.

use std::{net::SocketAddr, sync::Arc};

use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::{
    config::Autonomy,
    sense::sample::{Origin, Scope, ScopeKind},
    time::Now,
};

use super::{
    context::Context,
    evidence::Evidence,
    verdict::{self, Cause, Level, Phase, SCHEMA, Signal, Verdict},
};

/// What a verdict says, without who says it.
#[derive(Debug)]
pub(super) struct Statement {
    /// What it is about.
    pub(super) scope: Arc<Scope>,
    /// Which signal.
    pub(super) signal: Signal,
    /// The level now.
    pub(super) level: Level,
    /// The level before.
    pub(super) previous: Level,
    /// Why.
    pub(super) cause: Cause,
    /// The numbers.
    pub(super) evidence: Evidence,
    /// The incident it belongs to.
    pub(super) incident: Option<verdict::Incident>,
    /// What the thresholds follow from.
    pub(super) calibration: Option<verdict::Calibration>,
    /// Counts lost in the window.
    pub(super) lost: u64,
    /// One sentence.
    pub(super) summary: String,
}

/// Numbers verdicts and signs them with the run they belong to.
#[derive(Debug)]
pub(super) struct Reporter {
    origin: Arc<Origin>,
    autonomy: Autonomy,
    seq: u64,
}

impl Reporter {
    /// Of a run.
    #[must_use]
    pub(super) const fn new(origin: Arc<Origin>, autonomy: Autonomy) -> Self {
        Self {
            origin,
            autonomy,
            seq: 0,
        }
    }

    /// The next verdict.
    pub(super) fn verdict(&mut self, now: Now, statement: Statement) -> Verdict {
        self.seq += 1;
        let evidence = statement.evidence;
        Verdict {
            schema: SCHEMA.to_owned(),
            id: self.id(now, &statement.scope, statement.signal),
            seq: self.seq,
            time: now.rfc3339(),
            boot_id: self.origin.boot_id.clone(),
            monotonic_ns: now.monotonic_ns,
            host: self.origin.host.clone(),
            scope: statement.scope,
            signal: statement.signal,
            level: statement.level,
            previous: statement.previous,
            cause: statement.cause,
            phase: evidence.phase,
            value: evidence.value,
            unit: unit(statement.signal).to_owned(),
            baseline: evidence.baseline,
            sigma: evidence.sigma,
            rarity: evidence.rarity,
            calibration: statement.calibration,
            velocity_per_s: evidence.velocity_per_s,
            acceleration_per_s2: evidence.acceleration_per_s2,
            forecast: evidence.forecast,
            risk: evidence.risk,
            destination: evidence.destination,
            incident: statement.incident,
            features: evidence.features,
            window_ms: evidence.window_ms,
            coverage: evidence.coverage,
            lost: statement.lost,
            autonomy: self.autonomy,
            plan: Vec::new(),
            summary: statement.summary,
        }
    }

    fn id(&self, now: Now, scope: &Scope, signal: Signal) -> String {
        self.named(SCHEMA, now, scope, signal)
    }

    /// Of an incident that the next verdict begins.
    #[must_use]
    pub(super) fn incident_id(&self, now: Now, scope: &Scope, signal: Signal) -> String {
        self.named("sentinel.incident/1", now, scope, signal)
    }

    /// ULID: the time, and 80 bits of a hash where others have randomness, so that a replay gives the same one.
    fn named(&self, what: &str, now: Now, scope: &Scope, signal: Signal) -> String {
        let mut hash = Sha256::new();
        for part in [
            what,
            &self.origin.boot_id,
            &scope.path,
            scope_kind(scope.kind),
            signal.name(),
        ] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(self.seq.to_le_bytes());
        let digest = hash.finalize();
        let mut bytes = [0; 16];
        bytes[6..].copy_from_slice(&digest[..10]);
        let milliseconds = u64::try_from(now.unix_ms).unwrap_or(0);
        Ulid::from_parts(milliseconds, u128::from_be_bytes(bytes)).to_string()
    }
}

const fn scope_kind(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Host => "host",
        ScopeKind::Cgroup => "cgroup",
        ScopeKind::Other => "other",
        ScopeKind::Agent => "agent",
    }
}

/// The unit of a signal's value.
#[must_use]
pub const fn unit(signal: Signal) -> &'static str {
    match signal {
        Signal::Jitter => "ms",
        Signal::Fever => "MB/s",
        Signal::Amplification => "ratio",
        Signal::Cost => "%",
    }
}

/// One calm sentence that names the scope.
#[must_use]
pub(super) fn summary(
    scope: &Scope,
    signal: Signal,
    level: Level,
    cause: Cause,
    evidence: &Evidence,
    context: &Context,
) -> String {
    let name = printable(scope.name());
    match level {
        Level::Unknown => format!("{name}: {} is not known, its data is missing", signal.name()),
        Level::Nominal => format!("{name}: {} is as always", signal.name()),
        Level::Watch | Level::Veto => {
            let sentence = match signal {
                Signal::Jitter => jitter(&name, cause, evidence),
                Signal::Fever => fever(&name, cause, evidence),
                Signal::Amplification => amplification(&name, level, cause, evidence),
                // Written by `own_cost`.
                Signal::Cost => String::new(),
            };
            sentence + &behind(scope, signal, cause, context)
        }
    }
}

/// While a level is still held although nothing asks for it any more.
#[must_use]
pub(super) fn calming(scope: &Scope, signal: Signal) -> String {
    format!("{}: {} is calming down", printable(scope.name()), signal.name())
}

/// An incident is over.
#[must_use]
pub(super) fn recovered(scope: &Scope, signal: Signal, incident: &verdict::Incident) -> String {
    let name = printable(scope.name());
    let peak = incident.peak.map_or_else(String::new, |peak| {
        let unit = match signal {
            Signal::Amplification => String::new(),
            other => format!(" {}", unit(other)),
        };
        format!("; it peaked at {peak:.1}{unit}")
    });
    format!(
        "{name}: {} is back to normal after {}{peak}",
        signal.name(),
        span(incident.seconds)
    )
}

fn jitter(name: &str, cause: Cause, evidence: &Evidence) -> String {
    let waiting = feature(evidence, "waiting_ms_per_s");
    let share = 100.0 * feature(evidence, "waiting_share");
    match cause {
        Cause::Thrash => {
            let tasks = feature(evidence, "runnable_tasks");
            format!(
                "{name} has {tasks:.1} tasks to run at a time and they crowd each other: they wait {share:.0} % of it"
            )
        }
        Cause::Starved => format!("{name} waits {waiting:.0} ms per second for CPUs that others hold"),
        Cause::Throttled => format!("{name} is held back by its CPU limit and waits {waiting:.0} ms per second"),
        Cause::Convoy => {
            let switches = feature(evidence, "voluntary_per_s");
            format!("{name} gives up the CPU {switches:.0} times per second and gets no further")
        }
        _ => format!("{name} waits {waiting:.0} ms per second for a CPU, {share:.0} % of the time it wants one"),
    }
}

fn fever(name: &str, cause: Cause, evidence: &Evidence) -> String {
    let velocity = evidence.value.unwrap_or(0.0);
    match cause {
        Cause::Leak => {
            let slope = feature(evidence, "trend_mb_per_s");
            let ahead = evidence.forecast.map_or_else(String::new, |forecast| {
                format!("; none is left in about {}", span(forecast.exhaustion_s))
            });
            format!("{name} takes {slope:.1} MB of memory per second and does not give it back{ahead}")
        }
        Cause::Burst => format!("{name} took much memory at once, {velocity:.0} MB per second"),
        Cause::Reclaim => {
            let allocated = feature(evidence, "allocated_mb_per_s");
            format!("{name} hands out {allocated:.0} MB of memory per second and takes as much back, with little left")
        }
        _ => format!("{name} takes {velocity:.1} MB of memory per second"),
    }
}

fn amplification(name: &str, level: Level, cause: Cause, evidence: &Evidence) -> String {
    let usual = evidence
        .baseline
        .map_or_else(String::new, |baseline| format!(" (baseline {:.2})", baseline.mean));
    let worst = evidence.destination.map_or_else(String::new, |worst| {
        format!(", most often at {}", SocketAddr::new(worst.address, worst.port))
    });
    let requests = |alpha: f64| format!("{name} sends {alpha:.1} requests for each one it receives{usual}");
    let failures = feature(evidence, "connect_failures_per_s");
    match (cause, evidence.value) {
        (Cause::RetryStorm, Some(_))
            if level == Level::Watch
                && evidence.phase == Some(Phase::Healthy)
                && let Some(risk) = &evidence.risk =>
        {
            latent(name, risk)
        }
        (Cause::RetryStorm, Some(alpha)) if evidence.phase == Some(Phase::Metastable) => {
            let sentence = requests(alpha);
            format!(
                "{sentence}, and they fail{worst}; what set it off is gone and its retries alone keep it overloaded"
            )
        }
        (Cause::Flood, _) => {
            let packets = feature(evidence, "packets_out_per_s");
            format!("{name} sends {packets:.0} packets per second and receives next to none")
        }
        (Cause::RetryStorm, Some(alpha)) => requests(alpha) + ", and they fail" + &worst,
        (Cause::RetryStorm | Cause::Undetermined, None) => {
            let share = 100.0 * feature(evidence, "failing_share");
            format!(
                "{name} keeps connecting in vain: {failures:.0} attempts per second fail, {share:.0} % of all{worst}"
            )
        }
        (Cause::Undetermined, Some(alpha)) => {
            let share = 100.0 * feature(evidence, "failed_share");
            requests(alpha) + &format!(" and {share:.0} % fail{worst}; whether that is as always is not known yet")
        }
        (_, alpha) => requests(alpha.unwrap_or(0.0)),
    }
}

/// It is well now, and retries would keep it down.
fn latent(name: &str, risk: &verdict::Risk) -> String {
    format!(
        "{name} is well now, but asks {:.0} requests/s, makes {:.1} attempts for each that fails and its backend \
         answered at most {:.0}/s: a failure would sustain itself",
        risk.load_per_s, risk.attempts_per_failure, risk.capacity_per_s
    )
}

/// For the host: the scope that has most to do with it. For a scope that others starve: who holds the CPUs.
fn behind(scope: &Scope, signal: Signal, cause: Cause, context: &Context) -> String {
    let (top, is) = match (scope.kind, signal, cause) {
        (ScopeKind::Host, Signal::Jitter, _) => (&context.waiting, "most of it is"),
        (ScopeKind::Host, Signal::Fever, _) => (&context.growing, "most of it is"),
        (_, Signal::Jitter, Cause::Starved) => (&context.running, "most tasks on them are from"),
        _ => return String::new(),
    };
    top.scope
        .as_ref()
        .filter(|(other, _)| **other != *scope)
        .map_or_else(String::new, |(other, _)| format!("; {is} {}", printable(other.name())))
}

fn feature(evidence: &Evidence, name: &str) -> f64 {
    evidence.features.get(name).copied().unwrap_or(0.0)
}

/// Names of cgroups are hostile input: what could steer a terminal or break a line is escaped.
pub(super) fn printable(name: &str) -> String {
    name.chars()
        .flat_map(|c| {
            let plain = !c.is_control()
                && !matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let escaped = (!plain).then(|| c.escape_unicode());
            plain.then_some(c).into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_escaped() {
        assert_eq!(printable("a\n\u{1b}[31mb\u{202e}c"), "a\\u{a}\\u{1b}[31mb\\u{202e}c");
        assert_eq!(printable("shöp.service"), "shöp.service");
    }
}
