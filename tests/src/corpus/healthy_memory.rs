//! Healthy hosts whose memory moves: collectors, caches, installs, deployments.

use sentinel::judge::verdict::{Cause, Level, Signal};

use super::{
    cgroup::{Cgroup, idle, web},
    noise::{Noise, Wander},
    scenario::Scenario,
    shapes::{Sawtooth, Spells},
    truth::Allowance,
};

const HALF_HOUR_S: f64 = 1800.0;

/// A package manager: downloads, unpacks, syncs; page cache stays, memory of processes goes.
pub(super) fn package_install(mut noise: Noise, scale: f64) -> Scenario {
    let mut spells = Spells::new((60.0, 300.0), (15.0, 90.0), &mut noise);
    let rate = noise.between(15.0, 120.0);
    let scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    scenario.with(Cgroup::new("apt.service")).script(move |model, now, _| {
        let on = spells.on(now, &mut model.noise);
        let phase = (now - spells.begins_s()) % 12.0;
        let noisy = model.noise.log_normal(0.6);
        let apt = model.cgroup("apt.service");
        apt.cpu.busy = if on && phase < 8.0 { 1.0 } else { 0.0 };
        apt.cpu.short_cpus = if on { 0.1 } else { 0.001 };
        apt.memory.anon_mb = if on { 90.0 + 60.0 * phase / 12.0 } else { 6.0 };
        apt.memory.churn_mb_per_s = if on { 40.0 } else { 0.0 };
        // Unpacking writes files for eight seconds, then it waits for the disk.
        apt.memory.scan_mb_per_s = if on && phase < 8.0 { rate * noisy } else { 0.0 };
        apt.network.stream_in_per_s = if on && phase < 2.0 { 3_000.0 } else { 0.0 };
        apt.network.stream_out_per_s = apt.network.stream_in_per_s / 12.0;
    })
}

/// A runtime with a garbage collector: a slow sawtooth, of even or uneven periods.
pub(super) fn gc_runtime(mut noise: Noise, scale: f64) -> Scenario {
    let (height, period) = (noise.between(100.0, 900.0), noise.between(8.0, 300.0));
    let mut tooth = Sawtooth::new(height, period, noise.pick(&[0.05, 0.25]));
    let mut scenario = Scenario::on(4, 16_000.0, noise, 2.0 * HALF_HOUR_S * scale);
    let api = web("jvm.service", 0.4, 150.0, &mut scenario.model.noise);
    scenario.no_forecast = true;
    scenario.model.config.network_interval = scenario.model.config.interval;
    scenario.with(api).script(move |model, _, dt| {
        let level = tooth.step(dt, &mut model.noise);
        model.cgroup("jvm.service").memory.anon_mb = 500.0 + level;
    })
}

/// A generational collector: small teeth of the young, on a first rise of the old that takes ten minutes and more. That
/// rise looks like a leak until it is given back, so it may be watched; hours are left, so it is no veto.
pub(super) fn gc_generational(mut noise: Noise, scale: f64) -> Scenario {
    let mut young = Sawtooth::new(noise.between(40.0, 200.0), noise.between(3.0, 15.0), 0.15);
    let mut old = Sawtooth::new(noise.between(300.0, 900.0), noise.between(600.0, 1200.0), 0.2);
    let mut scenario = Scenario::on(4, 16_000.0, noise, 2.0 * HALF_HOUR_S * scale);
    let api = web("jvm.service", 0.4, 150.0, &mut scenario.model.noise);
    scenario
        .with(api)
        .allow(Allowance::new(Some("jvm.service"), Signal::Fever, Level::Watch))
        .script(move |model, _, dt| {
            let level = young.step(dt, &mut model.noise) + old.step(dt, &mut model.noise);
            model.cgroup("jvm.service").memory.anon_mb = 400.0 + level;
        })
}

/// Six gigabytes taken at once that stay: a burst may be watched, a leak it is not.
pub(super) fn one_off_allocation(mut noise: Noise, scale: f64) -> Scenario {
    let (at_s, takes_s) = (noise.between(120.0, 400.0), noise.between(1.0, 8.0));
    let scenario = Scenario::on(4, 16_000.0, noise, HALF_HOUR_S * scale.max(0.4));
    scenario
        .with(Cgroup::new("batch.service"))
        .allow(
            Allowance::new(None, Signal::Fever, Level::Watch)
                .causes(&[Cause::Burst])
                .during((at_s, at_s + takes_s + 15.0)),
        )
        .script(move |model, now, _| {
            let share = ((now - at_s) / takes_s).clamp(0.0, 1.0);
            let batch = model.cgroup("batch.service");
            batch.memory.anon_mb = 50.0 + 6_000.0 * share;
            batch.cpu.busy = if share > 0.0 && share < 1.0 { 1.0 } else { 0.0 };
        })
}

