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
    evidence::{Evidence, Reading, unix_s},
    fever::{Fever, Limits, OverHorizons},
    incident::Moment,
    jitter::{self, Jitter},
    learned::{self, ScopeLearned},
    portrait::{Portrait, SignalView},
    report::{self, Reporter, Statement, calming, recovered, summary},
    rest::Kept,
    track::{Said, Track},
    verdict::{self, Cause, IncidentState, Level, Signal, Verdict},
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
    /// How many readings in a row this one stands for, and when the last of them ended, by signal.
    pub(super) readings: [u32; 3],
    pub(super) end_ns: [u64; 3],
    /// Counts lost, by signal.
    pub(super) lost: [u64; 3],
}

impl Desk<'_> {
    /// Does something at another time, that of readings kept back until then.
    pub(super) fn during(&mut self, until: Now, kept: &Kept, judge: impl FnOnce(&mut Self)) {
        let present = (self.now, self.elapsed, self.readings, self.end_ns);
        (self.now, self.elapsed, self.readings, self.end_ns) = (until, kept.elapsed, kept.readings, kept.end_ns);
        judge(self);
        (self.now, self.elapsed, self.readings, self.end_ns) = present;
    }

    fn say<T>(
        &mut self,
        scope: &Arc<Scope>,
        signal: Signal,
        said: Said,
        evidence: Evidence,
        track: &mut Track<T>,
        context: &mut Context,
    ) {
        let incident = self.incident(scope, signal, said, evidence.value, track, context);
        let summary = match &incident {
            Some(incident) if incident.state == IncidentState::Ended => recovered(scope, signal, incident),
            _ if said.calming => calming(scope, signal),
            _ => summary(scope, signal, said.level, said.cause, &evidence, context),
        };
        self.write(scope, signal, said, evidence, incident, summary, context);
    }

    fn incident<T>(
        &self,
        scope: &Arc<Scope>,
        signal: Signal,
        said: Said,
        value: Option<f64>,
        track: &mut Track<T>,
        context: &mut Context,
    ) -> Option<verdict::Incident> {
        let moment = Moment {
            now: self.now,
            scope,
            signal,
            level: said.level,
            previous: said.previous,
            cause: said.cause,
            value,
        };
        track
            .incident
            .belongs(&moment, context, || self.reporter.incident_id(self.now, scope, signal))
    }

    #[expect(clippy::too_many_arguments, reason = "one call for each part of a verdict")]
    fn write(
        &mut self,
        scope: &Arc<Scope>,
        signal: Signal,
        said: Said,
        evidence: Evidence,
        incident: Option<verdict::Incident>,
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
            incident,
            calibration: Some(context.calibration.published()),
            lost: self.lost[signal as usize],
            summary,
        };
        self.verdicts.push(self.reporter.verdict(self.now, statement));
    }

    /// The time a sensor's reading covers, at most since the clock's zero; `None` when it was not read.
    fn reading(&self, signal: Signal, elapsed_ns: Option<u64>) -> Option<Reading> {
        let end_ns = self.end_ns[signal as usize];
        let elapsed_ns = elapsed_ns?.min(end_ns);
        (elapsed_ns > 0).then_some(Reading {
            end_ns,
            elapsed_ns,
            unix_s: unix_s(self.now),
            readings: self.readings[signal as usize],
        })
    }
}

/// One scope.
#[derive(Clone, Debug)]
pub(super) struct ScopeState {
    pub(super) scope: Arc<Scope>,
    jitter: Option<Track<Jitter>>,
    fever: Option<Track<Fever>>,
    amplification: Option<Track<Amplification>>,
}

impl ScopeState {
    pub(super) fn new(scope: &Arc<Scope>, config: &JudgeConfig, newborn: bool) -> Self {
        let is_host = scope.kind == ScopeKind::Host;
        let on = |enabled: bool| enabled.then_some(());
        Self {
            scope: Arc::clone(scope),
            jitter: on(config.jitter.enabled).map(|()| {
                let track = Track::new(Jitter::default(), newborn);
                if newborn {
                    track
                } else {
                    track.silent_for(jitter::WARM_UP_NS)
                }
            }),
            fever: on(config.fever.enabled).map(|()| Track::new(Fever::new(is_host, newborn), newborn)),
            amplification: on(config.amplification.enabled && !is_host)
                .map(|()| Track::new(Amplification::default(), newborn)),
        }
    }

    /// What was learned of it, to be written down; `None` where that is nothing yet.
    pub(super) fn learned(&self) -> Option<ScopeLearned> {
        let mut kept = self.jitter.as_ref().map_or_else(Vec::new, |track| track.judge.kept());
        kept.extend(self.fever.iter().flat_map(|track| track.judge.kept()));
        kept.extend(self.amplification.iter().flat_map(|track| track.judge.kept()));
        learned::picture(&self.scope, &kept)
    }

