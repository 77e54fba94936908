//! CPU time of the model: tasks share the CPUs max-min fairly over one quantum, and waits follow from who is in the way.
//!
//! Busy tasks want a CPU always. Short jobs arrive, run for a moment and sleep; a pool of workers bounds how many are
//! runnable at a time. Below saturation they wait as in a queue with several servers (`crowd.rs`). At saturation what was
//! not served stays queued. Run-queue lengths are not drawn
//! on their own: by Little's law their mean is time on CPU and time waiting, per second.

use sentinel::sense::sample::RunQueue;

use super::{cgroup::Cgroup, cpu::Cpu, crowd::Crowd, noise::Noise, turns::settle};

/// What one cgroup asks for in a quantum.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    /// Short jobs that arrive.
    pub(super) jobs: f64,
    /// CPU seconds of short jobs, what was left over before included.
    pub(super) short_s: f64,
    /// Short jobs that are runnable at a time, at most.
    pub(super) active: f64,
    /// CPU seconds that `cpu.max` allows.
    pub(super) cap_s: f64,
}

/// Sums for the run-queue samples.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue {
    /// Seconds sampled.
    seconds: f64,
    /// Integral of tasks on CPU or waiting, and of its square per CPU.
    length_s: f64,
    square_s: f64,
}

/// The scheduler of a host.
#[derive(Clone, Debug)]
pub struct Scheduler {
    /// Short jobs are turned away, or sent to another host, before they want more than this share of the CPUs.
    pub most: f64,
    queue: Queue,
    demands: Vec<Demand>,
    /// What is wanted over what there is, in the last seconds.
    pressure: f64,
}

impl Default for Scheduler {
    fn default() -> Self {
        Self {
            most: f64::INFINITY,
            queue: Queue::default(),
            demands: Vec::new(),
            pressure: 0.0,
        }
    }
}

/// Time over which pressure is averaged, seconds.
const PRESSURE_S: f64 = 2.0;

impl Scheduler {
    /// Lets `dt` seconds pass on `cpus` CPUs. `common` is what the whole host does at once: it scales demand.
    pub fn step(&mut self, cpus: f64, dt: f64, common: f64, cgroups: &mut [Cgroup], noise: &mut Noise) {
        self.demands.clear();
        for cgroup in cgroups.iter_mut() {
            self.demands.push(demand(&mut cgroup.cpu, dt, common, noise));
        }
        self.turn_away(cpus * dt);
        let wanted = |(cgroup, demand): (&Cgroup, &Demand)| {
            (cgroup.cpu.busy * dt + demand.short_s.min(demand.active * dt)).min(demand.cap_s)
        };
        let wanted_s: f64 = cgroups.iter().zip(&self.demands).map(wanted).sum();
        self.pressure += (wanted_s / (cpus * dt) - self.pressure) * (dt / PRESSURE_S).min(1.0);
        let level_s = fair_level(cpus * dt, dt, cgroups, &self.demands);
        let crowd = Crowd::new(cpus, dt, cgroups, &self.demands);
        let mut runnable_s = 0.0;
        for (cgroup, demand) in cgroups.iter_mut().zip(&self.demands) {
            runnable_s += settle(cgroup, *demand, level_s, dt, &crowd, noise);
        }
        let per_cpu = runnable_s / dt / cpus;
        self.queue.seconds += dt;
        self.queue.length_s += runnable_s;
        // Whole tasks spread over CPUs: a little more than the square of the mean, and the queue's own spread.
        let spread = if crowd.steady {
            0.0
        } else {
            0.15 + 0.5 * crowd.short_queue * (1.0 + crowd.short_queue) / cpus
        };
        self.queue.square_s += (per_cpu * per_cpu + spread.min(4.0 * per_cpu * (1.0 + per_cpu))) * cpus * dt;
    }

    fn turn_away(&mut self, capacity_s: f64) {
        let short_s: f64 = self.demands.iter().map(|demand| demand.short_s).sum();
        let kept = self.most * capacity_s / short_s.max(1e-12);
        if kept < 1.0 {
            for demand in &mut self.demands {
                demand.jobs *= kept;
                demand.short_s *= kept;
            }
        }
    }

    /// What all tasks wanted of the CPUs, over what there is, in the last two seconds; above 1 somebody has to wait.
    #[must_use]
    pub const fn pressure(&self) -> f64 {
        self.pressure
    }

    /// What was sampled at 99 Hz since the last call.
    pub fn run_queue(&mut self, cpus: f64, noise: &mut Noise) -> RunQueue {
        let queue = std::mem::take(&mut self.queue);
        let samples = (99.0 * cpus * queue.seconds) as u64;
        if queue.seconds <= 0.0 {
            return RunQueue::default();
        }
        let per_s = samples as f64 / (queue.seconds * cpus);
        RunQueue {
            samples,
            length: noise.round(queue.length_s * per_s),
            length_squared: noise.round(queue.square_s * per_s),
        }
    }
}

