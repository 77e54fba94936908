//! Gives each cgroup the CPU time it gets in a quantum, and counts what its tasks wait meanwhile.

use super::{cgroup::Cgroup, crowd::Crowd, noise::Noise, scheduler::Demand, waits::Waits};

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

/// Gives a cgroup its time and counts it; returns seconds of runnable tasks, on CPU or waiting.
pub(super) fn settle(
    cgroup: &mut Cgroup,
    demand: Demand,
    level_s: f64,
    dt: f64,
    crowd: &Crowd,
    noise: &mut Noise,
) -> f64 {
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
