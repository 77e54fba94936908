//! What the agent itself uses: CPU time and memory, asked of the kernel about this process alone.

use std::{fs::File, os::unix::fs::FileExt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{sense::spare::ProgramShares, time};

/// What the process uses. `None` until it was measured twice, or where the kernel does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Own {
    /// CPU time of all its threads since it was started, seconds; what its programs cost inside the kernel is not in it.
    pub cpu_s: Option<f64>,
    /// Share of one CPU between the last two ticks, 0 to the number of CPUs.
    pub cpu_share: Option<f64>,
    /// Resident memory, bytes.
    pub resident_bytes: Option<u64>,
    /// Shares of one CPU that its programs took inside the kernel between the last two ticks, by what they watch.
    #[serde(default)]
    pub programs: ProgramShares,
    /// Process and programs together, in the mean of the last seconds, share of one CPU; not known in the first ten.
    #[serde(default)]
    pub cost_share: Option<f64>,
    /// What that may be, share of one CPU.
    #[serde(default)]
    pub budget_share: Option<f64>,
    /// How many things are left out so that it holds: readings between ticks, pages, packets.
    #[serde(default)]
    pub left_out: u32,
}

/// Measures it.
#[derive(Debug)]
pub struct Meter {
    statm: Option<File>,
    page_bytes: u64,
    last_ns: Option<(u64, u64)>,
    own: Own,
}

impl Meter {
    /// Of this process.
    #[must_use]
    pub fn new(page_bytes: u64) -> Self {
        Self {
            statm: File::open("/proc/self/statm").ok(),
            page_bytes,
            last_ns: None,
            own: Own::default(),
        }
    }

    /// Measures again. `now_ns` is `CLOCK_MONOTONIC`.
    pub fn read(&mut self, now_ns: u64) -> Own {
        let used_ns = time::process_cpu_ns();
        let share = self.last_ns.and_then(|(then_ns, used_then_ns)| {
            let elapsed_ns = now_ns.checked_sub(then_ns).filter(|elapsed| *elapsed > 0)?;
            Some(used_ns.saturating_sub(used_then_ns) as f64 / elapsed_ns as f64)
        });
        self.last_ns = Some((now_ns, used_ns));
        self.own = Own {
            cpu_s: Some(used_ns as f64 / 1e9),
            cpu_share: share.or(self.own.cpu_share),
            resident_bytes: self.resident_bytes(),
            ..self.own
        };
        self.own
    }

    /// What is held against the budget.
    pub const fn hold(&mut self, programs: ProgramShares, cost_share: Option<f64>, budget_share: f64, left_out: u32) {
        self.own.programs = programs;
        self.own.cost_share = cost_share;
        self.own.budget_share = Some(budget_share);
        self.own.left_out = left_out;
    }

    /// What was measured last.
    #[must_use]
    pub const fn last(&self) -> Own {
        self.own
    }

    fn resident_bytes(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.statm.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = str::from_utf8(text.get(..length)?).ok()?;
        let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
        Some(pages * self.page_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_as_a_share_and_memory_as_bytes() {
        let mut meter = Meter::new(4096);
        let first = meter.read(1);
        assert_eq!(first.cpu_share, None);
        assert!(first.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{first:?}");
        let until = time::process_cpu_ns() + 20_000_000;
        while time::process_cpu_ns() < until {
            std::hint::spin_loop();
        }
        let second = meter.read(40_000_001);
        assert!(second.cpu_share.is_some_and(|share| share >= 0.5), "{second:?}");
        assert!(second.cpu_s > first.cpu_s);
        assert_eq!(meter.last(), second);
    }
}
