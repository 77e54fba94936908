//! Whether the programs of each sensor are still attached and run, asked every few ticks. Says what changed; judges no scope.

use super::Live;
use crate::{sense::liveness::Change, time::Now};

/// Ticks between two looks whether programs are still attached and run.
const WATCH_TICKS: u64 = 10;

impl Live {
    pub(super) fn look_whether_programs_run(&mut self, now: Now) -> Option<Change> {
        if !self.ticks.is_multiple_of(WATCH_TICKS) {
            return None;
        }
        self.kernel.count_left_out();
        let change = self.network_change();
        let change = change.or_else(|| self.measures.sched.then(|| self.switches.look())?);
        let change = change.or_else(|| {
            let samples = self.measures.run_queue.then(|| self.kernel.run_queue_samples())?;
            self.sampling.look(now.monotonic_ns, &samples)
        });
        if matches!(&change, Some(Change::Lost { sensor, .. }) if sensor == "sched") {
            (self.measures.sched, self.measures.run_queue) = (false, false);
        }
        change
    }

    fn network_change(&mut self) -> Option<Change> {
        let (sensor, reason) = self.kernel.lost()?;
        self.measures.net &= self.kernel.runs("net");
        Some(Change::Lost {
            sensor: sensor.to_owned(),
            reason,
        })
    }
}
