//! Hosts that run out of memory: leaks of every shape, bursts, reclaim.

use sentinel::judge::verdict::{Cause, Level, Signal};

use super::{
    cgroup::{Cgroup, web},
    model::Model,
    noise::{Noise, Wander},
    scenario::Scenario,
    shapes::Sawtooth,
    truth::{Shape, Truth},
};

const LEAKER: &str = "leaker.service";
/// Long enough for anything to run out.
const LONGEST_S: f64 = 4.0 * 3600.0;
/// When leaks begin, seconds.
const ONSET_S: f64 = 120.0;

/// Leaves `left_mb` available on the host.
fn leave(model: &mut Model, left_mb: f64) {
    let surplus_mb = model.available_mb() - left_mb;
    model.memory_mb -= surplus_mb;
}

/// A leak of `rate` MB/s that has `left_mb` until the end: of the host, or of `memory.max`.
fn leak(noise: Noise, left_mb: f64, own_limit: bool, shape: Shape, life_s: f64) -> Scenario {
    // Seen with half of its life to go.
    let truth = Truth::new(LEAKER, Signal::Fever, Level::Veto, (ONSET_S, LONGEST_S), 0.5 * life_s)
        .causes(&[Cause::Leak])
        .exhausts(shape);
    let mut scenario = Scenario::on(2, 8_000.0, noise, LONGEST_S);
    let mut leaker = web(LEAKER, 0.15, 60.0, &mut scenario.model.noise);
    scenario.model.config.network_interval = scenario.model.config.interval;
    leaker.memory.anon_mb = 120.0;
    leaker.memory.cache_mb = 20.0;
    if own_limit {
        leaker.memory.limit_mb = Some(120.0 + 20.0 + 2.5 + left_mb);
    }
    let mut scenario = scenario.with(leaker).truth(truth);
    if own_limit {
        leave(&mut scenario.model, 1.5 * left_mb + 500.0);
    } else {
        leave(&mut scenario.model, left_mb);
    }
    // What else moves on the host is small beside what is left.
    for cgroup in &mut scenario.model.cgroups {
        cgroup.memory.churn_mb_per_s = cgroup.memory.churn_mb_per_s.min(left_mb / 50.0);
    }
    scenario
}

fn even(mut noise: Noise, rate: f64, left_mb: f64, own_limit: bool) -> Scenario {
    let mut wander = Wander::new(noise.between(0.05, 0.3), 6.0);
    leak(noise, left_mb, own_limit, Shape::Linear, left_mb / rate).script(move |model, now, dt| {
        if now >= ONSET_S {
            let factor = wander.step(dt, &mut model.noise);
            model.cgroup(LEAKER).memory.anon_mb += rate * factor * dt;
        }
    })
}

/// Half a megabyte per second.
pub(super) fn leak_slow(mut noise: Noise, _: f64) -> Scenario {
    let (left, own) = (noise.between(500.0, 1_500.0), noise.chance(0.5));
    even(noise, 0.5, left, own)
}

/// 20 MB/s.
pub(super) fn leak_20(mut noise: Noise, _: f64) -> Scenario {
    let left = noise.between(2_000.0, 6_000.0);
    even(noise, 20.0, left, false)
}

/// 40 MB/s.
pub(super) fn leak_40(mut noise: Noise, _: f64) -> Scenario {
    let left = noise.between(3_000.0, 6_000.0);
    even(noise, 40.0, left, false)
}

/// In a cgroup with `memory.max`: when it is reached is known.
pub(super) fn leak_limit(mut noise: Noise, _: f64) -> Scenario {
    let (rate, life) = (noise.between(0.8, 8.0), noise.between(150.0, 900.0));
    even(noise, rate, rate * life, true)
}

/// It leaks in fits: the rate wanders by a factor of two, with pauses.
pub(super) fn leak_noisy(mut noise: Noise, _: f64) -> Scenario {
    let (rate, life) = (noise.between(1.0, 10.0), noise.between(400.0, 1_200.0));
    let own = noise.chance(0.5);
    let mut wander = Wander::new(0.6, 8.0).bursts(25.0, 6.0, 0.1);
    leak(noise, rate * life, own, Shape::Noisy, life).script(move |model, now, dt| {
        if now >= ONSET_S {
            let factor = wander.step(dt, &mut model.noise);
            model.cgroup(LEAKER).memory.anon_mb += 1.2 * rate * factor * dt;
        }
    })
}

