//! Hosts that send more than they are asked for: storms, floods, releases, and overload that feeds itself.

use sentinel::judge::verdict::{Cause, Level, Phase, Signal};

use super::{
    cgroup::Cgroup,
    model::Model,
    noise::{Noise, Wander},
    scenario::Scenario,
    shapes::{gateway, quick},
    truth::{Allowance, PhaseTruth, Truth},
    upstream::{Backend, Upstream},
};

const GATEWAY: &str = "gateway.service";

fn window(noise: &mut Noise) -> (f64, f64) {
    let onset_s = noise.between(60.0, 180.0);
    (onset_s, onset_s + noise.between(40.0, 120.0))
}

fn set_backend(model: &mut Model, backend: Backend) {
    if let Some(upstream) = model.cgroup(GATEWAY).network.upstream.as_mut() {
        upstream.backend = backend;
    }
}

/// A gateway whose back end changes for a while.
fn storm(mut noise: Noise, policy: Upstream, broken: Backend, truth: Truth) -> Scenario {
    let asked = noise.between(20.0, 300.0);
    let sound = policy.backend;
    let during = (truth.onset_s, truth.end_s);
    let mut scenario = Scenario::new(noise, during.1 + 30.0);
    let subject = gateway(GATEWAY, asked, 1.0, policy, &mut scenario.model.noise);
    scenario.with(subject).truth(truth).script(move |model, now, _| {
        let on = (during.0..during.1).contains(&now);
        set_backend(model, if on { broken } else { sound });
    })
}

fn storm_truth(during: (f64, f64), within_s: f64) -> Truth {
    Truth::new(GATEWAY, Signal::Amplification, Level::Veto, during, within_s)
        .causes(&[Cause::RetryStorm])
        .stays()
}

/// The back end is dead: it refuses.
pub(super) fn storm_dead(mut noise: Noise, _: f64) -> Scenario {
    let during = window(&mut noise);
    let (attempts, backoff_s) = (noise.pick(&[4, 5, 6]), noise.between(0.05, 0.2));
    let broken = Backend::Refuses {
        share: noise.between(0.95, 1.0),
    };
    let policy = Upstream::new(quick(&mut noise)).retrying(attempts, backoff_s, 1.5, 0.4);
    storm(noise, policy, broken, storm_truth(during, 10.0))
}

/// The back end is slower than the sender's patience, or does not answer to connection attempts at all.
pub(super) fn storm_slow(mut noise: Noise, _: f64) -> Scenario {
    let during = window(&mut noise);
    let (attempts, timeout_s) = (noise.pick(&[3, 4, 5]), noise.between(0.3, 1.0));
    let broken = if noise.chance(0.7) {
        Backend::Answers {
            latency_s: 4.0,
            sigma: 0.3,
        }
    } else {
        Backend::Silent
    };
    let policy = Upstream::new(quick(&mut noise)).retrying(attempts, 0.05, 1.5, timeout_s);
    storm(noise, policy, broken, storm_truth(during, 15.0))
}

/// Four attempts in ten fail and are tried once more: alpha 1.4.
pub(super) fn storm_mild(mut noise: Noise, _: f64) -> Scenario {
    let during = window(&mut noise);
    let broken = Backend::Refuses { share: 0.4 };
    let policy = Upstream::new(quick(&mut noise)).retrying(2, 0.1, 2.0, 1.0);
    storm(noise, policy, broken, storm_truth(during, 15.0))
}

/// A client that nobody asks connects in vain, again and again.
pub(super) fn storm_client(mut noise: Noise, _: f64) -> Scenario {
    let during = window(&mut noise);
    let (calm, wild) = (noise.between(1.0, 20.0), noise.between(40.0, 1_500.0));
    let sound = quick(&mut noise);
    let truth = Truth::new("client.service", Signal::Amplification, Level::Veto, during, 10.0)
        .causes(&[Cause::RetryStorm])
        .stays();
    let mut scenario = Scenario::new(noise, during.1 + 30.0);
    let mut client = Cgroup::new("client.service");
    client.network.upstream = Some(Box::new(Upstream::new(sound)));
    scenario.model.add(client);
    scenario.truth(truth).script(move |model, now, _| {
        let on = (during.0..during.1).contains(&now);
        let network = &mut model.cgroup("client.service").network;
        network.own_per_s = if on { wild } else { calm };
        if let Some(upstream) = network.upstream.as_mut() {
            upstream.backend = if on { Backend::Refuses { share: 0.99 } } else { sound };
        }
    })
}

/// A trigger of some seconds tips the back end over, and retries keep it there when the trigger is gone.
pub(super) fn metastable(mut noise: Noise, _: f64) -> Scenario {
    let onset_s = noise.between(90.0, 180.0);
    let trigger_s = noise.between(6.0, 15.0);
    let base = noise.between(40.0, 200.0);
    let backend = Backend::Queues {
        capacity_per_s: noise.between(1.5, 1.9) * base,
        queue_s: 6.0,
    };
    let (timeout_s, factor) = (noise.between(0.5, 1.0), noise.between(3.0, 5.0));
    let policy = Upstream::new(backend).retrying(5, 0.1, 1.5, timeout_s);
    let during = (onset_s, onset_s + 120.0);
    let mut truth = storm_truth(during, 12.0);
    truth.phase = Some(PhaseTruth {
        phase: Phase::Metastable,
        from_s: onset_s + trigger_s,
        within_s: Some(3.0),
    });
    let mut scenario = Scenario::new(noise, during.1);
    let mut subject = gateway(GATEWAY, base, 1.0, policy, &mut scenario.model.noise);
    // Noise alone must not tip it over before its time.
    subject.network.wander = Wander::new(0.06, 15.0);
    scenario.with(subject).truth(truth).script(move |model, now, _| {
        let on = (onset_s..onset_s + trigger_s).contains(&now);
        model.cgroup(GATEWAY).network.asked_per_s = if on { base * factor } else { base };
    })
}

