//! A gateway `shop` in front of a back end, modelled request by request, beside a bystander: what contracts of storms and
//! overload share.

use sentinel::{
    config::Config,
    judge::{Judge, JudgeConfig, Verdict, verdict::Signal},
};

use crate::{
    judging::{SEEDS, assert_calm},
    queueing::{Overload, Shop},
    synthetic::{Rig, origin},
};

/// Fewer, for runs of many minutes.
pub const FEW: std::ops::Range<u64> = 1..6;

/// As it is usually: a little fails and is tried again.
pub const USUAL: Shop = Shop {
    load_per_s: 300.0,
    capacity_per_s: 1000.0,
    queue: usize::MAX,
    is_dead: false,
    latency_ms: 5,
    timeout_ms: 200,
    attempts: 4,
    fan_out: 1,
    flaky: 0.005,
    poisoned: 0.0,
};

/// A gateway `shop` in front of a back end, beside a bystander; every reading is judged aloud.
pub fn each_shop(shop: Shop, test: impl Fn(&mut Rig)) {
    shops(SEEDS, shop, test);
}

/// The same with these seeds.
pub fn shops(seeds: std::ops::Range<u64>, shop: Shop, test: impl Fn(&mut Rig)) {
    for seed in seeds {
        let mut rig = shop_rig(seed, shop, &Config::default());
        test(&mut rig);
        assert_calm(&rig, "bystander");
    }
}

/// The same with a configuration, for one seed.
#[must_use]
pub fn shop_rig(seed: u64, shop: Shop, config: &Config) -> Rig {
    let mut rig = Rig::new(seed, config, &["shop", "bystander"]);
    let mut aloud = JudgeConfig::from(config);
    aloud.every_tick = true;
    rig.judge = Judge::new(aloud, origin().into());
    rig.shops.insert("shop".to_owned(), Overload::new(shop, seed));
    rig
}

/// The shop of such a host, to change it.
pub fn shop(rig: &mut Rig) -> &mut Shop {
    &mut rig.shops.get_mut("shop").expect("a shop").shop
}

/// What was said of the amplification of a scope.
pub fn said<'a>(rig: &'a Rig, name: &'a str) -> impl Iterator<Item = &'a Verdict> {
    rig.verdicts
        .iter()
        .filter(move |verdict| verdict.scope.name() == name && verdict.signal == Signal::Amplification)
}

/// What was said of the shop after `from` seconds of the run.
pub fn later(rig: &Rig, from: f64) -> impl Iterator<Item = (f64, &Verdict)> {
    let begin_ns = rig.samples[0].now.monotonic_ns - rig.samples[0].elapsed.net_ns.unwrap_or(0);
    said(rig, "shop")
        .map(move |verdict| ((verdict.monotonic_ns - begin_ns) as f64 / 1e9, verdict))
        .filter(move |(at, _)| *at > from)
}

/// The load rises to `times` its usual for `seconds`, then is as before. Returns when that was.
pub fn trigger(rig: &mut Rig, times: f64, seconds: f64) -> f64 {
    let usual = shop(rig).load_per_s;
    shop(rig).load_per_s = times * usual;
    rig.run(seconds);
    shop(rig).load_per_s = usual;
    rig.seconds()
}
