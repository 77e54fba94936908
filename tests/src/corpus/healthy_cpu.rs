//! Healthy hosts whose CPUs are used: steps, spikes, rhythms, full use.

use std::time::Duration;

use sentinel::judge::verdict::{Cause, Level, Signal};

use super::{
    cgroup::{Cgroup, web},
    noise::{Noise, Wander},
    scenario::Scenario,
    shapes::{Sawtooth, Spells},
    truth::Allowance,
};

const HALF_HOUR_S: f64 = 1800.0;
const DAY_S: f64 = 86_400.0;

/// A clean step of load from 20 % to 85 % and down again, every few minutes. Event loops: as many workers as CPUs, or
/// twice as many.
pub(super) fn load_step(mut noise: Noise, scale: f64) -> Scenario {
    let mut spells = Spells::new((120.0, 400.0), (60.0, 300.0), &mut noise);
    let workers = noise.pick(&[1.0, 1.0, 2.0]);
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    let cpus = scenario.model.cpus;
    scenario.model.common.sigma = 0.02;
    let others = others(&scenario);
    let mut api = web("api.service", 0.2 * cpus, 150.0, &mut scenario.model.noise);
    api.cpu.workers = workers * cpus;
    api.cpu.variability = 0.6;
    api.cpu.wander = Wander::new(0.04, 20.0);
    scenario.with(api).script(move |model, now, _| {
        let load = if spells.on(now, &mut model.noise) { 0.85 } else { 0.2 };
        let cpus = model.cpus;
        let api = model.cgroup("api.service");
        api.cpu.short_cpus = (load * cpus - others).max(0.05);
        api.network.asked_per_s = 800.0 * load;
    })
}

/// Open-loop load of many short jobs in bursts, 82 to 90 % of the CPUs: it queues, and may be watched.
pub(super) fn open_loop_queue(mut noise: Noise, scale: f64) -> Scenario {
    let load = noise.between(0.82, 0.9);
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    let cpus = scenario.model.cpus;
    scenario.model.common.sigma = 0.02;
    let own = load * cpus - others(&scenario);
    let mut api = web("api.service", own, 400.0, &mut scenario.model.noise);
    api.cpu.workers = 4.0 * cpus;
    api.cpu.variability = scenario.model.noise.between(0.7, 1.5);
    api.cpu.wander = Wander::new(0.03, 10.0);
    scenario
        .with(api)
        .allow(Allowance::new(None, Signal::Jitter, Level::Watch))
}

/// A service that is not there at first, and whose first sample is zero.
pub(super) fn service_start(mut noise: Noise, scale: f64) -> Scenario {
    let mut spells = Spells::new((30.0, 200.0), (60.0, 300.0), &mut noise);
    let mut running = false;
    Scenario::new(noise, HALF_HOUR_S * scale).script(move |model, now, _| {
        let on = spells.on(now, &mut model.noise);
        if on && !running {
            let mut api = web("api.service", 0.3, 120.0, &mut model.noise);
            api.memory.anon_mb = 0.0;
            api.cpu.short_cpus = 0.0;
            api.network.asked_per_s = 0.0;
            model.add(api);
        } else if running && !on {
            model.remove("api.service");
        }
        running = on;
        if on {
            let age = now - spells.begins_s();
            let api = model.cgroup("api.service");
            api.memory.anon_mb = (age * 60.0).min(220.0);
            api.cpu.short_cpus = if age < 1.2 {
                0.0
            } else if age < 5.0 {
                0.9
            } else {
                0.3
            };
            api.network.asked_per_s = if age < 4.0 { 0.0 } else { 120.0 };
        }
    })
}

