//! The only place that reads a clock. Everything else takes time as an argument.
#![forbid(unsafe_code)]

use rustix::time::{ClockId, clock_gettime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One reading of the clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Now {
    /// Wall clock: milliseconds since the Unix epoch.
    pub unix_ms: i64,
    /// `CLOCK_MONOTONIC`, nanoseconds: does not go back and stops during suspend.
    pub monotonic_ns: u64,
}

impl Now {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        let wall = clock_gettime(ClockId::Realtime);
        Self {
            unix_ms: wall.tv_sec * 1000 + wall.tv_nsec / 1_000_000,
            monotonic_ns: monotonic_ns(),
        }
    }

    /// The wall clock as RFC 3339 with milliseconds in UTC, `2026-01-01T00:00:00.000Z`.
    #[must_use]
    pub fn rfc3339(&self) -> String {
        let time = jiff::Timestamp::from_millisecond(self.unix_ms).unwrap_or_default();
        format!("{time:.3}")
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// CPU time that all threads of this process have used, nanoseconds.
#[must_use]
pub fn process_cpu_ns() -> u64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(used.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(used.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_is_written_with_milliseconds_in_utc() {
        let now = Now {
            unix_ms: 1_767_225_600_007,
            monotonic_ns: 0,
        };
        assert_eq!(now.rfc3339(), "2026-01-01T00:00:00.007Z");
    }
}
