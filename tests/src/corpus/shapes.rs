//! Shapes that scripts share: sawteeth, spells that come and go, gateways.

use super::{
    cgroup::{Cgroup, web},
    noise::Noise,
    upstream::{Backend, Upstream},
};

/// Memory that rises and is given back: MB above the floor as time passes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sawtooth {
    /// Height, MB.
    pub(super) height_mb: f64,
    /// Time of a rise, seconds.
    pub(super) period_s: f64,
    /// How much periods and heights differ, as sigma of the logarithm.
    pub(super) uneven: f64,
    level_mb: f64,
    top_mb: f64,
    rate: f64,
}

impl Sawtooth {
    /// From the bottom.
    #[must_use]
    pub(super) const fn new(height_mb: f64, period_s: f64, uneven: f64) -> Self {
        Self {
            height_mb,
            period_s,
            uneven,
            level_mb: 0.0,
            top_mb: height_mb,
            rate: height_mb / period_s,
        }
    }

    /// Its level `dt` seconds later.
    pub(super) fn step(&mut self, dt: f64, noise: &mut Noise) -> f64 {
        self.level_mb += self.rate * dt * noise.log_normal(0.3);
        if self.level_mb >= self.top_mb {
            self.level_mb = self.top_mb * noise.between(0.02, 0.12);
            self.top_mb = self.height_mb * noise.log_normal(self.uneven);
            self.rate = self.top_mb / (self.period_s * noise.log_normal(self.uneven));
        }
        self.level_mb
    }
}

/// Spells of something: from one to the next, and how long each lasts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spells {
    gap_s: (f64, f64),
    length_s: (f64, f64),
    next_s: f64,
    end_s: f64,
}

impl Spells {
    /// The first one after a gap.
    #[must_use]
    pub(super) fn new(gap_s: (f64, f64), length_s: (f64, f64), noise: &mut Noise) -> Self {
        let next_s = noise.between(gap_s.0, gap_s.1);
        Self {
            gap_s,
            length_s,
            next_s,
            end_s: next_s + noise.between(length_s.0, length_s.1),
        }
    }

    /// True while one lasts at `now_s`.
    pub(super) fn on(&mut self, now_s: f64, noise: &mut Noise) -> bool {
        if now_s >= self.end_s {
            self.next_s = self.end_s + noise.between(self.gap_s.0, self.gap_s.1);
            self.end_s = self.next_s + noise.between(self.length_s.0, self.length_s.1);
        }
        now_s >= self.next_s
    }

    /// When the present or the next one begins, seconds.
    #[must_use]
    pub(super) const fn begins_s(&self) -> f64 {
        self.next_s
    }
}

/// A gateway: asked that often, asks a back end `fan_out` times for each, and retries.
#[must_use]
pub(super) fn gateway(name: &str, asked_per_s: f64, fan_out: f64, upstream: Upstream, noise: &mut Noise) -> Cgroup {
    let cpus = 0.05 + asked_per_s * 0.000_15;
    let mut cgroup = web(name, cpus, asked_per_s, noise);
    cgroup.network.fan_out = fan_out;
    cgroup.network.per_connection = noise.pick(&[1.0, 4.0]);
    cgroup.network.upstream = Some(Box::new(upstream));
    cgroup
}

/// A back end that answers within some milliseconds.
#[must_use]
pub(super) fn quick(noise: &mut Noise) -> Backend {
    Backend::Answers {
        latency_s: noise.between(0.003, 0.06),
        sigma: noise.between(0.2, 0.7),
    }
}