/// Every some minutes a job with as many tasks as CPUs, or one, for ten to sixty seconds.
pub(super) fn cron_spike(mut noise: Noise, scale: f64) -> Scenario {
    let mut spells = Spells::new((120.0, 420.0), (10.0, 60.0), &mut noise);
    let all = noise.chance(0.6);
    let mut running = false;
    Scenario::new(noise, HALF_HOUR_S * scale).script(move |model, now, _| {
        let on = spells.on(now, &mut model.noise);
        let tasks = if all { model.cpus } else { 1.0 };
        let job = model.cgroup("cron.service");
        job.cpu.busy = if on { tasks } else { 0.0 };
        if on != running {
            job.memory.anon_mb = if on { 140.0 } else { 15.0 };
            job.memory.churn_mb_per_s = if on { 30.0 } else { 0.2 };
        }
        running = on;
    })
}

/// A day of load that follows the sun, read every ten seconds.
pub(super) fn daily_rhythm(mut noise: Noise, scale: f64) -> Scenario {
    let peak = noise.between(0.35, 0.55);
    let mut scenario = slow_ticks(Scenario::new(noise, DAY_S * scale), 10);
    let cpus = scenario.model.cpus;
    let mut api = web("api.service", 0.3 * cpus, 100.0, &mut scenario.model.noise);
    api.cpu.wander = Wander::new(0.1, 60.0);
    let base_mb = api.memory.anon_mb;
    scenario.with(api).script(move |model, now, _| {
        let sun = 0.5 - 0.5 * libm::cos(std::f64::consts::TAU * (now / DAY_S));
        let cpus = model.cpus;
        let api = model.cgroup("api.service");
        api.cpu.short_cpus = (0.08 + peak * sun) * cpus;
        api.network.asked_per_s = 20.0 + 400.0 * sun;
        api.memory.anon_mb = base_mb * (1.0 + sun);
    })
}

/// Eight days read once a minute; each Sunday night a backup reads all files, uses a CPU and sends for hours.
pub(super) fn weekly_backup(mut noise: Noise, scale: f64) -> Scenario {
    let (from_s, length_s) = (noise.between(0.1, 0.4) * DAY_S, noise.between(3600.0, 4.0 * 3600.0));
    let scenario = slow_ticks(Scenario::new(noise, 8.0 * DAY_S * scale), 60);
    scenario
        .with(Cgroup::new("backup.service"))
        .script(move |model, now, _| {
            let on = (from_s..from_s + length_s).contains(&(now % (7.0 * DAY_S)));
            let backup = model.cgroup("backup.service");
            backup.cpu.busy = if on { 0.9 } else { 0.0 };
            backup.memory.scan_mb_per_s = if on { 80.0 } else { 0.0 };
            backup.memory.anon_mb = if on { 300.0 } else { 10.0 };
            backup.network.stream_out_per_s = if on { 6_000.0 } else { 0.0 };
            backup.network.stream_in_per_s = if on { 2_500.0 } else { 0.0 };
            let sun = 0.5 - 0.5 * libm::cos(std::f64::consts::TAU * (now / DAY_S));
            model.cgroup("shop.service").cpu.short_cpus = 0.05 + 0.3 * sun;
        })
}

/// `make -jCPUS` for minutes at a time: as many compilers as CPUs, each a sawtooth of memory, and page cache.
pub(super) fn build_machine(mut noise: Noise, scale: f64) -> Scenario {
    let mut spells = Spells::new((20.0, 120.0), (120.0, 600.0), &mut noise);
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    let jobs = scenario.model.cpus as usize;
    let mut teeth: Vec<Sawtooth> = (0..jobs)
        .map(|_| {
            let noise = &mut scenario.model.noise;
            Sawtooth::new(noise.between(80.0, 450.0), noise.between(1.5, 9.0), 0.6)
        })
        .collect();
    let mut build = Cgroup::new("build.scope");
    build.memory.wander = Wander::new(0.5, 4.0);
    build.cpu.wander = Wander::new(0.4, 2.0);
    scenario.with(build).script(move |model, now, dt| {
        let on = spells.on(now, &mut model.noise);
        let mut anon_mb = 20.0;
        if on {
            for tooth in &mut teeth {
                anon_mb += tooth.step(dt, &mut model.noise);
            }
        }
        let (cpus, odd) = (model.cpus, model.noise.uniform());
        let build = model.cgroup("build.scope");
        // A compiler that waits for the disk now and then, and make itself.
        build.cpu.busy = if !on {
            0.0
        } else if odd < 0.1 {
            cpus - 1.0
        } else {
            cpus
        };
        build.cpu.short_cpus = if on { 0.06 } else { 0.001 };
        build.memory.anon_mb = anon_mb;
        build.memory.churn_mb_per_s = if on { 120.0 } else { 0.1 };
        build.memory.scan_mb_per_s = if on { 6.0 } else { 0.0 };
    })
}

