//! How often is read between ticks. In: what happens on the host, and what the governor leaves out. Never reads anything.

use std::time::Duration;

use super::Agent;
use crate::{judge::own_cost::Step, sense::Source, time::monotonic_ns};

/// Time between readings while nothing happens, where a tick does not come sooner.
const QUIET: Duration = Duration::from_secs(1);

impl<S: Source> Agent<S> {
    /// Time between readings from now on; `None` where only ticks read.
    pub(super) fn pause(&self) -> Option<Duration> {
        let fast = self.parts.config.network_interval;
        let pause = if self.looks_closer() { fast } else { QUIET.max(fast) };
        let left_out = self.governor.taken().contains(&Step::Readings);
        (self.parts.read_between && !left_out && pause < self.parts.config.interval).then_some(pause)
    }

    /// Whether to read as often as it is told to: what happens to nobody, and nobody wants to hear of, can wait a little.
    fn looks_closer(&self) -> bool {
        self.parts.every_tick || self.actor.holds() || self.attention.lasts()
    }

    /// Whether there was a reading, tick or not, so short a time ago.
    pub(super) fn was_read_within(&self, time: Duration) -> bool {
        self.read_ns
            .is_some_and(|at| Duration::from_nanos(monotonic_ns().saturating_sub(at)) < time)
    }
}
