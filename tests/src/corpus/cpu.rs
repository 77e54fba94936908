//! CPU time of the model: tasks share the CPUs max-min fairly over one quantum, and waits follow from who is in the way.
//!
//! Busy tasks want a CPU always. Short jobs arrive, run for a moment and sleep; a pool of workers bounds how many are
//! runnable at a time. Below saturation they wait as in a queue with several servers (`crowd.rs`). At saturation what was
//! not served stays queued. Run-queue lengths are not drawn
//! on their own: by Little's law their mean is time on CPU and time waiting, per second.

use sentinel::sense::sample::RunQueue;

use super::{
    cgroup::Cgroup,
    crowd::Crowd,
    noise::{Noise, Wander},
    waits::Waits,
};

/// What one cgroup wants of the CPUs.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// Tasks that always want to run.
    pub busy: f64,
    /// Mean demand of short jobs, CPU seconds per second.
    pub short_cpus: f64,
    /// Mean length of a short job, milliseconds.
    pub service_ms: f64,
    /// Most short jobs that are runnable at a time.
    pub workers: f64,
    /// Burstiness: half the sum of the squared coefficients of variation of arrivals and lengths; 1 is M/M/k.
    pub variability: f64,
    /// How the demand wanders.
    pub wander: Wander,
    /// `cpu.max`, CPUs.
    pub quota_cpus: Option<f64>,
    /// Lock handoffs per second: each a voluntary switch, a wake-up and a short wait.
    pub handoffs_per_s: f64,
    /// No noise at all.
    pub steady: bool,
    backlog_s: f64,
}

impl Default for Cpu {
    fn default() -> Self {
        Self {
            busy: 0.0,
            short_cpus: 0.003,
            service_ms: 0.3,
            workers: 4.0,
            variability: 1.0,
            wander: Wander::new(0.3, 20.0),
            quota_cpus: None,
            handoffs_per_s: 0.0,
            steady: false,
            backlog_s: 0.0,
        }
    }
}

