//! Healthy hosts with traffic: gateways, servers, streams, and troubles that pass by themselves.

use sentinel::judge::verdict::{Level, Phase, Signal};

use super::{
    cgroup::{Cgroup, web},
    noise::{Noise, Wander},
    scenario::Scenario,
    shapes::{Spells, gateway, quick},
    truth::Allowance,
    upstream::{Backend, Upstream},
};

const HALF_HOUR_S: f64 = 1800.0;
const GATEWAY: &str = "gateway.service";

/// Requests times four, and what goes out with them.
pub(super) fn request_step(mut noise: Noise, scale: f64) -> Scenario {
    let mut spells = Spells::new((90.0, 300.0), (60.0, 300.0), &mut noise);
    let base = noise.between(20.0, 250.0);
    let fan_out = noise.pick(&[1.0, 1.0, 2.0]);
    let upstream = Upstream::new(quick(&mut noise));
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    let subject = gateway(GATEWAY, base, fan_out, upstream, &mut scenario.model.noise);
    // Before it has a past of its own, two for one may be worth a look.
    let early = Allowance::new(Some(GATEWAY), Signal::Amplification, Level::Watch).during((0.0, 60.0));
    scenario.with(subject).allow(early).script(move |model, now, _| {
        let factor = if spells.on(now, &mut model.noise) { 4.0 } else { 1.0 };
        let gateway = model.cgroup(GATEWAY);
        gateway.network.asked_per_s = base * factor;
        gateway.cpu.short_cpus = 0.05 + base * factor * 0.000_15;
    })
}

/// A file server: 1.3 packets out for each one in, nothing opened.
pub(super) fn file_server(mut noise: Noise, scale: f64) -> Scenario {
    let (asked, packets_in) = (noise.between(20.0, 400.0), noise.between(4.0, 40.0));
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    let mut files = web("files.service", 0.1, asked, &mut scenario.model.noise);
    files.network.upstream = None;
    files.network.fan_out = 0.0;
    files.network.packets_in = packets_in;
    files.network.packets_out = 1.3 * packets_in;
    files.network.wander = Wander::new(0.4, 10.0).bursts(60.0, 5.0, 3.0);
    scenario.with(files)
}

/// A gateway that has always asked three back ends for each request.
pub(super) fn steady_fan_out(mut noise: Noise, scale: f64) -> Scenario {
    let asked = noise.between(15.0, 300.0);
    let mut upstream = Upstream::new(quick(&mut noise));
    upstream.kept = noise.chance(0.5);
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    let subject = gateway(GATEWAY, asked, 3.0, upstream, &mut scenario.model.noise);
    // Before it has a past of its own, three for one may be worth a look.
    scenario
        .with(subject)
        .allow(Allowance::new(Some(GATEWAY), Signal::Amplification, Level::Watch).during((0.0, 60.0)))
}

/// One attempt in two hundred fails and is tried again.
pub(super) fn flaky_gateway(mut noise: Noise, scale: f64) -> Scenario {
    let asked = noise.between(15.0, 400.0);
    let upstream = Upstream::new(Backend::Refuses { share: 0.005 }).retrying(3, 0.1, 2.0, 1.0);
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    let subject = gateway(GATEWAY, asked, 1.0, upstream, &mut scenario.model.noise);
    scenario.with(subject)
}

/// For some seconds more is asked than the back end can serve; it catches up by itself. Worth a look, never metastable.
pub(super) fn transient_overload(mut noise: Noise, scale: f64) -> Scenario {
    let mut spells = Spells::new((120.0, 300.0), (3.0, 8.0), &mut noise);
    let base = noise.between(40.0, 200.0);
    let backend = Backend::Queues {
        capacity_per_s: 2.6 * base,
        queue_s: 0.8,
    };
    let upstream = Upstream::new(backend).retrying(2, 0.2, 2.0, 1.0);
    let factor = noise.between(2.8, 3.6);
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    let subject = gateway(GATEWAY, base, 1.0, upstream, &mut scenario.model.noise);
    scenario.never.push((GATEWAY.to_owned(), Phase::Metastable));
    scenario
        .with(subject)
        .allow(Allowance::new(Some(GATEWAY), Signal::Amplification, Level::Watch))
        .script(move |model, now, _| {
            let on = spells.on(now, &mut model.noise);
            model.cgroup(GATEWAY).network.asked_per_s = if on { base * factor } else { base };
        })
}

