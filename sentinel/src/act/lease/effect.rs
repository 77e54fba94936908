//! What an action should bring, and whether it did: a number that the sensors measure by themselves, before and after.
//! Pure. What an action refuses says nothing about its effect and is not looked at.

use crate::{
    act::action::Action,
    sense::sample::{Elapsed, ScopeSample},
};

/// Share of what is usual that an action has to leave at the most to have had an effect, whatever it allows.
const FALLS_TO: f64 = 0.75;
/// How far above what was expected the measured value may lie: it is measured over two seconds.
const SLACK: f64 = 1.1;
/// Length of the measurement, nanoseconds, and the share of it that has to be there.
const MEASURE_NS: u64 = 2_000_000_000;
const WHOLE: f64 = 0.5;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    /// Units of work sent per second, by all connections. Attempts that are refused are none.
    WorkOutPerS,
    /// Connections accepted per second. Those that are shed are none.
    AcceptsPerS,
    /// CPU time, milliseconds per second.
    OnCpuMsPerS,
    /// `memory.current`, 10^6 bytes.
    MemoryMb,
}

impl Metric {
    const fn unit(self) -> &'static str {
        match self {
            Self::WorkOutPerS => "units of work sent per second",
            Self::AcceptsPerS => "connections accepted per second",
            Self::OnCpuMsPerS => "ms of CPU time per second",
            Self::MemoryMb => "MB of memory",
        }
    }
}

/// What one reading says of a scope. Amounts, not rates; `None` is not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Measured {
    /// Units of work sent and received, and the seconds they took.
    pub(super) work: Option<(f64, f64, f64)>,
    /// Connections accepted, and the seconds they took.
    pub(super) accepts: Option<(f64, f64)>,
    /// Milliseconds on a CPU, and the seconds they took.
    pub(super) on_cpu: Option<(f64, f64)>,
    /// Memory used, 10^6 bytes.
    pub(super) memory_mb: Option<f64>,
}

impl Measured {
    /// Of a scope in a sample.
    pub(super) fn of(scope: &ScopeSample, elapsed: &Elapsed) -> Self {
        let seconds = |ns: Option<u64>| ns.filter(|ns| *ns > 0).map(|ns| ns as f64 / 1e9);
        Self {
            work: scope
                .net
                .zip(seconds(elapsed.net_ns))
                .map(|(net, s)| (net.work_out() as f64, net.work_in() as f64, s)),
            accepts: scope
                .net
                .zip(seconds(elapsed.net_ns))
                .map(|(net, s)| (net.accepts as f64, s)),
            on_cpu: scope
                .sched
                .zip(seconds(elapsed.sched_ns))
                .map(|(sched, s)| (sched.on_cpu_ns as f64 / 1e6, s)),
            memory_mb: scope.memory_current_bytes.map(|bytes| bytes as f64 / 1e6),
        }
    }
}

/// What came of an expectation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    /// As expected.
    Met(String),
    /// Not.
    Missed(String),
    /// It could not be measured.
    Unknown(String),
}

/// The effect one action should have, and the measurement that tells.
#[derive(Clone, Debug)]
pub(super) struct Expectation {
    metric: Metric,
    before: Option<f64>,
    limit: Limit,
    /// When it is told, nanoseconds after the action began.
    after_ns: u64,
    sum: f64,
    work_in: f64,
    seconds: f64,
}

/// What the action allows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// So much for each unit of work that comes in, and so much per second.
    Budget { each: f64, per_s: f64 },
    /// So much.
    Fixed(f64),
    /// Nothing but that it falls.
    Falls,
}

