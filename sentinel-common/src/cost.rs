//! What the programs of a sensor take, and the word by which user space controls that, and whether they run at all.

/// Sensors that are told apart here.
pub const SENSORS: usize = 3;
/// What runs at switches of tasks. It cannot be switched off, because all others are attributed by it.
pub const OF_SCHED: usize = 0;
/// What runs at pages: allocation and resident pages.
pub const OF_MEM: usize = 1;
/// What runs at packets and connections.
pub const OF_NET: usize = 2;

/// Runs that took longer are not counted: an interrupt came in between. The programs take a hundredth of that.
pub const LONGEST_RUN_NS: u64 = 10_000;

/// Of the runs that are asked for the last so many count: the first ones run code that the caches do not have, because only runs
/// that are timed need it.
pub const COUNTED_RUNS: u64 = 32;

/// The runs of one sensor's programs that were timed on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timed {
    /// How many were events that the sensor counts.
    pub events: u64,
    /// What all of them took, nanoseconds, modulo 2^64. A run that took no longer than reading the clock can count below zero.
    pub ns: u64,
    /// When the last one began.
    pub began_ns: u64,
    /// What reading the clock took then.
    pub clock_ns: u64,
    /// Runs that were left to be timed after that.
    pub left: u64,
}

/// In [`crate::sched::CpuState::control`]: the bit by which a sensor's programs return at once.
#[inline(always)]
#[must_use]
pub const fn off(sensor: usize) -> u64 {
    1 << sensor
}

/// In [`crate::sched::CpuState::control`]: the byte that says how many runs of a sensor's programs are still to be timed.
/// User space sets it together with all others, the programs count their own down.
#[inline(always)]
#[must_use]
pub const fn left_byte(sensor: usize) -> usize {
    1 + sensor
}

/// So many runs of a sensor's programs in that byte.
#[inline(always)]
#[must_use]
pub const fn left(sensor: usize, runs: u8) -> u64 {
    (runs as u64) << (8 * left_byte(sensor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_sensor_is_no_other_sensors() {
        let mut seen = 0;
        for sensor in 0..SENSORS {
            for part in [off(sensor), left(sensor, u8::MAX)] {
                assert_eq!(seen & part, 0, "sensor {sensor}");
                seen |= part;
            }
            let word = left(sensor, 7).to_le_bytes();
            assert_eq!(word[left_byte(sensor)], 7);
        }
    }
}
