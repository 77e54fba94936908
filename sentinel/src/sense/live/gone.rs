//! Cgroups that are gone, as the kernel reports them or as a look finds them, and whose process was killed for lack of memory.
//! Never takes a cgroup for gone whose directory is there.

use std::collections::HashMap;

use sentinel_common::{
    event::{EVENT_CGROUP_REMOVED, EVENT_OOM_KILL},
    id::SLOT_OTHER,
    loss::EVENT_DROPPED,
};

use super::Live;

/// Ticks between two looks for cgroups whose removal may not have been reported, and between two where nothing speaks for
/// that: each look costs up to a system call for every cgroup.
const SWEEP_TICKS: u64 = 60;
const SWEEP_ANYWAY_TICKS: u64 = 600;
/// Ticks over which a look is spread, so that no tick is long.
const SWEEP_SPREAD_TICKS: u64 = 30;
/// Events handled in one reading at the most, so that a burst of removals does not delay a tick.
const MAX_EVENTS: usize = 4096;

impl Live {
    pub(super) fn handle_events(&mut self) -> HashMap<String, u64> {
        let mut oom_kills_by_path = HashMap::new();
        for _ in 0..MAX_EVENTS {
            let Some(event) = self.kernel.next_event() else { break };
            match event.kind {
                // A cgroup of another hierarchy may have the same id: only one whose directory is gone is gone.
                EVENT_CGROUP_REMOVED if !self.cgroups.exists(event.value) => self.gone(event.value),
                EVENT_OOM_KILL if event.slot == SLOT_OTHER => {
                    if let Some(path) = cgroup_of_process(event.value) {
                        *oom_kills_by_path.entry(path).or_insert(0) += 1;
                    }
                }
                _ => {}
            }
        }
        oom_kills_by_path
    }

    fn gone(&mut self, cgroup_id: u64) {
        self.slots.retire(&mut self.kernel, cgroup_id);
        self.cgroups.removed(cgroup_id);
        self.last.throttled_us.remove(&cgroup_id);
        self.limits.remove(&cgroup_id);
    }

    /// Finds cgroups whose removal was not reported: the event was lost, or the cgroup went before it had a name. A look begins as soon
    /// as an event was lost, each minute where none come, and goes on at the ticks after.
    pub(super) fn sweep(&mut self) {
        let mut gone = Vec::new();
        if self.ticks.is_multiple_of(SWEEP_TICKS) {
            gone = self.slots.nameless();
        }
        let dropped = self.last.losses[EVENT_DROPPED];
        let every = if self.measures.removals {
            SWEEP_ANYWAY_TICKS
        } else {
            SWEEP_TICKS
        };
        if !self.cgroups.sweeps() && (dropped != self.swept_at_drops || self.ticks.is_multiple_of(every)) {
            (self.swept_at_drops, self.swept_by_tick) = (dropped, self.ticks + SWEEP_SPREAD_TICKS);
            self.cgroups.begin_sweep();
        }
        if self.cgroups.sweeps() {
            gone.extend(
                self.cgroups
                    .sweep(self.swept_by_tick.saturating_sub(self.ticks) as usize),
            );
        }
        for cgroup_id in gone {
            self.gone(cgroup_id);
        }
    }
}

/// Path of a process's cgroup. A process chosen for an out-of-memory kill is still there for a moment.
fn cgroup_of_process(pid: u64) -> Option<String> {
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    let groups = process.cgroups().ok()?;
    groups
        .into_iter()
        .find(|group| group.hierarchy == 0)
        .map(|group| group.pathname)
}