/// Faster and faster: the rate doubles again and again.
pub(super) fn leak_accelerating(mut noise: Noise, _: f64) -> Scenario {
    let (rate, doubling_s) = (noise.between(0.6, 2.0), noise.between(60.0, 200.0));
    let left = noise.between(800.0, 3_000.0);
    let own = noise.chance(0.5);
    let life = doubling_s * libm::log2(1.0 + left * std::f64::consts::LN_2 / (rate * doubling_s));
    let mut wander = Wander::new(0.2, 6.0);
    leak(noise, left, own, Shape::Accelerating, life).script(move |model, now, dt| {
        if now >= ONSET_S {
            let factor = wander.step(dt, &mut model.noise);
            let grown = libm::exp2((now - ONSET_S) / doubling_s);
            model.cgroup(LEAKER).memory.anon_mb += rate * grown * factor * dt;
        }
    })
}

/// A collector's sawtooth whose floor rises.
pub(super) fn leak_sawtooth(mut noise: Noise, _: f64) -> Scenario {
    let (rate, life) = (noise.between(0.6, 3.0), noise.between(600.0, 1_500.0));
    let mut tooth = Sawtooth::new(noise.between(0.05, 0.2) * rate * life, noise.between(10.0, 50.0), 0.15);
    let own = noise.chance(0.5);
    let mut leaked_mb = 0.0;
    leak(noise, rate * life, own, Shape::Noisy, life).script(move |model, now, dt| {
        if now >= ONSET_S {
            leaked_mb += rate * dt;
        }
        let level = tooth.step(dt, &mut model.noise);
        let memory = &mut model.cgroup(LEAKER).memory;
        if memory.kills == 0 {
            memory.anon_mb = 120.0 + leaked_mb + level;
        }
    })
}

/// Page cache at its limit: pages are taken back as fast as they are handed out.
pub(super) fn reclaim(mut noise: Noise, _: f64) -> Scenario {
    let onset_s = noise.between(60.0, 180.0);
    let during = (onset_s, onset_s + 90.0);
    let rate = noise.between(150.0, 500.0);
    let limit = noise.between(200.0, 600.0);
    let truth = Truth::new(LEAKER, Signal::Fever, Level::Watch, during, 10.0).causes(&[Cause::Reclaim]);
    let mut scenario = Scenario::new(noise, during.1 + 20.0);
    let mut leaker = Cgroup::new(LEAKER);
    leaker.memory.anon_mb = 80.0;
    // Its page cache fills what room it has from the beginning.
    leaker.memory.cache_mb = limit - 84.0;
    leaker.memory.limit_mb = Some(limit);
    scenario.model.add(leaker);
    scenario.truth(truth).script(move |model, now, _| {
        let on = (during.0..during.1).contains(&now);
        let leaker = model.cgroup(LEAKER);
        leaker.memory.scan_mb_per_s = if on { rate } else { 0.0 };
        leaker.cpu.short_cpus = if on { 0.5 } else { 0.003 };
        leaker.cpu.workers = 1.0;
    })
}

/// A third of the host taken within seconds.
pub(super) fn burst(mut noise: Noise, _: f64) -> Scenario {
    let onset_s = noise.between(60.0, 180.0);
    let (amount, takes_s) = (noise.between(2_200.0, 4_000.0), noise.between(1.0, 6.0));
    let during = (onset_s, onset_s + takes_s + 10.0);
    let truth = Truth::new(LEAKER, Signal::Fever, Level::Watch, during, takes_s + 8.0)
        .causes(&[Cause::Burst])
        .at_most_watch();
    let scenario = Scenario::on(2, 8_000.0, noise, during.1 + 60.0);
    scenario
        .with(Cgroup::new(LEAKER))
        .truth(truth)
        .script(move |model, now, _| {
            let share = ((now - onset_s) / takes_s).clamp(0.0, 1.0);
            let memory = &mut model.cgroup(LEAKER).memory;
            memory.anon_mb = 50.0 + amount * share;
        })
}
