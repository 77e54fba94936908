//! What runs of the programs take, and how sensors are switched off: what is asked of the programs, and their answer.
//!
//! In: which sensors are off. Out: how many events there were, and what some of them took. Never decides what is switched off,
//! nor what is too much.

use sentinel_common::{
    cost::{COUNTED_RUNS, SENSORS, Timed, left},
    sched::CONTROL_WORD,
};

use super::Kernel;

/// Runs of each sensor's programs that are timed on each CPU after each asking. Each takes three readings of the clock: the
/// time of one run or two.
const RUNS: u8 = 2 * COUNTED_RUNS as u8;

/// What one CPU counted and timed since the start, by sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfCpu {
    /// Events, modulo 2^32.
    pub events: [u32; SENSORS],
    /// Some of them, and what the programs took for those.
    pub timed: [Timed; SENSORS],
}

impl Kernel {
    /// Asks for some runs of each sensor's programs to be timed on each CPU on which none is left of those that were asked for: where
    /// events are seldom they take more than a tick.
    pub fn time_some(&self) {
        for cpu in 0..self.cpus {
            let asked = self.cpu_state.get(cpu).unwrap_or_default().control;
            let word = (0..SENSORS).fold(self.off, |word, sensor| {
                let remaining = asked & left(sensor, u8::MAX);
                word | if remaining == 0 { left(sensor, RUNS) } else { remaining }
            });
            self.cpu_state.set(cpu, CONTROL_WORD, word);
        }
    }

    /// Lets the programs of these sensors return at once from now on, and those of others count: bits as of
    /// [`sentinel_common::cost::off`].
    pub fn switch_off(&mut self, sensors: u64) {
        self.off = sensors;
        for cpu in 0..self.cpus {
            self.cpu_state.set(cpu, CONTROL_WORD, sensors);
        }
    }

    /// Of each CPU, in their order.
    pub fn costs(&self) -> impl Iterator<Item = OfCpu> {
        (0..self.cpus).map(|cpu| {
            let state = self.cpu_state.get(cpu).unwrap_or_default();
            OfCpu {
                events: state.events,
                timed: state.timed,
            }
        })
    }
}
