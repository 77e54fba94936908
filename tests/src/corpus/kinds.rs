//! The kinds of the corpus: healthy and faulty, in equal number.

use super::{
    faulty_cpu as cpu_faults, faulty_memory as memory_faults, faulty_network as network_faults, healthy_cpu as cpu,
    healthy_memory as memory, healthy_network as network, noise::Noise, scenario::Scenario,
};

/// Where nothing is meant to be wrong, a load balancer keeps the noise's tail away: short jobs never want more of the
/// CPUs than this.
const HEALTHY_MOST: f64 = 0.9;

/// A kind of scenario.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Something is wrong in it.
    pub faulty: bool,
    build: fn(Noise, f64) -> Scenario,
}

impl Kind {
    /// The scenario with this seed. Healthy ones last `scale` times as long as they would.
    #[must_use]
    pub fn scenario(&self, seed: u64, scale: f64) -> Scenario {
        let mut scenario = (self.build)(Noise::new(self.name, seed), scale);
        if !self.faulty {
            scenario.model.scheduler.most = HEALTHY_MOST;
        }
        scenario
    }
}

const fn healthy(name: &'static str, build: fn(Noise, f64) -> Scenario) -> Kind {
    Kind {
        name,
        faulty: false,
        build,
    }
}

const fn faulty(name: &'static str, build: fn(Noise, f64) -> Scenario) -> Kind {
    Kind {
        name,
        faulty: true,
        build,
    }
}

/// All of them.
pub const KINDS: &[Kind] = &[
    healthy("load_step", cpu::load_step),
    healthy("open_loop_queue", cpu::open_loop_queue),
    healthy("service_start", cpu::service_start),
    healthy("cron_spike", cpu::cron_spike),
    healthy("daily_rhythm", cpu::daily_rhythm),
    healthy("weekly_backup", cpu::weekly_backup),
    healthy("build_machine", cpu::build_machine),
    healthy("saturated_exactly", cpu::saturated_exactly),
    healthy("idle_host", cpu::idle_host),
    healthy("other_ticks", cpu::other_ticks),
    healthy("late_and_missing", cpu::late_and_missing),
    healthy("package_install", memory::package_install),
    healthy("gc_runtime", memory::gc_runtime),
    healthy("gc_generational", memory::gc_generational),
    healthy("one_off_allocation", memory::one_off_allocation),
    healthy("cache_warm_up", memory::cache_warm_up),
    healthy("file_scan", memory::file_scan),
    healthy("cgroup_churn", memory::cgroup_churn),
    healthy("rolling_deploy", memory::rolling_deploy),
    healthy("request_step", network::request_step),
    healthy("file_server", network::file_server),
    healthy("steady_fan_out", network::steady_fan_out),
    healthy("flaky_gateway", network::flaky_gateway),
    healthy("transient_overload", network::transient_overload),
    healthy("slow_backend", network::slow_backend),
    healthy("udp_metrics", network::udp_metrics),
    healthy("video_streaming", network::video_streaming),
    healthy("batch_network", network::batch_network),
    faulty("thrash_4", cpu_faults::thrash_4),
    faulty("thrash_8", cpu_faults::thrash_8),
    faulty("thrash_16", cpu_faults::thrash_16),
    faulty("thrash_bursts", cpu_faults::thrash_bursts),
    faulty("thrash_other_ticks", cpu_faults::thrash_other_ticks),
    faulty("lock_convoy", cpu_faults::lock_convoy),
    faulty("starved_victim", cpu_faults::starved_victim),
    faulty("throttled", cpu_faults::throttled),
    faulty("saturated_steady", cpu_faults::saturated_steady),
    faulty("long_window", cpu_faults::long_window),
    faulty("leak_slow", memory_faults::leak_slow),
    faulty("leak_20", memory_faults::leak_20),
    faulty("leak_40", memory_faults::leak_40),
    faulty("leak_limit", memory_faults::leak_limit),
    faulty("leak_noisy", memory_faults::leak_noisy),
    faulty("leak_accelerating", memory_faults::leak_accelerating),
    faulty("leak_sawtooth", memory_faults::leak_sawtooth),
    faulty("reclaim", memory_faults::reclaim),
    faulty("burst", memory_faults::burst),
    faulty("storm_dead", network_faults::storm_dead),
    faulty("storm_slow", network_faults::storm_slow),
    faulty("storm_mild", network_faults::storm_mild),
    faulty("storm_client", network_faults::storm_client),
    faulty("metastable", network_faults::metastable),
    faulty("flood", network_faults::flood),
    faulty("fan_out_release", network_faults::fan_out_release),
    faulty("slow_ramp", network_faults::slow_ramp),
    faulty("three_at_once", network_faults::three_at_once),
];
