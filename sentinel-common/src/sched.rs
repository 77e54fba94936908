//! Counters of the scheduler sensor.

use crate::{
    cost::{SENSORS, Timed},
    histogram::WAIT_BUCKETS,
    mem::{PagesRead, RSS_KINDS, Resident},
    pod,
};

/// What one CPU counted for one slot. Grows only; user space takes differences modulo 2^64 (2^32 for buckets).
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedCounters {
    /// Times a task left the CPU after having been scheduled: one wait each.
    pub waits: u64,
    /// Sum of run-queue waits, nanoseconds.
    pub wait_ns: u64,
    /// Sum of squares of waits, each in units of [`WAIT_UNIT_NS`].
    pub wait_units_squared: u64,
    /// Time on CPU, nanoseconds.
    pub on_cpu_ns: u64,
    /// Switches by which a task gave up the CPU to wait for something.
    pub voluntary: u64,
    /// Switches that took the CPU away from a task that could have gone on.
    pub involuntary: u64,
    /// Waits by length, see [`crate::histogram::wait_bucket`].
    pub buckets: [u32; WAIT_BUCKETS],
    /// Padding to whole cache lines, so that two CPUs never share one.
    pub _pad: [u64; 4],
}

/// The unit in which waits are squared: 1,024 ns. One wait of ten seconds adds 10^14, so that the sum of a busy
/// CPU (10^13 per second) takes three weeks to wrap, and differences survive the wrap.
pub const WAIT_UNIT_NS: u64 = 1 << WAIT_UNIT_SHIFT;
const WAIT_UNIT_SHIFT: u32 = 10;

/// Square of a wait in units of [`WAIT_UNIT_NS`], rounded to the nearest unit; waits above 2^32 units (73 minutes)
/// count as 2^32 - 1.
#[inline(always)]
#[must_use]
pub const fn wait_units_squared(wait_ns: u64) -> u64 {
    // Half a unit and more rounds up, without a sum that could overflow.
    let units = (wait_ns >> WAIT_UNIT_SHIFT) + (wait_ns >> (WAIT_UNIT_SHIFT - 1) & 1);
    let units = if units > u32::MAX as u64 {
        u32::MAX as u64
    } else {
        units
    };
    units * units
}

/// What one CPU remembers between two switches. Written and read by that CPU only; user space sets where its bank
/// begins before anything is attached.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuState {
    /// Thread id that is on the CPU; 0 is idle or not yet known.
    pub pid: u32,
    /// Slot of its cgroup.
    pub slot: u32,
    /// Its `sched_info.run_delay` when it was switched in, without the wait that ended there.
    pub run_delay_ns: u64,
    /// Its `se.sum_exec_runtime` when it was switched in.
    pub exec_ns: u64,
    /// Its `nvcsw` when it was switched in.
    pub voluntary: u64,
    /// Index of this CPU's first counter: its number × slots.
    pub bank: u32,
    /// Not 0 while a packet that leaves is being counted here: one that leaves from an interrupt, or from a task that
    /// took this CPU meanwhile, then counts in the shared bank.
    pub sending: u32,
    /// What user space asks of the programs, see [`crate::cost`].
    pub control: u64,
    /// Events of each sensor, as [`crate::cost::OF_SCHED`] and the others, modulo 2^32. An interrupt between reading and writing
    /// costs one of them.
    pub events: [u32; SENSORS],
    /// Movements of resident pages since pages were counted.
    pub movements: u32,
    /// What the programs of each sensor took.
    pub timed: [Timed; SENSORS],
    /// What was read of the kernel's counts of pages.
    pub pages: PagesRead,
    /// What was reported of resident pages last, by kind. With it the record has a power of two of bytes: indexing by shift, not by
    /// multiplication.
    pub resident: [Resident; RSS_KINDS],
}

/// Which word of [`CpuState`] controls the programs.
pub const CONTROL_WORD: usize = core::mem::offset_of!(CpuState, control) / size_of::<u64>();