impl Expectation {
    /// Of an action; `before` is what was measured when it was planned.
    pub(super) fn of(action: &Action, before: &Measured, after_ns: u64) -> Self {
        let work = before.work.map(|(out, _, s)| out / s);
        let on_cpu = before.on_cpu.map(|(ms, s)| ms / s);
        let accepts = before.accepts.map(|(accepts, s)| accepts / s);
        let (metric, before, limit) = match *action {
            Action::RetryBudget { per_s, fan_out_milli } => (
                Metric::WorkOutPerS,
                work,
                Limit::Budget {
                    each: 1.2 * fan_out_milli as f64 / 1000.0,
                    per_s: per_s as f64,
                },
            ),
            Action::Admission { share_permille } => (
                Metric::AcceptsPerS,
                accepts,
                accepts.map_or(Limit::Falls, |accepts| {
                    Limit::Fixed(accepts * share_permille as f64 / 1e3)
                }),
            ),
            Action::CpuMax {
                quota_us, period_us, ..
            } => (
                Metric::OnCpuMsPerS,
                on_cpu,
                Limit::Fixed(quota_us as f64 / period_us as f64 * 1e3),
            ),
            Action::CpuWeight { .. } => (Metric::OnCpuMsPerS, on_cpu, Limit::Falls),
            Action::MemoryHigh { bytes } => (Metric::MemoryMb, before.memory_mb, Limit::Fixed(bytes as f64 / 1e6)),
            Action::Freeze => (Metric::OnCpuMsPerS, on_cpu, Limit::Fixed(1.0)),
        };
        Self {
            metric,
            before,
            limit,
            after_ns,
            sum: 0.0,
            work_in: 0.0,
            seconds: 0.0,
        }
    }

    /// In one sentence.
    pub(super) fn sentence(&self) -> String {
        let within = self.after_ns as f64 / 1e9;
        let falls = |to: String| {
            let from = self
                .before
                .map_or_else(String::new, |before| format!(" from {before:.0}"));
            format!("within {within} s {} fall{from} to {to}", self.metric.unit())
        };
        match self.limit {
            Limit::Budget { each, per_s } => {
                falls(format!("{each:.2} for each received and {per_s:.0}, or by a quarter"))
            }
            Limit::Fixed(limit) => falls(format!("{limit:.0}, or by a quarter")),
            Limit::Falls => falls("three quarters of that".into()),
        }
    }

    /// Takes in a reading of an action that has held for `held_ns`; says what came of it once that can be told.
    pub(super) fn observe(&mut self, measured: &Measured, held_ns: u64) -> Option<Effect> {
        if held_ns.saturating_add(MEASURE_NS) >= self.after_ns {
            self.add(measured);
        }
        (held_ns >= self.after_ns).then(|| self.tell())
    }

    fn add(&mut self, measured: &Measured) {
        match self.metric {
            Metric::WorkOutPerS => {
                let Some((work_out, work_in, seconds)) = measured.work else {
                    return;
                };
                self.sum += work_out;
                self.work_in += work_in;
                self.seconds += seconds;
            }
            Metric::AcceptsPerS => {
                let Some((accepts, seconds)) = measured.accepts else {
                    return;
                };
                self.sum += accepts;
                self.seconds += seconds;
            }
            Metric::OnCpuMsPerS => {
                let Some((on_cpu_ms, seconds)) = measured.on_cpu else {
                    return;
                };
                self.sum += on_cpu_ms;
                self.seconds += seconds;
            }
            // A level, not a rate: the last one counts.
            Metric::MemoryMb => {
                let Some(memory_mb) = measured.memory_mb else { return };
                (self.sum, self.seconds) = (memory_mb, 1.0);
            }
        }
    }

