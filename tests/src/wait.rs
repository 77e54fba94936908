//! Waiting with a deadline, on the clock verdicts are stamped with.

use std::{thread, time::Duration};

/// Time between two looks at a condition.
const STEP: Duration = Duration::from_millis(20);

/// `CLOCK_MONOTONIC` in nanoseconds.
#[must_use]
pub fn now_ns() -> u64 {
    sentinel::time::monotonic_ns()
}

/// Time since a reading of [`now_ns`].
#[must_use]
pub fn since(start_ns: u64) -> Duration {
    Duration::from_nanos(now_ns().saturating_sub(start_ns))
}

/// Looks until there is a value or the time is over.
pub fn until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start_ns = now_ns();
    loop {
        if let Some(value) = look() {
            return Some(value);
        }
        if since(start_ns) >= limit {
            return None;
        }
        thread::sleep(STEP);
    }
}

/// Looks until the condition holds; false when the time is over.
pub fn until_true(limit: Duration, mut look: impl FnMut() -> bool) -> bool {
    until(limit, || look().then_some(())).is_some()
}