/// Entries of the table of waits by thread id. A power of two.
pub const TASK_WAITS_ENTRIES: u32 = 8192;

/// What a thread had waited in all when it last left a CPU.
///
/// A direct-mapped table, so an entry can be overwritten by another thread; the programs then fall back to what the
/// CPU saw at switch-in, which misses only waits before a migration in the queue.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskWait {
    /// `sched_info.run_delay` at that time.
    pub run_delay_ns: u64,
    /// Thread id.
    pub pid: u32,
    /// Padding.
    pub _pad: u32,
}

/// Index of a thread in the table of waits: threads with neighbouring ids lie a cache line apart, so that two CPUs
/// running them do not share one.
#[inline(always)]
#[must_use]
pub const fn task_index(pid: u32) -> u32 {
    const LINE_SHIFT: u32 = 2;
    let low = pid & (TASK_WAITS_ENTRIES - 1);
    ((low << LINE_SHIFT) | (low >> (TASK_WAITS_ENTRIES.trailing_zeros() - LINE_SHIFT))) & (TASK_WAITS_ENTRIES - 1)
}

/// What a thread waited before it ran this time, from its `run_delay` now, when it was switched in, and when it last
/// left a CPU (`None` when that is not known).
///
/// The last one is preferred: a thread that is migrated while it waits is credited its wait so far before it is
/// switched in, and only the difference to the time it last left has it whole. An older value of another thread with
/// the same id shows by being larger than now, or by saying less than what was seen since switch-in.
#[inline(always)]
#[must_use]
pub const fn wait_ns(now: u64, at_switch_in: u64, at_last_leave: Option<u64>) -> u64 {
    let seen = now.wrapping_sub(at_switch_in);
    match at_last_leave {
        Some(before) if before <= at_switch_in => now.wrapping_sub(before),
        _ => seen,
    }
}

/// Run-queue lengths sampled on one CPU. The length counts the running task; 0 is idle.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunQueueCounters {
    /// Samples taken.
    pub samples: u64,
    /// Sum of sampled lengths.
    pub length: u64,
    /// Sum of squares of sampled lengths.
    pub length_squared: u64,
    /// Padding.
    pub _pad: [u64; 5],
}

pod!(SchedCounters, CpuState, TaskWait, RunQueueCounters);
const _: () = assert!(size_of::<SchedCounters>() == 192);
const _: () = assert!(size_of::<CpuState>() == 256);
const _: () = assert!(size_of::<TaskWait>() == 16);
const _: () = assert!(size_of::<RunQueueCounters>() == 64);
const _: () = assert!(TASK_WAITS_ENTRIES.is_power_of_two());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_begun_on_another_cpu_is_whole() {
        assert_eq!(wait_ns(1500, 1200, Some(1000)), 500);
        assert_eq!(wait_ns(1500, 1200, None), 300);
        assert_eq!(
            wait_ns(1500, 1200, Some(9000)),
            300,
            "an id used again by a younger thread"
        );
    }

    #[test]
    fn neighbouring_threads_lie_a_cache_line_apart_and_no_two_share_an_entry() {
        let mut used = [false; TASK_WAITS_ENTRIES as usize];
        for pid in 0..TASK_WAITS_ENTRIES {
            assert!(!core::mem::replace(&mut used[task_index(pid) as usize], true));
        }
        assert_eq!(task_index(2) - task_index(1), 4);
    }

    #[test]
    fn squares_round_to_the_nearest_unit_and_never_overflow() {
        assert_eq!(wait_units_squared(0), 0);
        assert_eq!(wait_units_squared(511), 0);
        assert_eq!(wait_units_squared(512), 1);
        assert_eq!(wait_units_squared(1024 * 1000), 1_000_000);
        assert_eq!(wait_units_squared(u64::MAX), u64::from(u32::MAX) * u64::from(u32::MAX));
    }
}