/// Thousands of packets out and none in, from one moment to the next.
pub(super) fn flood(mut noise: Noise, _: f64) -> Scenario {
    let during = window(&mut noise);
    let rate = noise.between(1_500.0, 40_000.0);
    let truth = Truth::new("sender.service", Signal::Amplification, Level::Veto, during, 10.0)
        .causes(&[Cause::Flood])
        .stays();
    let mut scenario = Scenario::new(noise, during.1 + 30.0);
    let mut sender = Cgroup::new("sender.service");
    sender.network.udp = true;
    sender.network.stream_wander = Wander::new(0.2, 5.0);
    scenario.model.add(sender);
    scenario.truth(truth).script(move |model, now, _| {
        let on = (during.0..during.1).contains(&now);
        let sender = model.cgroup("sender.service");
        sender.network.stream_out_per_s = if on { rate } else { 3.0 };
        sender.cpu.short_cpus = if on { 0.3 } else { 0.003 };
    })
}

/// A release that asks four back ends for each request where there was one.
pub(super) fn fan_out_release(mut noise: Noise, _: f64) -> Scenario {
    let onset_s = noise.between(90.0, 180.0);
    let during = (onset_s, onset_s + 90.0);
    let asked = noise.between(20.0, 300.0);
    let upstream = Upstream::new(quick(&mut noise));
    // The issue names a fan-out among the causes, and wants a veto only of more than one independent sign. Alpha is one;
    // nothing fails, nothing is late and nothing is tried again, so there is no second: worth a look, and no more.
    let truth = Truth::new(GATEWAY, Signal::Amplification, Level::Watch, during, 15.0).causes(&[Cause::FanOut]);
    let mut scenario = Scenario::new(noise, during.1);
    let subject = gateway(GATEWAY, asked, 1.0, upstream, &mut scenario.model.noise);
    scenario.with(subject).truth(truth).script(move |model, now, _| {
        model.cgroup(GATEWAY).network.fan_out = if now >= onset_s { 4.0 } else { 1.0 };
    })
}

/// The share of attempts that fail grows over minutes, and alpha with it. The onset is where alpha passes 1.2.
pub(super) fn slow_ramp(mut noise: Noise, _: f64) -> Scenario {
    let (begin_s, takes_s) = (noise.between(90.0, 180.0), noise.between(180.0, 400.0));
    let asked = noise.between(40.0, 300.0);
    let policy = Upstream::new(quick(&mut noise)).retrying(4, 0.1, 1.5, 1.0);
    // With a failing share q, alpha is 1 + q + q² + q³: 1.2 at 0.172; q goes to 0.9.
    let onset_s = begin_s + takes_s * 0.172 / 0.9;
    let during = (onset_s, begin_s + takes_s + 60.0);
    let truth = storm_truth(during, 120.0);
    let mut scenario = Scenario::new(noise, during.1 + 20.0);
    let subject = gateway(GATEWAY, asked, 1.0, policy, &mut scenario.model.noise);
    let early = Allowance::new(Some(GATEWAY), Signal::Amplification, Level::Watch).during((begin_s, onset_s));
    scenario
        .with(subject)
        .truth(truth)
        .allow(early)
        .script(move |model, now, _| {
            let share = if now > during.1 {
                0.0
            } else {
                0.9 * ((now - begin_s) / takes_s).clamp(0.0, 1.0)
            };
            set_backend(model, Backend::Refuses { share });
        })
}

/// A crowd, a leak and a storm at once, each in its own cgroup.
pub(super) fn three_at_once(mut noise: Noise, _: f64) -> Scenario {
    let onset_s = noise.between(90.0, 150.0);
    let during = (onset_s, onset_s + 100.0);
    let policy = Upstream::new(quick(&mut noise)).retrying(4, 0.1, 1.5, 0.5);
    let tasks = noise.pick(&[4.0, 8.0]);
    let asked = noise.between(30.0, 200.0);
    let thrash = Truth::new("worker.service", Signal::Jitter, Level::Veto, during, 10.0).causes(&[Cause::Thrash]);
    let leak = Truth::new("leaker.service", Signal::Fever, Level::Veto, during, 60.0).causes(&[Cause::Leak]);
    let mut scenario = Scenario::on(2, 8_000.0, noise, during.1 + 20.0);
    let subject = gateway(GATEWAY, asked, 1.0, policy, &mut scenario.model.noise);
    let sound = Backend::Answers {
        latency_s: 0.02,
        sigma: 0.4,
    };
    let mut rate = Wander::new(0.2, 5.0);
    scenario
        .with(subject)
        .with(Cgroup::new("worker.service"))
        .with(Cgroup::new("leaker.service"))
        .truth(thrash)
        .truth(leak)
        .truth(storm_truth(during, 10.0))
        .allow(
            Allowance::new(None, Signal::Jitter, Level::Watch)
                .causes(&[Cause::Starved, Cause::Undetermined])
                .during(during),
        )
        .script(move |model, now, dt| {
            let on = (during.0..during.1).contains(&now);
            model.cgroup("worker.service").cpu.busy = if on { tasks } else { 0.0 };
            set_backend(model, if on { Backend::Refuses { share: 0.98 } } else { sound });
            if on {
                let factor = rate.step(dt, &mut model.noise);
                model.cgroup("leaker.service").memory.anon_mb += 20.0 * factor * dt;
            }
        })
}
