//! All that is remembered of one scope: three signals, each with its ladder.

use std::sync::Arc;

use crate::{
    config::{AmplificationConfig, FeverConfig, JitterConfig},
    sense::sample::{Destination, Elapsed, Mem, Net, Sched, Scope, ScopeKind, ScopeSample},
    time::Now,
};

use super::{
    JudgeConfig, State,
    amplification::Amplification,
    context::Context,
    evidence::{Evidence, Finding, Reading, unix_s},
    fever::{Fever, Limits},
    jitter::Jitter,
    report::{Reporter, Statement, calming, summary},
    threshold::Ladder,
    verdict::{Cause, Level, Signal, Verdict},
};

/// What a sample says about one scope.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Input<'a> {
    pub(super) sched: Option<&'a Sched>,
    pub(super) mem: Option<&'a Mem>,
    pub(super) net: Option<&'a Net>,
    pub(super) limits: Limits,
    pub(super) throttled_ns: Option<u64>,
    pub(super) worst_destination: Option<Destination>,
}

impl<'a> Input<'a> {
    pub(super) fn of(scope: &'a ScopeSample) -> Self {
        Self {
            sched: scope.sched.as_ref(),
            mem: scope.mem.as_ref(),
            net: scope.net.as_ref(),
            limits: Limits::of(scope),
            throttled_ns: scope.throttled_ns,
            worst_destination: scope.worst_destination,
        }
    }
}

/// Where verdicts of one sample go.
pub(super) struct Desk<'a> {
    pub(super) now: Now,
    pub(super) elapsed: Elapsed,
    pub(super) config: &'a JudgeConfig,
    pub(super) reporter: &'a mut Reporter,
    pub(super) verdicts: &'a mut Vec<Verdict>,
    /// Counts lost, by signal.
    pub(super) lost: [u64; 3],
}