    fn tell(&self) -> Effect {
        let unit = self.metric.unit();
        let whole = WHOLE * (self.after_ns.min(MEASURE_NS) as f64 / 1e9);
        let measured_long_enough = self.metric == Metric::MemoryMb || self.seconds >= whole;
        if self.seconds <= 0.0 || !measured_long_enough {
            return Effect::Unknown(format!("{unit} were not measured for long enough to tell"));
        }
        let now = self.sum / self.seconds;
        let fallen = self.before.map(|before| FALLS_TO * before);
        let allowed = match self.limit {
            Limit::Budget { each, per_s } => Some(each * self.work_in / self.seconds + per_s),
            Limit::Fixed(limit) => Some(limit),
            Limit::Falls => None,
        };
        let Some(most) = allowed.into_iter().chain(fallen).reduce(f64::max) else {
            return Effect::Unknown(format!("{unit} were not measured before"));
        };
        let before = self
            .before
            .map_or_else(String::new, |before| format!(", {before:.0} before"));
        let told = format!("{now:.0} {unit}{before}; expected at most {most:.0}");
        if now <= SLACK * most {
            Effect::Met(told)
        } else {
            Effect::Missed(told)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;
    const BUDGET: Action = Action::RetryBudget {
        per_s: 10,
        fan_out_milli: 1000,
    };

    fn work(out_per_s: f64, in_per_s: f64) -> Measured {
        Measured {
            work: Some((out_per_s / 5.0, in_per_s / 5.0, 0.2)),
            ..Measured::default()
        }
    }

    /// What is told of an action after five seconds of the same.
    fn told(action: &Action, before: &Measured, after: &Measured) -> Effect {
        let mut expectation = Expectation::of(action, before, 5 * SECOND_NS);
        for step in 1..25 {
            assert_eq!(expectation.observe(after, step * SECOND_NS / 5), None, "too early");
        }
        expectation.observe(after, 5 * SECOND_NS).expect("it is time")
    }

    #[test]
    fn a_storm_that_falls_to_its_budget_has_met_it() {
        assert!(matches!(
            told(&BUDGET, &work(400.0, 100.0), &work(130.0, 100.0)),
            Effect::Met(_)
        ));
        // It began to act when the storm had hardly begun, and the load is three times the usual.
        assert!(matches!(
            told(&BUDGET, &work(150.0, 100.0), &work(365.0, 300.0)),
            Effect::Met(_)
        ));
    }

    #[test]
    fn retries_over_kept_connections_are_not_reached() {
        let told = told(&BUDGET, &work(400.0, 100.0), &work(400.0, 100.0));
        let Effect::Missed(told) = told else { panic!("{told:?}") };
        assert_eq!(
            told,
            "400 units of work sent per second, 400 before; expected at most 300"
        );
    }

    #[test]
    fn what_was_not_measured_is_not_told() {
        assert!(matches!(
            told(&BUDGET, &work(400.0, 100.0), &Measured::default()),
            Effect::Unknown(_)
        ));
        let weight = Action::CpuWeight { weight: 50 };
        let running = Measured {
            on_cpu: Some((100.0, 0.2)),
            ..Measured::default()
        };
        assert!(matches!(
            told(&weight, &Measured::default(), &running),
            Effect::Unknown(_)
        ));
    }

    #[test]
    fn what_is_shed_at_the_door_is_missing_among_the_accepted() {
        let accepting = |per_s: f64| Measured {
            accepts: Some((per_s / 5.0, 0.2)),
            ..Measured::default()
        };
        let half = Action::Admission { share_permille: 500 };
        assert!(matches!(
            told(&half, &accepting(300.0), &accepting(150.0)),
            Effect::Met(_)
        ));
        let told = told(&half, &accepting(300.0), &accepting(290.0));
        let Effect::Missed(told) = told else { panic!("{told:?}") };
        assert_eq!(
            told,
            "290 connections accepted per second, 300 before; expected at most 225"
        );
    }

    #[test]
    fn a_limit_on_the_cpu_is_told_by_the_scheduler() {
        let running = |ms_per_s: f64| Measured {
            on_cpu: Some((ms_per_s / 5.0, 0.2)),
            ..Measured::default()
        };
        let half = Action::CpuMax {
            quota_us: 50_000,
            period_us: 100_000,
            used_us_per_s: 1_000_000,
        };
        assert!(matches!(told(&half, &running(1000.0), &running(510.0)), Effect::Met(_)));
        assert!(matches!(
            told(&half, &running(1000.0), &running(990.0)),
            Effect::Missed(_)
        ));
    }
}