/// The back end takes about a second for each answer and nobody gives up; it is slower at times.
pub(super) fn slow_backend(mut noise: Noise, scale: f64) -> Scenario {
    let asked = noise.between(15.0, 200.0);
    let mut spells = Spells::new((100.0, 300.0), (30.0, 200.0), &mut noise);
    let upstream = Upstream::new(Backend::Answers {
        latency_s: 0.9,
        sigma: 0.3,
    })
    .retrying(1, 0.1, 2.0, 10.0);
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    let subject = gateway(GATEWAY, asked, 1.0, upstream, &mut scenario.model.noise);
    scenario.with(subject).script(move |model, now, _| {
        let latency_s = if spells.on(now, &mut model.noise) { 1.5 } else { 0.9 };
        let upstream = model.cgroup(GATEWAY).network.upstream.as_mut();
        if let Some(upstream) = upstream {
            upstream.backend = Backend::Answers { latency_s, sigma: 0.3 };
        }
    })
}

/// Metrics go out over UDP, as they always did, and nothing comes back.
pub(super) fn udp_metrics(mut noise: Noise, scale: f64) -> Scenario {
    let rate = noise.between(50.0, 8_000.0);
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    let mut sender = Cgroup::new("statsd.service");
    sender.cpu.short_cpus = 0.02 + rate * 0.000_004;
    sender.network.stream_out_per_s = rate;
    sender.network.stream_bytes = 400.0;
    sender.network.udp = true;
    sender.network.stream_wander = Wander::new(0.3, 20.0).bursts(60.0, 2.0, 1.8);
    // Before it has a past, one way is one sign.
    scenario
        .allowances
        .push(Allowance::new(Some("statsd.service"), Signal::Amplification, Level::Watch).during((0.0, 60.0)));
    scenario.with(sender)
}

/// Video: thousands of packets out, acknowledgements in, viewers come and go.
pub(super) fn video_streaming(mut noise: Noise, scale: f64) -> Scenario {
    let viewers = noise.between(20.0, 200.0);
    let udp = noise.chance(0.4);
    let mut crowd = Wander::new(0.4, 120.0);
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    let mut video = web("video.service", 0.3, viewers / 8.0, &mut scenario.model.noise);
    video.network.udp = udp;
    scenario.with(video).script(move |model, _, dt| {
        let now = viewers * crowd.step(dt, &mut model.noise);
        let network = &mut model.cgroup("video.service").network;
        network.stream_out_per_s = 100.0 * now;
        network.stream_in_per_s = if udp { 3.0 * now } else { 40.0 * now };
        network.asked_per_s = now / 8.0;
    })
}

/// A batch job that fetches in spells: hundreds of requests in a few seconds, then silence. Nobody asks it.
pub(super) fn batch_network(mut noise: Noise, scale: f64) -> Scenario {
    let mut spells = Spells::new((10.0, 120.0), (2.0, 40.0), &mut noise);
    let rate = noise.between(50.0, 600.0);
    let upstream = Upstream::new(quick(&mut noise));
    let mut scenario = Scenario::new(noise, HALF_HOUR_S * scale);
    let mut batch = Cgroup::new("batch.service");
    batch.network.upstream = Some(Box::new(upstream));
    scenario.model.add(batch);
    scenario.script(move |model, now, _| {
        let on = spells.on(now, &mut model.noise);
        let batch = model.cgroup("batch.service");
        batch.network.own_per_s = if on { rate } else { 0.0 };
        batch.cpu.short_cpus = if on { 0.2 } else { 0.001 };
        batch.network.stream_in_per_s = if on { 5.0 * rate } else { 0.0 };
        batch.network.stream_out_per_s = if on { 2.0 * rate } else { 0.0 };
    })
}