/// Time a task runs before another one gets its turn, when there is another, seconds. Measured on a kernel 6.18 with two
/// CPUs: eight slices for ten milliseconds.
const SLICE_S: f64 = 0.001_4;
/// How often a task that nobody disturbs is taken off its CPU all the same, per second.
const UNDISTURBED_PER_S: f64 = 12.0;
/// How long a thread waits that is handed a lock, seconds.
const HANDOFF_S: f64 = 0.000_035;
/// Wake-up of a task on an idle CPU, seconds.
const WAKE_S: f64 = 0.000_008;
/// Requests older than this are given up by who sent them: the backlog is no longer than that, seconds.
const PATIENCE_S: f64 = 5.0;
/// What one cgroup asks for in a quantum.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    /// Short jobs that arrive.
    pub(super) jobs: f64,
    /// CPU seconds of short jobs, what was left over before included.
    pub(super) short_s: f64,
    /// Short jobs that are runnable at a time, at most.
    active: f64,
    /// CPU seconds that `cpu.max` allows.
    cap_s: f64,
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
#[derive(Clone, Debug, Default)]
pub struct Scheduler {
    queue: Queue,
    demands: Vec<Demand>,
    /// What is wanted over what there is, in the last seconds.
    pressure: f64,
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

/// Gives a cgroup its time and counts it; returns seconds of runnable tasks, on CPU or waiting.
fn settle(cgroup: &mut Cgroup, demand: Demand, level_s: f64, dt: f64, crowd: &Crowd, noise: &mut Noise) -> f64 {
    let mut short_s = demand.short_s.min(demand.active * level_s);
    let mut busy_s = cgroup.cpu.busy * level_s;
    let held_back = (demand.cap_s / (busy_s + short_s).max(1e-12)).min(1.0);
    (short_s, busy_s) = (short_s * held_back, busy_s * held_back);
    let throttled = held_back < 1.0 - 1e-9;
    if throttled {
        cgroup.throttled_ns += ((1.0 - held_back) * dt * 1e9) as u64;
    }
    let patience_s = PATIENCE_S * cgroup.cpu.short_cpus.max(0.01);
    cgroup.cpu.backlog_s = (demand.short_s - short_s).clamp(0.0, patience_s);
    let crowded = throttled || level_s < dt * (1.0 - 1e-6);
    let waited_s = wait_busy(cgroup, busy_s, crowded, dt, crowd, noise)
        + wait_short(cgroup, demand, short_s, dt, crowd, noise)
        + hand_over(cgroup, dt, noise);
    cgroup.sched.on_cpu_ns += ((busy_s + short_s) * 1e9) as u64;
    busy_s + short_s + waited_s
}

fn noisy(cgroup: &Cgroup, noise: &mut Noise, sigma: f64) -> f64 {
    if cgroup.cpu.steady {
        1.0
    } else {
        noise.log_normal(sigma)
    }
}

fn whole(cgroup: &Cgroup, noise: &mut Noise, count: f64) -> u64 {
    if cgroup.cpu.steady {
        count as u64
    } else {
        noise.round(count)
    }
}

/// Busy tasks wait whenever they do not run: once after each slice where others want the CPU.
fn wait_busy(cgroup: &mut Cgroup, got_s: f64, crowded: bool, dt: f64, crowd: &Crowd, noise: &mut Noise) -> f64 {
    let busy = cgroup.cpu.busy;
    if busy <= 0.0 {
        return 0.0;
    }
    // Short jobs that land beside them take the CPU for a moment.
    let overlap_s = crowd.short_s * crowd.on_busy * 0.5 * busy / crowd.busy.max(1e-9);
    let sum_s = (busy * dt - got_s).max(overlap_s.min(busy * dt * 0.2));
    let slices = if crowded {
        got_s / SLICE_S
    } else {
        got_s * UNDISTURBED_PER_S
    };
    let count = whole(cgroup, noise, slices);
    let square = 1.0 + 0.4 * noisy(cgroup, noise, 0.5).min(6.0);
    let waits = Waits {
        count,
        sum_s,
        square,
        share: 1.0,
    };
    waits.add_to(&mut cgroup.sched);
    cgroup.sched.involuntary += count;
    sum_s
}

/// Short jobs wait once each; those that are not served in time all wait, all the time.
fn wait_short(cgroup: &mut Cgroup, demand: Demand, got_s: f64, dt: f64, crowd: &Crowd, noise: &mut Noise) -> f64 {
    if got_s <= 0.0 && demand.jobs <= 0.0 {
        return 0.0;
    }
    let most_s = (demand.active * dt - got_s).max(0.0);
    let waits = if demand.short_s > got_s + 1e-9 {
        let jobs = (got_s * 1e3 / cgroup.cpu.service_ms).max(demand.active);
        Waits {
            count: whole(cgroup, noise, jobs),
            sum_s: most_s,
            square: 1.5,
            share: 1.0,
        }
    } else {
        let slices = (demand.short_s / SLICE_S).max(demand.jobs);
        let sum_s = demand.jobs * WAKE_S + demand.short_s * crowd.stretch + slices * crowd.turn_s;
        let sum_s = (sum_s * noisy(cgroup, noise, 0.4)).min(most_s);
        let square = 2.0 * noisy(cgroup, noise, 0.7).min(8.0) / crowd.waits_share;
        Waits {
            count: whole(cgroup, noise, demand.jobs),
            sum_s,
            square,
            share: crowd.waits_share,
        }
    };
    waits.add_to(&mut cgroup.sched);
    cgroup.sched.voluntary += waits.count;
    // A job longer than a slice is pre-empted where others wait.
    let preempted = (got_s / SLICE_S - demand.jobs).max(0.0) * crowd.waits_share;
    cgroup.sched.involuntary += whole(cgroup, noise, preempted);
    waits.sum_s
}

/// A lock goes from thread to thread: each time a voluntary switch, and the wait of the one that wakes.
fn hand_over(cgroup: &mut Cgroup, dt: f64, noise: &mut Noise) -> f64 {
    if cgroup.cpu.handoffs_per_s <= 0.0 {
        return 0.0;
    }
    let count = {
        let factor = noise.log_normal(0.2);
        noise.round(cgroup.cpu.handoffs_per_s * dt * factor)
    };
    let sum_s = count as f64 * HANDOFF_S * noise.log_normal(0.3);
    let waits = Waits {
        count,
        sum_s,
        square: 2.0,
        share: 1.0,
    };
    waits.add_to(&mut cgroup.sched);
    cgroup.sched.voluntary += count;
    sum_s
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