/// Exactly as many busy tasks as CPUs, all the time: 100 % busy and no queue.
pub(super) fn saturated_exactly(noise: Noise, scale: f64) -> Scenario {
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    for cgroup in &mut scenario.model.cgroups {
        cgroup.cpu.short_cpus = cgroup.cpu.short_cpus.min(0.02);
    }
    let mut batch = Cgroup::new("batch.service");
    batch.cpu.busy = scenario.model.cpus;
    scenario.with(batch)
}

/// A host on which hardly anything happens.
pub(super) fn idle_host(noise: Noise, scale: f64) -> Scenario {
    let mut scenario = Scenario::new(noise, 2.0 * HALF_HOUR_S * scale);
    for cgroup in &mut scenario.model.cgroups {
        cgroup.cpu.short_cpus = cgroup.cpu.short_cpus.min(0.01);
        cgroup.network.asked_per_s = cgroup.network.asked_per_s.min(1.0);
    }
    scenario
}

/// Four times a second, or only every five seconds: otherwise an ordinary host under a wandering load.
pub(super) fn other_ticks(mut noise: Noise, scale: f64) -> Scenario {
    let (interval_ms, network_ms) = noise.pick(&[(250, 50), (5_000, 1_000), (10_000, 200)]);
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    scenario.model.config.interval = Duration::from_millis(interval_ms);
    scenario.model.config.network_interval = Duration::from_millis(network_ms);
    wandering(scenario)
}

/// Ticks that come late, and sensors that are silent for some of them.
pub(super) fn late_and_missing(mut noise: Noise, scale: f64) -> Scenario {
    let late = noise.pick(&[0.1, 0.4]);
    let mut silent = [(); 3].map(|()| Spells::new((60.0, 300.0), (1.0, 12.0), &mut noise));
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    scenario.model.lateness = super::model::Lateness::Late(late);
    let mut scenario = wandering(scenario);
    let mut load = scenario.take_script();
    scenario.script(move |model, now, dt| {
        load(model, now, dt);
        let [sched, mem, net] = &mut silent;
        model.silence.sched = sched.on(now, &mut model.noise);
        model.silence.mem = mem.on(now, &mut model.noise);
        model.silence.net = net.on(now, &mut model.noise);
    })
}

fn wandering(mut scenario: Scenario) -> Scenario {
    let cpus = scenario.model.cpus;
    let mut api = web("api.service", 0.3 * cpus, 200.0, &mut scenario.model.noise);
    api.cpu.wander = Wander::new(0.35, 40.0).bursts(90.0, 4.0, 1.6);
    api.cpu.workers = cpus;
    scenario.with(api).allow(
        // Bursts that nearly fill the CPUs make others wait for a moment.
        Allowance::new(None, Signal::Jitter, Level::Watch).causes(&[Cause::Undetermined, Cause::Starved]),
    )
}

/// What the bystanders use, CPUs.
fn others(scenario: &Scenario) -> f64 {
    scenario.model.cgroups.iter().map(|cgroup| cgroup.cpu.short_cpus).sum()
}

/// Ticks of that many seconds, for scenarios that last days.
fn slow_ticks(mut scenario: Scenario, seconds: u64) -> Scenario {
    scenario.model.config.interval = Duration::from_secs(seconds);
    scenario.model.config.network_interval = Duration::from_secs(seconds);
    scenario.step_s = 5.0;
    scenario
}
