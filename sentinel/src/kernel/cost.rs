//! What runs of the programs take, and how sensors are switched off: what is asked of the programs, and their answer.
//!
//! In: which sensors are off. Out: what was timed, and counts of events that no slot has. Never decides what is switched off,
//! nor what is too much.

use sentinel_common::{
    cost::{COUNTED_RUNS, SENSORS, left},
    sched::{CONTROL_WORD, CpuState},
};

use super::Kernel;

/// Runs of each sensor's programs that are timed on each CPU after each asking. Each takes three readings of the clock: the
/// time of one run or two.
const RUNS: u8 = 2 * COUNTED_RUNS as u8;

/// What was timed on all CPUs since the start, by sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timed {
    /// Events that the sensor counts.
    pub events: u64,
    /// What the programs took for them, nanoseconds, modulo 2^64.
    pub ns: u64,
}

impl Kernel {
    /// Asks for some runs of each program on each CPU to be timed.
    pub fn time_some(&self) {
        let runs = (0..SENSORS).fold(0, |word, sensor| word | left(sensor, RUNS));
        self.control(self.off | runs);
    }

    /// Lets the programs of these sensors return at once from now on, and those of others count: bits as of
    /// [`sentinel_common::cost::off`].
    pub fn switch_off(&mut self, sensors: u64) {
        self.off = sensors;
        self.control(sensors);
    }

    fn control(&self, word: u64) {
        for cpu in 0..self.cpus {
            self.cpu_state.set(cpu, CONTROL_WORD, word);
        }
    }

    /// What was timed since the start.
    #[must_use]
    pub fn timed(&self) -> [Timed; SENSORS] {
        let mut timed = [Timed::default(); SENSORS];
        for state in self.cpu_states() {
            for (sum, of_cpu) in timed.iter_mut().zip(&state.timed) {
                sum.events = sum.events.wrapping_add(of_cpu.events);
                sum.ns = sum.ns.wrapping_add(of_cpu.ns);
            }
        }
        timed
    }

    /// Runs of the programs of packets.
    #[must_use]
    pub fn packet_runs(&self) -> u64 {
        self.cpu_states()
            .fold(0, |sum, state| sum.wrapping_add(state.packet_runs))
    }

    /// Switches from idle, which no cgroup is charged with.
    #[must_use]
    pub fn idle_left(&self) -> u64 {
        self.cpu_states()
            .fold(0, |sum, state| sum.wrapping_add(state.idle_left))
    }

    fn cpu_states(&self) -> impl Iterator<Item = CpuState> {
        (0..self.cpus).filter_map(|cpu| self.cpu_state.get(cpu))
    }
}
