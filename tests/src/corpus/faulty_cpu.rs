//! Hosts on which tasks do not get the CPU: crowds, convoys, limits, victims.

use std::time::Duration;

use sentinel::judge::verdict::{Cause, Level, Signal};

use super::{
    cgroup::{Cgroup, web},
    model::Lateness,
    noise::{Noise, Wander},
    scenario::Scenario,
    truth::{Allowance, Truth},
};

const WORKER: &str = "worker.service";
const MEMORY_MB: f64 = 8_000.0;

fn victims(during: (f64, f64)) -> Allowance {
    Allowance::new(None, Signal::Jitter, Level::Watch)
        .causes(&[Cause::Starved, Cause::Undetermined])
        .during(during)
}

fn window(noise: &mut Noise) -> (f64, f64) {
    let onset_s = noise.between(60.0, 180.0);
    (onset_s, onset_s + noise.between(30.0, 120.0))
}

fn thrash(tasks: f64, mut noise: Noise) -> Scenario {
    let during = window(&mut noise);
    let truth = Truth::new(WORKER, Signal::Jitter, Level::Veto, during, 10.0)
        .causes(&[Cause::Thrash])
        .stays();
    let scenario = Scenario::on(2, MEMORY_MB, noise, during.1 + 30.0);
    scenario
        .with(Cgroup::new(WORKER))
        .truth(truth)
        .allow(victims(during))
        .script(move |model, now, _| {
            let on = (during.0..during.1).contains(&now);
            model.cgroup(WORKER).cpu.busy = if on { tasks } else { 0.0 };
        })
}

/// Four busy tasks on two CPUs.
pub(super) fn thrash_4(noise: Noise, _: f64) -> Scenario {
    thrash(4.0, noise)
}

/// Eight.
pub(super) fn thrash_8(noise: Noise, _: f64) -> Scenario {
    thrash(8.0, noise)
}

/// Sixteen.
pub(super) fn thrash_16(noise: Noise, _: f64) -> Scenario {
    thrash(16.0, noise)
}

/// Between 10 % and 95 % many times a second: the mean load is nominal, the waits are not.
pub(super) fn thrash_bursts(mut noise: Noise, _: f64) -> Scenario {
    let during = window(&mut noise);
    let (tasks, period_s) = (noise.between(6.0, 12.0), noise.between(0.2, 0.8));
    let share = noise.between(0.4, 0.65);
    let mut until_s = 0.0;
    let mut high = false;
    let truth = Truth::new(WORKER, Signal::Jitter, Level::Watch, during, 10.0)
        .causes(&[Cause::Thrash])
        .clears(5.0)
        .stays();
    let mut scenario = Scenario::on(2, MEMORY_MB, noise, during.1 + 30.0);
    scenario.step_s = 0.05;
    scenario
        .with(Cgroup::new(WORKER))
        .truth(truth)
        .allow(victims(during))
        .script(move |model, now, _| {
            if now >= until_s {
                high = !high;
                let length_s = period_s * if high { share } else { 1.0 - share };
                until_s = now + length_s * model.noise.log_normal(0.2);
            }
            let on = (during.0..during.1).contains(&now);
            let cpu = &mut model.cgroup(WORKER).cpu;
            cpu.busy = if on && high { tasks } else { 0.0 };
            cpu.short_cpus = if on { 0.1 } else { 0.9 };
            cpu.workers = 2.0;
            cpu.service_ms = 1.0;
        })
}

/// Threads that hand one lock from one to the next, thousands of times a second, and get no further.
pub(super) fn lock_convoy(mut noise: Noise, _: f64) -> Scenario {
    let during = window(&mut noise);
    let handoffs = noise.between(12_000.0, 40_000.0);
    let truth = Truth::new(WORKER, Signal::Jitter, Level::Watch, during, 10.0)
        .causes(&[Cause::Convoy])
        .stays();
    let mut scenario = Scenario::on(2, MEMORY_MB, noise, during.1 + 30.0);
    let mut worker = web(WORKER, 0.7, 150.0, &mut scenario.model.noise);
    worker.cpu.workers = 2.0;
    scenario
        .with(worker)
        .truth(truth)
        .allow(victims(during))
        .script(move |model, now, _| {
            let on = (during.0..during.1).contains(&now);
            let worker = model.cgroup(WORKER);
            worker.cpu.handoffs_per_s = if on { handoffs } else { 0.0 };
            worker.cpu.short_cpus = if on { 0.45 } else { 0.7 };
        })
}

