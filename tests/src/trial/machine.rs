//! What else the machine did during a trial: a figure taken beside other work is an upper bound.

use anyhow::Result;
use procfs::{Current as _, CurrentSI as _, KernelStats, LoadAverage};
use serde::Serialize;

/// The machine over a stretch of time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Machine {
    /// CPUs online.
    pub cpus: usize,
    /// Share of all CPU time that was used, by the trial and by others, 0 to 1.
    pub busy_share: f64,
    /// Share of all CPU time that the hypervisor gave to somebody else.
    pub steal_share: f64,
    /// Runnable tasks, mean of the last minute.
    pub load_1m: f64,
}

/// Ticks of CPU time since boot.
#[derive(Clone, Copy, Debug)]
struct Ticks {
    all: u64,
    idle: u64,
    steal: u64,
}

/// Measures from its start on.
#[derive(Clone, Copy, Debug)]
pub struct Watch(Ticks);

impl Watch {
    /// Starts.
    ///
    /// # Errors
    /// `/proc/stat` cannot be read.
    pub fn start() -> Result<Self> {
        Ok(Self(Ticks::now()?))
    }

    /// What the machine did since.
    ///
    /// # Errors
    /// `/proc/stat` cannot be read.
    pub fn read(&self) -> Result<Machine> {
        let now = Ticks::now()?;
        let all = now.all.saturating_sub(self.0.all).max(1) as f64;
        let share = |now: u64, before: u64| now.saturating_sub(before) as f64 / all;
        Ok(Machine {
            cpus: std::thread::available_parallelism()?.get(),
            busy_share: (1.0 - share(now.idle, self.0.idle)).clamp(0.0, 1.0),
            steal_share: share(now.steal, self.0.steal),
            load_1m: f64::from(LoadAverage::current()?.one),
        })
    }
}

impl Ticks {
    fn now() -> Result<Self> {
        let cpu = KernelStats::current()?.total;
        let steal = cpu.steal.unwrap_or(0);
        let idle = cpu.idle + cpu.iowait.unwrap_or(0);
        let busy = cpu.user + cpu.nice + cpu.system + cpu.irq.unwrap_or(0) + cpu.softirq.unwrap_or(0);
        Ok(Self {
            all: busy + idle + steal,
            idle,
            steal,
        })
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} CPUs, {:.0} % of them busy in all, {:.1} % stolen, load {:.2}",
            self.cpus,
            self.busy_share * 100.0,
            self.steal_share * 100.0,
            self.load_1m
        )
    }
}
