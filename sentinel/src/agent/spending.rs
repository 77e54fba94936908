//! What the agent spends, held against its budget at every tick, and what is left out for that. Decides nothing: the governor does.

use std::sync::Arc;

use super::{Agent, AgentError, Stop, governor::Spent};
use crate::{
    judge::Verdict,
    sense::{
        Source,
        spare::{ProgramShares, Spared},
    },
    show::Unavailable,
    time::{Now, process_cpu_ns},
};

/// How the reason begins why a sensor does not run that is left out.
const LEFT_OUT: &str = "left out so that sentinel";

/// What readings between ticks take: one of them is measured for each tick, because measuring takes system calls too.
#[derive(Debug, Default)]
pub(super) struct Between {
    /// Readings since the last tick, and what the measured one took.
    readings: u32,
    measured_ns: Option<u64>,
    last_ns: Option<u64>,
}

impl<S: Source> Agent<S> {
    /// A reading between ticks.
    pub(super) fn read_between(&mut self) -> Result<Option<Stop>, AgentError> {
        self.between.readings += 1;
        if self.between.measured_ns.is_some() {
            return self.read(false);
        }
        let before_ns = process_cpu_ns();
        let stopped = self.read(false);
        self.between.measured_ns = Some(process_cpu_ns().saturating_sub(before_ns));
        stopped
    }

    /// Measures what the last tick cost, and leaves out or takes up what the governor says.
    pub(super) fn govern(&mut self, now: Now) -> Option<Verdict> {
        let own = self.meter.read(now.monotonic_ns);
        let spent = Spent {
            agent: own.cpu_share,
            between: self.between.share(now.monotonic_ns),
            programs: self.parts.source.program_shares(),
        };
        let budget = self.parts.config.cost_budget / 100.0;
        let before = self.governor.spared();
        let cost = self.governor.tick(&spent, budget, self.actor.holds(), now.monotonic_ns);
        let (spared, left_out) = (self.governor.spared(), self.governor.taken().len());
        // What is left out from this moment on has no share any more.
        let programs = ProgramShares {
            mem: spent.programs.mem.filter(|_| !spared.mem),
            net: spent.programs.net.filter(|_| !spared.net),
            ..spent.programs
        };
        let left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
        self.meter.hold(programs, self.governor.mean(), budget, left_out);
        let cost = cost?;
        self.leave_out(before, spared, cost.budget, now);
        Some(self.judge.about_itself(&cost, now))
    }

    /// What is left out is told as what does not run; nothing is done by what it does not see. What somebody else took away
    /// meanwhile does not come back.
    fn leave_out(&mut self, before: Spared, spared: Spared, budget: f64, now: Now) {
        if before == spared {
            return;
        }
        self.parts.source.spare(spared, now);
        let runs = self.parts.source.sparable().named();
        for (((sensor, was), (_, is)), (_, runs)) in before.named().into_iter().zip(spared.named()).zip(runs) {
            if is && !was {
                let reason = format!(
                    "{LEFT_OUT} costs no more than {:.2} % of one CPU (`cost_budget`); it is tried again by itself",
                    budget * 100.0
                );
                self.actor.blinded(sensor, &reason);
                let sensor = sensor.to_owned();
                Arc::make_mut(&mut self.parts.unavailable).push(Unavailable { sensor, reason });
            } else if was && !is {
                let left_out = |one: &Unavailable| one.sensor == sensor && one.reason.starts_with(LEFT_OUT);
                Arc::make_mut(&mut self.parts.unavailable).retain(|one| !left_out(one));
                if runs {
                    self.actor.sees_again(sensor);
                }
            }
        }
    }
}

impl Between {
    /// Share of one CPU since the last tick; begins anew. Where there was no reading, none was spent on any.
    fn share(&mut self, now_ns: u64) -> Option<f64> {
        let before_ns = self.last_ns.replace(now_ns);
        let readings = std::mem::take(&mut self.readings);
        let each_ns = self.measured_ns.take().unwrap_or(0);
        let elapsed_ns = now_ns.checked_sub(before_ns?).filter(|elapsed| *elapsed > 0)?;
        Some(each_ns as f64 * f64::from(readings) / elapsed_ns as f64)
    }
}