/// A cache of a process that fills evenly for half a minute to two minutes and then stops. It may be watched meanwhile.
pub(super) fn cache_warm_up(mut noise: Noise, scale: f64) -> Scenario {
    let mut spells = Spells::new((150.0, 400.0), (30.0, 120.0), &mut noise);
    let mut rate = Wander::new(0.2, 5.0);
    let mean = noise.between(4.0, 25.0);
    let mut scenario = Scenario::on(4, 16_000.0, noise, HALF_HOUR_S * scale);
    let cache = web("cache.service", 0.2, 200.0, &mut scenario.model.noise);
    let mut was = false;
    scenario
        .with(cache)
        .allow(Allowance::new(Some("cache.service"), Signal::Fever, Level::Watch))
        .script(move |model, now, dt| {
            let on = spells.on(now, &mut model.noise);
            let factor = rate.step(dt, &mut model.noise);
            let cache = model.cgroup("cache.service");
            if on && !was {
                // It was restarted, and begins empty.
                cache.memory.anon_mb = 120.0;
            }
            if on {
                cache.memory.anon_mb += mean * factor * dt;
            }
            was = on;
        })
}

/// All files of a disk are read, again and again: page cache fills what room there is, and then takes its own place.
pub(super) fn file_scan(mut noise: Noise, scale: f64) -> Scenario {
    let mut spells = Spells::new((60.0, 300.0), (60.0, 400.0), &mut noise);
    let rate = noise.between(20.0, 250.0);
    let scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    scenario
        .with(Cgroup::new("backup.service"))
        .script(move |model, now, _| {
            let on = spells.on(now, &mut model.noise);
            let backup = model.cgroup("backup.service");
            backup.cpu.short_cpus = if on { 0.4 } else { 0.001 };
            backup.cpu.service_ms = 2.0;
            backup.cpu.workers = 1.0;
            backup.memory.scan_mb_per_s = if on { rate } else { 0.0 };
        })
}

/// Processes that are started again and again, in cgroups that come and go every few seconds.
pub(super) fn cgroup_churn(mut noise: Noise, scale: f64) -> Scenario {
    let gap_s = noise.between(2.0, 8.0);
    let (mut next_s, mut count) = (0.0, 0_u32);
    let mut ends: Vec<(f64, String)> = Vec::new();
    Scenario::new(noise, HALF_HOUR_S * scale).script(move |model, now, _| {
        ends.retain(|(end_s, name)| {
            let stays = now < *end_s;
            if !stays {
                model.remove(name);
            }
            stays
        });
        if now < next_s {
            return;
        }
        next_s = now + model.noise.exponential(gap_s);
        count += 1;
        let name = format!("run-{count}.scope");
        let mut job = idle(&name, &mut model.noise);
        job.memory.anon_mb = model.noise.between(5.0, 120.0);
        job.cpu.short_cpus = model.noise.between(0.05, 0.5);
        job.cpu.workers = 2.0;
        job.network.own_per_s = model.noise.between(0.0, 5.0);
        let length_s = model.noise.exponential(6.0).max(0.5);
        model.add(job);
        ends.push((now + length_s, name));
    })
}

/// Releases: a new cgroup of the service starts, warms up, takes the load; the old one goes.
pub(super) fn rolling_deploy(mut noise: Noise, scale: f64) -> Scenario {
    let every_s = noise.between(150.0, 400.0);
    let rise_s = noise.between(4.0, 25.0);
    let mut release = 0_u32;
    Scenario::new(noise, HALF_HOUR_S * scale).script(move |model, now, _| {
        let wanted = (now / every_s) as u32 + 1;
        let age_s = now - f64::from(wanted - 1) * every_s;
        if wanted > release {
            let api = web(&format!("api-{wanted}.service"), 0.1, 0.0, &mut model.noise);
            model.add(api);
            release = wanted;
        }
        // Load moves over in ten seconds once it is warm; then the old one ends.
        let moved = ((age_s - rise_s - 5.0) / 10.0).clamp(0.0, 1.0);
        let api = model.cgroup(&format!("api-{release}.service"));
        let starting = age_s < rise_s;
        api.memory.anon_mb = 40.0 + 350.0 * (age_s / rise_s).min(1.0);
        api.cpu.short_cpus = if starting { 0.8 } else { 0.05 + 0.3 * moved };
        api.cpu.workers = 2.0;
        api.network.asked_per_s = 200.0 * moved;
        if release > 1 {
            let old = format!("api-{}.service", release - 1);
            if age_s > rise_s + 30.0 {
                model.remove(&old);
            } else {
                let api = model.cgroup(&old);
                api.network.asked_per_s = 200.0 * (1.0 - moved);
                api.cpu.short_cpus = 0.05 + 0.3 * (1.0 - moved);
            }
        }
    })
}