fn demand(cpu: &mut Cpu, dt: f64, common: f64, noise: &mut Noise) -> Demand {
    let mut jobs = 0.0;
    let mut fresh_s = 0.0;
    if cpu.short_cpus > 0.0 {
        let factor = if cpu.steady {
            1.0
        } else {
            common * cpu.wander.step(dt, noise)
        };
        let mean = cpu.short_cpus * factor * dt / (cpu.service_ms / 1e3);
        jobs = if cpu.steady { mean } else { noise.poisson(mean) };
        let spread = if cpu.steady || jobs == 0.0 {
            1.0
        } else {
            (1.0 + noise.normal() * libm::sqrt(cpu.variability / jobs).min(1.0)).max(0.1)
        };
        fresh_s = jobs * cpu.service_ms / 1e3 * spread;
    }
    let short_s = fresh_s + cpu.backlog_s;
    let active = cpu.workers.min((short_s * 1e3 / cpu.service_ms).max(1.0));
    Demand {
        jobs,
        short_s,
        active,
        cap_s: cpu.quota_cpus.map_or(f64::INFINITY, |quota| quota * dt),
    }
}

/// The most CPU time one task gets in the quantum when all are served evenly, at most `dt`.
fn fair_level(capacity_s: f64, dt: f64, cgroups: &[Cgroup], demands: &[Demand]) -> f64 {
    let used_at = |level: f64| -> f64 {
        let each = cgroups.iter().zip(demands).map(|(cgroup, demand)| {
            let short_s = demand.short_s.min(demand.active * level);
            (cgroup.cpu.busy * level + short_s).min(demand.cap_s)
        });
        each.sum()
    };
    if used_at(dt) <= capacity_s {
        return dt;
    }
    let (mut low, mut high) = (0.0, dt);
    for _ in 0..24 {
        let middle = (low + high) / 2.0;
        if used_at(middle) <= capacity_s {
            low = middle
        } else {
            high = middle
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten seconds of two CPUs.
    fn ten_seconds(cgroups: &mut [Cgroup]) -> RunQueue {
        let mut noise = Noise::new("cpu", 1);
        let mut scheduler = Scheduler::default();
        for _ in 0..100 {
            scheduler.step(2.0, 0.1, 1.0, cgroups, &mut noise);
        }
        scheduler.run_queue(2.0, &mut noise)
    }

    fn busy(tasks: f64) -> Cgroup {
        let mut cgroup = Cgroup::new("busy");
        (cgroup.cpu.busy, cgroup.cpu.short_cpus) = (tasks, 0.0);
        cgroup
    }

    fn seconds(cgroup: &Cgroup) -> (f64, f64) {
        (cgroup.sched.on_cpu_ns as f64 / 1e9, cgroup.sched.wait_ns as f64 / 1e9)
    }

    #[test]
    fn busy_tasks_share_the_cpus_and_wait_the_rest_of_the_time() {
        for (tasks, on_cpu, waiting) in [
            (1.0, 10.0, 0.0),
            (2.0, 20.0, 0.0),
            (4.0, 20.0, 20.0),
            (16.0, 20.0, 140.0),
        ] {
            let mut cgroups = [busy(tasks)];
            let queue = ten_seconds(&mut cgroups);
            let (ran, waited) = seconds(&cgroups[0]);
            assert!(
                (ran - on_cpu).abs() < 0.01 && (waited - waiting).abs() < 0.01,
                "{tasks}: {ran} {waited}"
            );
            let length = queue.length as f64 / queue.samples as f64;
            assert!((length - tasks / 2.0).abs() < 0.01, "{tasks}: by Little's law {length}");
        }
    }

    #[test]
    fn cgroups_get_their_share_by_tasks_and_never_more_than_there_is() {
        let mut web = Cgroup::new("web");
        (web.cpu.short_cpus, web.cpu.workers) = (0.2, 4.0);
        let mut cgroups = [busy(6.0), busy(2.0), web];
        ten_seconds(&mut cgroups);
        let [six, two, web] = cgroups.each_ref().map(|cgroup| seconds(cgroup).0);
        assert!((six / two - 3.0).abs() < 0.01, "{six} {two}");
        assert!((six + two + web - 20.0).abs() < 0.05, "{six} {two} {web}");
    }

    #[test]
    fn a_limit_holds_back_and_is_counted() {
        let mut limited = busy(2.0);
        limited.cpu.quota_cpus = Some(0.5);
        let mut cgroups = [limited];
        ten_seconds(&mut cgroups);
        let (ran, waited) = seconds(&cgroups[0]);
        assert!(
            (ran - 5.0).abs() < 0.01 && (waited - 15.0).abs() < 0.01,
            "{ran} {waited}"
        );
        assert!((cgroups[0].throttled_ns as f64 / 1e9 - 7.5).abs() < 0.01);
    }

    #[test]
    fn a_steady_crowd_is_the_same_every_second() {
        let mut steady = busy(6.0);
        steady.cpu.steady = true;
        let mut cgroups = [steady];
        ten_seconds(&mut cgroups);
        let first = std::mem::take(&mut cgroups[0].sched);
        ten_seconds(&mut cgroups);
        assert_eq!(first, cgroups[0].sched);
    }
}
