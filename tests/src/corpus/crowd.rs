//! How tasks get in each other's way: how long short jobs wait for one another, and for busy tasks that hold the CPUs.
//! Formulas only; no noise and no counters.

use super::{cgroup::Cgroup, scheduler::Demand};

/// How long a task that wakes waits where busy tasks hold all CPUs: for each of them beyond 0.7 per CPU, seconds. About
/// 1 ms with as many as CPUs, 3 ms with twice, 10 ms with five times as many.
const TURN_S: f64 = 0.002_6;
const TURN_FREE: f64 = 0.7;
/// Above this the formula for waiting goes to infinity; a quantum never gets there.
const UTILISATION_MAX: f64 = 0.985;

/// What all cgroups together do to a task that wakes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    /// How long short jobs wait for others like them, as a share of their length: a scheduler that shares evenly makes
    /// nobody wait for more than that.
    pub(super) stretch: f64,
    /// Mean wait of each of its slices for busy tasks, seconds.
    pub(super) turn_s: f64,
    /// Share of short jobs that wait at all.
    pub(super) waits_share: f64,
    /// Short jobs waiting, mean.
    pub(super) short_queue: f64,
    /// Share of short work that lands on a CPU where a busy task runs.
    pub(super) on_busy: f64,
    /// Busy tasks.
    pub(super) busy: f64,
    /// CPU seconds of short jobs.
    pub(super) short_s: f64,
    /// All of it without noise.
    pub(super) steady: bool,
}

impl Crowd {
    pub(super) fn new(cpus: f64, dt: f64, cgroups: &[Cgroup], demands: &[Demand]) -> Self {
        let (mut jobs, mut short_s, mut busy, mut workers, mut weighted) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let mut steady = true;
        for (cgroup, demand) in cgroups.iter().zip(demands) {
            let cpu = &cgroup.cpu;
            jobs += demand.jobs;
            short_s += demand.short_s;
            busy += cpu.busy;
            // A cgroup that hardly runs is not in the queue with all its workers.
            workers += cpu.workers.min(demand.jobs).min(3.0 * demand.short_s / dt);
            weighted += demand.short_s * cpu.variability;
            steady &= cpu.steady || cpu.busy == 0.0;
        }
        let steady = steady && busy > 0.0;
        let variability = if short_s > 0.0 { weighted / short_s } else { 1.0 };
        let offered = Offered {
            jobs_per_s: jobs / dt,
            service_s: if jobs > 0.0 { short_s / jobs } else { 0.0 },
            variability,
        };
        // Short jobs wait for each other; only so many workers can be in the queue at a time, and they are all there only
        // near saturation: with twice as many as CPUs, 0.3 of those beyond at 85 %, 0.65 at 98 % (M/M/c//N).
        let used = (short_s / dt / cpus).min(1.0);
        let most = (workers + busy.min(cpus) - cpus).max(0.02) * libm::pow(used, 4.0).max(1e-3);
        let open = offered.queue_on(cpus);
        let alone = if open > 0.0 { open * most / (open + most) } else { 0.0 };
        // And for busy tasks, where those leave no CPU free.
        let left = cpus - busy;
        let full = if left > 0.0 {
            libm::pow((short_s / dt / left).min(1.0), left)
        } else {
            1.0
        };
        let turn_s = TURN_S * ((busy / cpus).max(1.0) - TURN_FREE) * if busy > 0.0 { full } else { 0.0 };
        Self {
            stretch: if short_s > 0.0 { alone * dt / short_s } else { 0.0 },
            turn_s,
            waits_share: (used + full).clamp(0.02, 1.0),
            short_queue: alone + turn_s * jobs / dt,
            on_busy: full,
            busy,
            short_s,
            steady,
        }
    }
}

/// Short jobs of all cgroups together.
#[derive(Clone, Copy, Debug)]
struct Offered {
    jobs_per_s: f64,
    service_s: f64,
    variability: f64,
}

impl Offered {
    /// Mean number of jobs that wait for one of so many servers: H. Sakasegawa, *An approximation formula
    /// Lq = a ρ^β / (1 - ρ)*, 1977.
    fn queue_on(&self, servers: f64) -> f64 {
        let used = (self.jobs_per_s * self.service_s / servers).min(UTILISATION_MAX);
        let beta = libm::sqrt(2.0 * (servers + 1.0)) - 1.0;
        let wait_s = self.service_s * self.variability * libm::pow(used, beta) / (servers * (1.0 - used));
        wait_s * self.jobs_per_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(used: f64, servers: f64) -> f64 {
        let offered = Offered {
            jobs_per_s: 1000.0 * used * servers,
            service_s: 0.001,
            variability: 1.0,
        };
        offered.queue_on(servers)
    }

    /// M/M/1 has ρ²/(1-ρ) waiting, M/M/2 has 2ρ³/(1-ρ²); for two servers the approximation is a good one from half load.
    #[test]
    fn queues_are_those_of_the_textbook() {
        for used in [0.5_f64, 0.7, 0.85, 0.95] {
            let one = used * used / (1.0 - used);
            assert!((offered(used, 1.0) / one - 1.0).abs() < 0.02, "{used}");
            let two = 2.0 * used.powi(3) / (1.0 - used * used);
            assert!((offered(used, 2.0) / two - 1.0).abs() < 0.12, "{used}");
        }
    }
}