    /// Takes back what an earlier run had learned of it. Levels and windows begin anew all the same.
    pub(super) fn take_back(&mut self, learned: &ScopeLearned, age_s: f64) {
        let mut kept = self
            .jitter
            .as_mut()
            .map_or_else(Vec::new, |track| track.judge.kept_mut());
        kept.extend(self.fever.iter_mut().flat_map(|track| track.judge.kept_mut()));
        kept.extend(self.amplification.iter_mut().flat_map(|track| track.judge.kept_mut()));
        for (name, one) in kept {
            if let Some(series) = learned.series.get(name) {
                one.take_back(series, age_s);
            }
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
        let reading = desk.reading(Signal::Jitter, desk.elapsed.sched_ns).zip(input.sched);
        let last_ns = reading.map_or(desk.now.monotonic_ns, |(reading, _)| {
            reading.end_ns - reading.elapsed_ns
        });
        if let Some(said) = track.missing(last_ns, desk.config) {
            track.judge.interrupt();
            desk.say(&self.scope, Signal::Jitter, said, Evidence::default(), track, context);
        }
        let Some((reading, sched)) = reading else { return };
        let mut finding = track.judge.observe(reading, sched, input.throttled_ns, context, config);
        if self.scope.kind == ScopeKind::Cgroup {
            context.waiting.offer(&self.scope, track.judge.waiting_ms_per_s());
            context.running_next.offer(&self.scope, track.judge.runnable_tasks());
            context.stuck_tasks_next += track.judge.stuck_tasks();
        } else {
            finding = finding.at_most(Level::Watch);
        }
        if let Some(said) = track.settle(desk.now, reading, finding, Some(track.judge.value()), desk.config) {
            let evidence = track.judge.evidence(context);
            desk.say(&self.scope, Signal::Jitter, said, evidence, track, context);
        }
    }

    fn observe_fever(&mut self, input: Input<'_>, context: &mut Context, desk: &mut Desk<'_>, config: &FeverConfig) {
        let Some(track) = &mut self.fever else { return };
        let reading = desk.reading(Signal::Fever, desk.elapsed.mem_ns).zip(input.mem);
        let last_ns = reading.map_or(desk.now.monotonic_ns, |(reading, _)| {
            reading.end_ns - reading.elapsed_ns
        });
        if let Some(said) = track.missing(last_ns, desk.config) {
            track.judge.interrupt();
            desk.say(&self.scope, Signal::Fever, said, Evidence::default(), track, context);
        }
        let Some((reading, mem)) = reading else { return };
        let mut finding = track.judge.observe(reading, mem, input.limits, context, config);
        match self.scope.kind {
            ScopeKind::Cgroup => {
                context.growing.offer(&self.scope, track.judge.value());
                context.grown(&track.judge.over_horizons());
                context.leak_named |= finding.cause == Cause::Leak;
            }
            ScopeKind::Other => finding = finding.at_most(Level::Watch),
            ScopeKind::Host | ScopeKind::Agent => {}
        }
        if let Some(said) = track.settle(desk.now, reading, finding, Some(track.judge.value()), desk.config) {
            let evidence = track.judge.evidence(context);
            desk.say(&self.scope, Signal::Fever, said, evidence, track, context);
        }
    }

    fn observe_amplification(
        &mut self,
        input: Input<'_>,
        context: &mut Context,
        desk: &mut Desk<'_>,
        config: &AmplificationConfig,
    ) {
        let Some(track) = &mut self.amplification else { return };
        let reading = desk.reading(Signal::Amplification, desk.elapsed.net_ns).zip(input.net);
        let last_ns = reading.map_or(desk.now.monotonic_ns, |(reading, _)| {
            reading.end_ns - reading.elapsed_ns
        });
        if let Some(said) = track.missing(last_ns, desk.config) {
            track.judge.interrupt();
            desk.say(
                &self.scope,
                Signal::Amplification,
                said,
                Evidence::default(),
                track,
                context,
            );
        }
        let Some((reading, net)) = reading else { return };
        let mut finding = track
            .judge
            .observe(reading, net, input.worst_destination, context, config);
        if self.scope.kind == ScopeKind::Cgroup {
            context.servers_next.offer(track.judge.serves());
        } else {
            finding = finding.at_most(Level::Watch);
        }
        let turned = track.judge.turned();
        let said = track
            .settle(desk.now, reading, finding, track.judge.value(), desk.config)
            .or_else(|| turned.then(|| track.again(&finding)).flatten());
        if let Some(said) = said {
            let evidence = track.judge.evidence();
            desk.say(&self.scope, Signal::Amplification, said, evidence, track, context);
        }
    }

    /// Whether more readings in which nothing happens would change nothing but what is learned.
    pub(super) fn is_at_rest(&self) -> bool {
        let settled = |track: Option<bool>| track.is_none_or(|settled| settled);
        settled(
            self.jitter
                .as_ref()
                .map(|track| track.is_settled() && track.judge.is_at_rest()),
        ) && settled(
            self.fever
                .as_ref()
                .map(|track| track.is_settled() && track.judge.is_at_rest()),
        ) && settled(
            self.amplification
                .as_ref()
                .map(|track| track.is_settled() && track.judge.is_at_rest()),
        )
    }

    /// Level of each signal, `None` for one that is off.
    pub(super) fn levels(&self) -> [Option<Level>; 3] {
        [
            self.jitter.as_ref().map(Track::level),
            self.fever.as_ref().map(Track::level),
            self.amplification.as_ref().map(Track::level),
        ]
    }

    /// Gives memory back that is needed only while something happens.
    pub(super) fn release(&mut self) {
        if let Some(track) = &mut self.jitter {
            track.judge.release();
        }
        if let Some(track) = &mut self.fever {
            track.judge.release();
        }
        if let Some(track) = &mut self.amplification {
            track.judge.release();
        }
    }

    /// Rise of resident memory over each horizon, MB.
    pub(super) fn rises(&self) -> OverHorizons {
        self.fever
            .as_ref()
            .map_or_else(OverHorizons::default, |track| track.judge.over_horizons())
    }

    /// The last word on a scope that is gone: what was wrong with it went with it.
    pub(super) fn bury(&mut self, context: &mut Context, desk: &mut Desk<'_>) {
        let scope = Arc::clone(&self.scope);
        if let Some(track) = &mut self.jitter {
            bury(&scope, Signal::Jitter, track, context, desk);
        }
        if let Some(track) = &mut self.fever {
            bury(&scope, Signal::Fever, track, context, desk);
        }
        if let Some(track) = &mut self.amplification {
            bury(&scope, Signal::Amplification, track, context, desk);
        }
    }

    /// Every signal of the scope as it stands.
    pub(super) fn states(&self) -> impl Iterator<Item = State> {
        let jitter = self
            .jitter
            .as_ref()
            .map(|track| self.state(Signal::Jitter, track, Some(track.judge.value())));
        let fever = self
            .fever
            .as_ref()
            .map(|track| self.state(Signal::Fever, track, Some(track.judge.value())));
        let amplification = self
            .amplification
            .as_ref()
            .map(|track| self.state(Signal::Amplification, track, track.judge.value()));
        [jitter, fever, amplification].into_iter().flatten()
    }

    /// Every signal of the scope with the numbers behind it. Costs about as much as a verdict for each.
    pub(super) fn portrait(&self, context: &Context) -> Portrait {
        let jitter = self.jitter.as_ref().map(|track| {
            (
                Signal::Jitter,
                track.level(),
                track.cause(),
                track.judge.evidence(context),
            )
        });
        let fever = self.fever.as_ref().map(|track| {
            (
                Signal::Fever,
                track.level(),
                track.cause(),
                track.judge.evidence(context),
            )
        });
        let amplification = self.amplification.as_ref().map(|track| {
            (
                Signal::Amplification,
                track.level(),
                track.cause(),
                track.judge.evidence(),
            )
        });
        let signals = [jitter, fever, amplification].into_iter().flatten();
        Portrait {
            scope: Arc::clone(&self.scope),
            signals: signals
                .map(|(signal, level, cause, evidence)| SignalView::of(signal, level, cause, evidence))
                .collect(),
        }
    }

    fn state<T>(&self, signal: Signal, track: &Track<T>, value: Option<f64>) -> State {
        State {
            scope: Arc::clone(&self.scope),
            signal,
            level: track.level(),
            cause: track.cause(),
            value: value.filter(|_| track.level() > Level::Unknown),
        }
    }
}

fn bury<T>(scope: &Arc<Scope>, signal: Signal, track: &mut Track<T>, context: &mut Context, desk: &mut Desk<'_>) {
    let previous = track.level();
    if previous < Level::Watch {
        return;
    }
    let said = Said {
        level: Level::Nominal,
        previous,
        cause: Cause::None,
        calming: false,
    };
    let incident = desk.incident(scope, signal, said, None, track, context);
    let summary = format!("{} is gone", report::printable(scope.name()));
    desk.write(scope, signal, said, Evidence::default(), incident, summary, context);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_remembered_in_three_kilobytes() {
        assert!(size_of::<ScopeState>() <= 3 * 1024, "{}", size_of::<ScopeState>());
    }
}
