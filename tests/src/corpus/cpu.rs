//! CPU time of the model: tasks share the CPUs max-min fairly over one quantum, and waits follow from who is in the way.
//!
//! Busy tasks want a CPU always. Short jobs arrive, run for a moment and sleep; a pool of workers bounds how many are
//! runnable at a time. Below saturation they wait as in a queue with several servers: H. Sakasegawa, *An approximation
//! formula Lq = a ρ^β / (1 - ρ)*, 1977. At saturation what was not served stays queued. Run-queue lengths are not drawn
//! on their own: by Little's law their mean is time on CPU and time waiting, per second.

use sentinel::sense::sample::{RunQueue, Sched};
use sentinel_common::{histogram::wait_bucket, sched::WAIT_UNIT_NS};

use super::{
    cgroup::Cgroup,
    noise::{Noise, Wander},
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
/// CPUs, as is what follows: eight slices for ten milliseconds.
const SLICE_S: f64 = 0.001_4;
/// How long a task that wakes waits where busy tasks hold all CPUs: for each of them beyond 0.7 per CPU, seconds. About
/// 1 ms with as many as CPUs, 3 ms with twice, 10 ms with five times as many.
const TURN_S: f64 = 0.002_6;
const TURN_FREE: f64 = 0.7;
/// Wake-up of a task on an idle CPU, seconds.
const WAKE_S: f64 = 0.000_008;
/// Requests older than this are given up by who sent them: the backlog is no longer than that, seconds.
const PATIENCE_S: f64 = 5.0;
/// Above this the formula for waiting goes to infinity; a quantum never gets there.
const UTILISATION_MAX: f64 = 0.985;

/// What one cgroup asks for in a quantum.
#[derive(Clone, Copy, Debug, Default)]
struct Demand {
    jobs: f64,
    short_s: f64,
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

/// What all cgroups together do to a task that wakes.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    /// How long short jobs wait for others like them, as a share of their length: a scheduler that shares evenly makes
    /// nobody wait for more than that.
    stretch: f64,
    /// Mean wait of each of its slices for busy tasks, seconds.
    turn_s: f64,
    /// Share of short jobs that wait at all.
    waits_share: f64,
    /// Short jobs waiting, mean.
    short_queue: f64,
    /// Share of short work that lands on a CPU where a busy task runs.
    on_busy: f64,
    busy: f64,
    short_s: f64,
    steady: bool,
}

impl Crowd {
    fn new(cpus: f64, dt: f64, cgroups: &[Cgroup], demands: &[Demand]) -> Self {
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
        // Short jobs wait for each other; only so many workers can be in the queue at a time.
        let most = (workers + busy.min(cpus) - cpus).max(0.02);
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
        let used = (short_s / dt / cpus).min(1.0);
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
    /// Mean number of jobs that wait for one of so many servers.
    fn queue_on(&self, servers: f64) -> f64 {
        let used = (self.jobs_per_s * self.service_s / servers).min(UTILISATION_MAX);
        let beta = libm::sqrt(2.0 * (servers + 1.0)) - 1.0;
        let wait_s = self.service_s * self.variability * libm::pow(used, beta) / (servers * (1.0 - used));
        wait_s * self.jobs_per_s
    }
}

/// Gives a cgroup its time and counts it; returns seconds of runnable tasks, on CPU or waiting.
fn settle(cgroup: &mut Cgroup, demand: Demand, level_s: f64, dt: f64, crowd: &Crowd, noise: &mut Noise) -> f64 {
    let cpu = &mut cgroup.cpu;
    let counts = &mut cgroup.sched;
    let mut short_got = demand.short_s.min(demand.active * level_s);
    let mut busy_got = cpu.busy * level_s;
    let got = busy_got + short_got;
    let held_back = if got > demand.cap_s && got > 0.0 {
        demand.cap_s / got
    } else {
        1.0
    };
    short_got *= held_back;
    busy_got *= held_back;
    if held_back < 1.0 - 1e-9 {
        cgroup.throttled_ns += ((1.0 - held_back) * dt * 1e9) as u64;
    }
    cpu.backlog_s = (demand.short_s - short_got).clamp(0.0, PATIENCE_S * cpu.short_cpus.max(0.01));
    let mut wait_s = 0.0;
    let noisy = |noise: &mut Noise, sigma: f64| if cpu.steady { 1.0 } else { noise.log_normal(sigma) };
    if cpu.busy > 0.0 {
        let overlap = crowd.short_s * crowd.on_busy * 0.5 * cpu.busy / crowd.busy.max(1e-9);
        let waiting = (cpu.busy * dt - busy_got).max(overlap.min(cpu.busy * dt * 0.2));
        let crowded = level_s < dt * (1.0 - 1e-6) || held_back < 1.0 - 1e-9;
        let slices = if crowded { busy_got / SLICE_S } else { busy_got * 12.0 };
        let square = noisy(noise, 0.5).min(6.0);
        count(counts, slices.max(1e-9), waiting, 1.0 + 0.4 * square, noise, cpu.steady);
        counts.involuntary += noise.round(slices);
        wait_s += waiting;
    }
    if short_got > 0.0 || demand.jobs > 0.0 {
        let unserved = demand.short_s > short_got + 1e-9;
        let (jobs, waiting) = if unserved {
            let jobs = short_got / (cpu.service_ms / 1e3);
            (jobs.max(demand.active), (demand.active * dt - short_got).max(0.0))
        } else {
            let slices = (demand.short_s / SLICE_S).max(demand.jobs);
            let waiting =
                (demand.jobs * WAKE_S + demand.short_s * crowd.stretch + slices * crowd.turn_s) * noisy(noise, 0.4);
            (demand.jobs, waiting.min((demand.active * dt - short_got).max(0.0)))
        };
        let tail = noisy(noise, 0.7).min(8.0);
        let square = if unserved { 1.5 } else { 2.0 * tail / crowd.waits_share };
        count(counts, jobs, waiting, square, noise, cpu.steady);
        counts.voluntary += noise.round(jobs);
        // A job longer than a slice is pre-empted where others wait.
        let preempted = (short_got / SLICE_S - jobs).max(0.0) * crowd.waits_share;
        counts.involuntary += noise.round(preempted);
        wait_s += waiting;
    }
    if cpu.handoffs_per_s > 0.0 {
        let handoffs = cpu.handoffs_per_s * dt * noisy(noise, 0.2);
        let waiting = handoffs * 0.000_035 * noisy(noise, 0.3);
        count(counts, handoffs, waiting, 2.0, noise, false);
        counts.voluntary += noise.round(handoffs);
        wait_s += waiting;
    }
    let on_cpu = busy_got + short_got;
    counts.on_cpu_ns += (on_cpu * 1e9) as u64;
    on_cpu + wait_s
}

/// Counts `waits` waits that add up to `waiting_s`; `square` is their mean square over the squared mean.
fn count(counts: &mut Sched, waits: f64, waiting_s: f64, square: f64, noise: &mut Noise, steady: bool) {
    let whole = if steady { waits as u64 } else { noise.round(waits) };
    if whole == 0 {
        return;
    }
    counts.waits += whole;
    counts.wait_ns += (waiting_s * 1e9) as u64;
    let mean_ns = waiting_s * 1e9 / waits;
    let units = mean_ns / WAIT_UNIT_NS as f64;
    counts.wait_units_squared += (waits * units * units * square) as u64;
    spread(&mut counts.buckets, whole, mean_ns);
}

/// An exponential distribution over log2 buckets: its mass from 1/16 of the mean up to 8 times.
fn spread(buckets: &mut [u32], waits: u64, mean_ns: f64) {
    const SHARES: [(f64, f64); 6] = [
        (1.0 / 16.0, 0.118),
        (0.25, 0.103),
        (0.5, 0.173),
        (1.0, 0.238),
        (2.0, 0.233),
        (4.0, 0.135),
    ];
    let mut left = waits;
    for (times, share) in SHARES.iter().rev() {
        let part = ((waits as f64 * share) as u64).min(left);
        let bucket = wait_bucket((mean_ns * times * 0.75) as u64);
        buckets[bucket] = buckets[bucket].saturating_add(part as u32);
        left -= part;
    }
    let middle = wait_bucket((mean_ns * 0.75) as u64);
    buckets[middle] = buckets[middle].saturating_add(left as u32);
}