impl Desk<'_> {
    fn say(&mut self, scope: &Arc<Scope>, signal: Signal, said: Said, evidence: Evidence, context: &Context) {
        let summary = if said.calming {
            calming(scope, signal)
        } else {
            summary(scope, signal, said.level, said.cause, &evidence, context)
        };
        self.write(scope, signal, said, evidence, summary, context);
    }

    fn write(
        &mut self,
        scope: &Arc<Scope>,
        signal: Signal,
        said: Said,
        evidence: Evidence,
        summary: String,
        context: &Context,
    ) {
        let statement = Statement {
            scope: Arc::clone(scope),
            signal,
            level: said.level,
            previous: said.previous,
            cause: said.cause,
            evidence,
            incident: None,
            calibration: context.calibration.published(),
            lost: self.lost[signal as usize],
            summary,
        };
        self.verdicts.push(self.reporter.verdict(self.now, statement));
    }

    /// The time a sensor's reading covers, at most since the clock's zero; `None` when it was not read.
    fn reading(&self, elapsed_ns: Option<u64>) -> Option<Reading> {
        let elapsed_ns = elapsed_ns?.min(self.now.monotonic_ns);
        (elapsed_ns > 0).then_some(Reading {
            end_ns: self.now.monotonic_ns,
            elapsed_ns,
            unix_s: unix_s(self.now),
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Said {
    level: Level,
    previous: Level,
    cause: Cause,
    /// The reading itself asks for less than the level that is still said.
    calming: bool,
}

/// A signal and its ladder.
#[derive(Clone, Debug)]
struct Track<T> {
    judge: T,
    ladder: Ladder,
    cause: Cause,
    spoken: bool,
}

impl<T> Track<T> {
    fn new(judge: T, newborn: bool) -> Self {
        Self {
            judge,
            ladder: Ladder::new(newborn),
            cause: Cause::None,
            spoken: false,
        }
    }

    /// Takes in what a reading asks for; what there is to say about it, if anything.
    fn settle(&mut self, reading: Reading, finding: Finding, config: &JudgeConfig) -> Option<Said> {
        let previous = self.ladder.level();
        let level = self
            .ladder
            .step(reading.end_ns, reading.elapsed_ns, finding.wanted, &finding.hold);
        if level <= Level::Nominal {
            self.cause = Cause::None;
        } else if finding.wanted >= level || self.cause == Cause::None || level < previous && finding.wanted == level {
            self.cause = finding.cause;
        }
        let warmed_up = level == Level::Nominal && !self.spoken;
        self.spoken |= level > Level::Unknown;
        let changed = level != previous && (!warmed_up || config.announce_nominal);
        (changed || config.every_tick).then_some(Said {
            level,
            previous,
            cause: self.cause,
            calming: finding.wanted < level && level > Level::Nominal,
        })
    }

    /// No reading. `true` when that made it unknown just now.
    fn missing(&mut self, now_ns: u64, config: &JudgeConfig) -> Option<Said> {
        let previous = self.ladder.level();
        let level = self.ladder.missing(now_ns, config.tolerance_ns());
        if level == previous {
            return None;
        }
        self.cause = Cause::None;
        Some(Said {
            level,
            previous,
            cause: Cause::None,
            calming: false,
        })
    }
}

/// One scope.
#[derive(Clone, Debug)]
pub(super) struct ScopeState {
    pub(super) scope: Arc<Scope>,
    pub(super) listed_ns: u64,
    jitter: Option<Track<Jitter>>,
    fever: Option<Track<Fever>>,
    amplification: Option<Track<Amplification>>,
    /// Where its attempts failed most when that was last looked at.
    worst_destination: Option<Destination>,
}

impl ScopeState {
    pub(super) fn new(scope: &Arc<Scope>, config: &JudgeConfig, newborn: bool) -> Self {
        let is_host = scope.kind == ScopeKind::Host;
        let on = |enabled: bool| enabled.then_some(());
        Self {
            scope: Arc::clone(scope),
            listed_ns: 0,
            worst_destination: None,
            jitter: on(config.jitter.enabled).map(|()| Track::new(Jitter::default(), newborn)),
            fever: on(config.fever.enabled).map(|()| Track::new(Fever::new(is_host), newborn)),
            amplification: on(config.amplification.enabled && !is_host)
                .map(|()| Track::new(Amplification::default(), newborn)),
        }
    }

    pub(super) fn observe(&mut self, input: Input<'_>, context: &mut Context, desk: &mut Desk<'_>) {
        let config = desk.config;
        self.observe_jitter(input, context, desk, &config.jitter);
        self.observe_fever(input, context, desk, &config.fever);
        self.observe_amplification(input, context, desk, &config.amplification);
    }

    fn observe_jitter(&mut self, input: Input<'_>, context: &mut Context, desk: &mut Desk<'_>, config: &JitterConfig) {
        let Some(track) = &mut self.jitter else { return };
        let reading = desk.reading(desk.elapsed.sched_ns).zip(input.sched);
        let last_ns = reading.map_or(desk.now.monotonic_ns, |(reading, _)| {
            reading.end_ns - reading.elapsed_ns
        });
        if let Some(said) = track.missing(last_ns, desk.config) {
            track.judge.interrupt();
            desk.say(&self.scope, Signal::Jitter, said, Evidence::default(), context);
        }
        let Some((reading, sched)) = reading else { return };
        let mut finding = track.judge.observe(reading, sched, input.throttled_ns, context, config);
        if self.scope.kind == ScopeKind::Cgroup {
            context.waiting.offer(&self.scope, track.judge.waiting_ms_per_s());
        } else {
            finding = finding.at_most(Level::Watch);
        }
        if let Some(said) = track.settle(reading, finding, desk.config) {
            let evidence = track.judge.evidence(context);
            desk.say(&self.scope, Signal::Jitter, said, evidence, context);
        }
    }

    fn observe_fever(&mut self, input: Input<'_>, context: &mut Context, desk: &mut Desk<'_>, config: &FeverConfig) {
        let Some(track) = &mut self.fever else { return };
        let reading = desk.reading(desk.elapsed.mem_ns).zip(input.mem);
        let last_ns = reading.map_or(desk.now.monotonic_ns, |(reading, _)| {
            reading.end_ns - reading.elapsed_ns
        });
        if let Some(said) = track.missing(last_ns, desk.config) {
            track.judge.interrupt();
            desk.say(&self.scope, Signal::Fever, said, Evidence::default(), context);
        }
        let Some((reading, mem)) = reading else { return };
        let mut finding = track.judge.observe(reading, mem, input.limits, context, config);
        match self.scope.kind {
            ScopeKind::Cgroup => {
                context.growing.offer(&self.scope, track.judge.value());
                context.most_grown_mb = context.most_grown_mb.max(track.judge.of_last_minute_mb());
                context.leak_named |= finding.cause == Cause::Leak;
            }
            ScopeKind::Other => finding = finding.at_most(Level::Watch),
            ScopeKind::Host => {}
        }
        if let Some(said) = track.settle(reading, finding, desk.config) {
            let evidence = track.judge.evidence(context);
            desk.say(&self.scope, Signal::Fever, said, evidence, context);
        }
    }

    fn observe_amplification(
        &mut self,
        input: Input<'_>,
        context: &Context,
        desk: &mut Desk<'_>,
        config: &AmplificationConfig,
    ) {
        let Some(track) = &mut self.amplification else { return };
        self.worst_destination = input.worst_destination.or(self.worst_destination);
        let reading = desk.reading(desk.elapsed.net_ns).zip(input.net);
        let last_ns = reading.map_or(desk.now.monotonic_ns, |(reading, _)| {
            reading.end_ns - reading.elapsed_ns
        });
        if let Some(said) = track.missing(last_ns, desk.config) {
            track.judge.interrupt();
            desk.say(&self.scope, Signal::Amplification, said, Evidence::default(), context);
        }
        let Some((reading, net)) = reading else { return };
        let mut finding = track.judge.observe(reading, net, context, config);
        if self.scope.kind != ScopeKind::Cgroup {
            finding = finding.at_most(Level::Watch);
        }
        if let Some(said) = track.settle(reading, finding, desk.config) {
            let mut evidence = track.judge.evidence();
            evidence.worst_destination = self.worst_destination;
            desk.say(&self.scope, Signal::Amplification, said, evidence, context);
        }
    }

    /// The last word on a scope that is gone: what was wrong with it went with it.
    pub(super) fn bury(&self, context: &Context, desk: &mut Desk<'_>) {
        for state in self.states() {
            if state.level < Level::Watch {
                continue;
            }
            let said = Said {
                level: Level::Nominal,
                previous: state.level,
                cause: Cause::None,
                calming: false,
            };
            let mut summary = super::report::printable(self.scope.name());
            summary.push_str(" is gone");
            desk.write(&self.scope, state.signal, said, Evidence::default(), summary, context);
        }
    }

    /// Every signal of the scope as it stands.
    pub(super) fn states(&self) -> impl Iterator<Item = State> {
        let state = |signal, ladder: &Ladder, cause, value: Option<f64>| State {
            scope: Arc::clone(&self.scope),
            signal,
            level: ladder.level(),
            cause,
            value: value.filter(|_| ladder.level() > Level::Unknown),
        };
        let jitter = self
            .jitter
            .as_ref()
            .map(|track| state(Signal::Jitter, &track.ladder, track.cause, Some(track.judge.value())));
        let fever = self
            .fever
            .as_ref()
            .map(|track| state(Signal::Fever, &track.ladder, track.cause, Some(track.judge.value())));
        let amplification = self.amplification.as_ref().map(|track| {
            let value = track.judge.value();
            state(Signal::Amplification, &track.ladder, track.cause, value)
        });
        [jitter, fever, amplification].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_remembered_in_a_few_kilobytes() {
        assert!(size_of::<ScopeState>() <= 8 * 1024, "{}", size_of::<ScopeState>());
    }
}