/// One cgroup fills the CPUs many times over; another one that only needs its share does not get it.
pub(super) fn starved_victim(mut noise: Noise, _: f64) -> Scenario {
    let during = window(&mut noise);
    let tasks = noise.pick(&[6.0, 8.0, 12.0]);
    let culprit = Truth::new(WORKER, Signal::Jitter, Level::Veto, during, 10.0)
        .causes(&[Cause::Thrash])
        .stays();
    let victim = Truth::new("victim.service", Signal::Jitter, Level::Watch, during, 10.0)
        .causes(&[Cause::Starved])
        .at_most_watch()
        .stays();
    let mut scenario = Scenario::on(2, MEMORY_MB, noise, during.1 + 30.0);
    let mut sufferer = Cgroup::new("victim.service");
    sufferer.cpu.short_cpus = scenario.model.noise.between(0.5, 0.8);
    sufferer.cpu.service_ms = scenario.model.noise.between(20.0, 60.0);
    sufferer.cpu.workers = 2.0;
    scenario
        .with(Cgroup::new(WORKER))
        .with(sufferer)
        .truth(culprit)
        .truth(victim)
        .allow(victims(during))
        .script(move |model, now, _| {
            let on = (during.0..during.1).contains(&now);
            model.cgroup(WORKER).cpu.busy = if on { tasks } else { 0.0 };
        })
}

/// `cpu.max` allows far less than is wanted.
pub(super) fn throttled(mut noise: Noise, _: f64) -> Scenario {
    let during = window(&mut noise);
    let (quota, tasks) = (noise.between(0.4, 0.8), noise.pick(&[1.0, 2.0, 4.0]));
    let truth = Truth::new(WORKER, Signal::Jitter, Level::Veto, during, 10.0)
        .causes(&[Cause::Throttled])
        .stays();
    let mut scenario = Scenario::new(noise, during.1 + 30.0);
    let mut worker = web(WORKER, 0.05, 80.0, &mut scenario.model.noise);
    worker.cpu.quota_cpus = Some(quota);
    scenario
        .with(worker)
        .truth(truth)
        .allow(victims(during))
        .script(move |model, now, _| {
            let on = (during.0..during.1).contains(&now);
            model.cgroup(WORKER).cpu.busy = if on { tasks } else { 0.0 };
        })
}

/// Three times as many tasks as CPUs from the first sample on, and every number the same each second.
pub(super) fn saturated_steady(noise: Noise, _: f64) -> Scenario {
    let during = (0.0, 300.0);
    let truth = Truth::new(WORKER, Signal::Jitter, Level::Watch, during, 15.0)
        .causes(&[Cause::Thrash])
        .stays();
    let mut scenario = Scenario::on(2, MEMORY_MB, noise, during.1);
    scenario.model.cgroups.clear();
    scenario.model.common = Wander::new(0.0, 1.0);
    let mut worker = Cgroup::new(WORKER);
    worker.cpu.busy = 6.0;
    worker.cpu.short_cpus = 0.0;
    worker.cpu.steady = true;
    worker.memory.churn_mb_per_s = 0.0;
    scenario.with(worker).truth(truth)
}

/// Four fifths of forty minutes are a crowd: it must not become the new normal.
pub(super) fn long_window(mut noise: Noise, _: f64) -> Scenario {
    let tasks = noise.pick(&[4.0, 6.0]);
    let during = (120.0, 2_040.0);
    let truth = Truth::new(WORKER, Signal::Jitter, Level::Veto, during, 10.0)
        .causes(&[Cause::Thrash])
        .stays();
    let scenario = Scenario::on(2, MEMORY_MB, noise, 2_400.0);
    scenario
        .with(Cgroup::new(WORKER))
        .truth(truth)
        .allow(victims(during))
        .script(move |model, now, _| {
            let on = (during.0..during.1).contains(&now);
            model.cgroup(WORKER).cpu.busy = if on { tasks } else { 0.0 };
        })
}

/// A crowd seen through other ticks: four times a second, every five seconds, every ten, or late.
pub(super) fn thrash_other_ticks(mut noise: Noise, _: f64) -> Scenario {
    let (interval_ms, late) = noise.pick(&[(250, 0.0), (5_000, 0.0), (10_000, 0.0), (1_000, 0.4)]);
    let tasks = noise.pick(&[4.0, 8.0]);
    let onset_s = noise.between(120.0, 240.0);
    let during = (onset_s, onset_s + 120.0);
    let truth = Truth::new(
        WORKER,
        Signal::Jitter,
        Level::Veto,
        during,
        10.0 + interval_ms as f64 * 0.003,
    )
    .causes(&[Cause::Thrash])
    .stays();
    let mut scenario = Scenario::on(2, MEMORY_MB, noise, during.1 + 60.0);
    scenario.model.config.interval = Duration::from_millis(interval_ms);
    scenario.model.config.network_interval = Duration::from_millis(interval_ms.min(200));
    if late > 0.0 {
        scenario.model.lateness = Lateness::Late(late);
    }
    scenario
        .with(Cgroup::new(WORKER))
        .truth(truth)
        .allow(victims(during))
        .script(move |model, now, _| {
            let on = (during.0..during.1).contains(&now);
            model.cgroup(WORKER).cpu.busy = if on { tasks } else { 0.0 };
        })
}
