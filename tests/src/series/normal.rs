//! Kinds of ordinary behaviour: what a metric does while nothing is wrong. Each is a shape with its own noise.

use std::f64::consts::TAU;

use crate::corpus::noise::Noise;

/// A kind of ordinary behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Autocorrelated noise around a level: a CPU in steady use.
    Steady,
    /// Noise with heavy tails.
    HeavyTailed,
    /// Log-normal with a long right tail: a latency.
    Latency,
    /// A day in five-minute points.
    Daily,
    /// Days and weekends in half-hour points: demand.
    Weekly,
    /// Small counts, most of them zero.
    Counts,
    /// Rises evenly and falls at once: a disk that is cleaned, a heap that is collected.
    SawTooth,
    /// Plateaus of a few heights for a random time: a scaled group.
    Steps,
    /// Idle, and busy for a random time: batch jobs.
    OnOff,
    /// Two modes that take turns by chance.
    Bimodal,
    /// Slow wandering with a pull back: a temperature.
    Wandering,
    /// A job every night at three.
    Nightly,
    /// A gauge in whole numbers that seldom moves.
    Gauge,
    /// Quiet, with heavy bursts at random: network traffic.
    Bursty,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Steady,
        Self::HeavyTailed,
        Self::Latency,
        Self::Daily,
        Self::Weekly,
        Self::Counts,
        Self::SawTooth,
        Self::Steps,
        Self::OnOff,
        Self::Bimodal,
        Self::Wandering,
        Self::Nightly,
        Self::Gauge,
        Self::Bursty,
    ];

    /// Seconds between points.
    #[must_use]
    pub const fn step_s(self) -> f64 {
        match self {
            Self::Weekly => 1800.0,
            Self::Latency | Self::OnOff => 60.0,
            _ => 300.0,
        }
    }

    /// So many points, one after the other.
    #[must_use]
    pub fn generate(self, points: usize, noise: &mut Noise) -> Vec<f64> {
        let mut shape = Shape::new(noise);
        (0..points)
            .map(|index| {
                let unix_s = index as f64 * self.step_s();
                shape.next(self, unix_s, noise)
            })
            .collect()
    }
}

/// What the shapes remember from point to point.
struct Shape {
    level: f64,
    drift: f64,
    state: f64,
    left: f64,
    phase_s: f64,
    period: f64,
}

impl Shape {
    fn new(noise: &mut Noise) -> Self {
        Self {
            level: noise.between(20.0, 80.0),
            drift: 0.0,
            state: 0.0,
            left: 0.0,
            phase_s: noise.between(0.0, 86_400.0),
            period: noise.between(30.0, 90.0),
        }
    }

    fn next(&mut self, kind: Kind, unix_s: f64, noise: &mut Noise) -> f64 {
        let day = |shift: f64| libm::sin(TAU * (unix_s + shift) / 86_400.0);
        match kind {
            Kind::Steady => {
                self.drift = 0.9 * self.drift + noise.normal();
                self.level + self.drift
            }
            Kind::HeavyTailed => self.level + noise.heavy(),
            Kind::Latency => {
                self.drift = 0.8 * self.drift + 0.2 * noise.normal();
                self.level * libm::exp(0.3 * self.drift) * noise.log_normal(0.25)
            }
            Kind::Daily => {
                let wave = 1.0 + 0.5 * day(self.phase_s) + 0.2 * libm::sin(2.0 * TAU * unix_s / 86_400.0);
                self.level * wave * (1.0 + 0.05 * noise.normal())
            }
            Kind::Weekly => {
                let weekend = (unix_s / 86_400.0) as u64 % 7 >= 5;
                let height = if weekend { 0.6 } else { 1.0 };
                self.drift = 0.8 * self.drift + 0.03 * noise.normal();
                self.level * height * (1.2 + day(0.0) + 0.3 * day(20_000.0)) * (1.0 + self.drift)
            }
            Kind::Counts => noise.poisson(0.4),
            Kind::SawTooth => {
                self.state += (1.0 + 0.2 * noise.normal()) / self.period;
                if self.state >= 1.0 {
                    self.state = 0.05 * noise.uniform();
                }
                30.0 + 50.0 * self.state + 0.5 * noise.normal()
            }
            Kind::Steps => {
                self.left -= 1.0;
                if self.left < 0.0 {
                    self.left = noise.exponential(60.0);
                    self.state = (noise.uniform() * 4.0).floor();
                }
                self.level * (1.0 + 0.25 * self.state) + noise.normal()
            }
            Kind::OnOff => {
                self.left -= 1.0;
                if self.left < 0.0 {
                    self.state = 1.0 - self.state;
                    self.left = noise.exponential(if self.state > 0.0 { 15.0 } else { 45.0 });
                }
                if self.state > 0.0 {
                    80.0 + 4.0 * noise.normal()
                } else {
                    2.0 + 0.5 * noise.normal().abs()
                }
            }
            Kind::Bimodal => {
                let mode = if noise.chance(0.3) { 2.5 } else { 1.0 };
                self.level * mode * (1.0 + 0.04 * noise.normal())
            }
            Kind::Wandering => {
                self.drift = 0.995 * self.drift + 0.3 * noise.normal();
                self.level + self.drift + 0.2 * noise.normal()
            }
            Kind::Nightly => {
                let of_day = unix_s % 86_400.0;
                let job = if (10_800.0..12_600.0).contains(&of_day) {
                    60.0
                } else {
                    0.0
                };
                10.0 + job + 1.5 * noise.normal()
            }
            Kind::Gauge => {
                if noise.chance(0.03) {
                    self.state += if noise.chance(0.5) { 1.0 } else { -1.0 };
                    self.state = self.state.clamp(-3.0, 3.0);
                }
                self.level.round() + self.state
            }
            Kind::Bursty => {
                let burst = if noise.chance(0.03) {
                    noise.exponential(400.0)
                } else {
                    0.0
                };
                20.0 * noise.log_normal(0.3) + burst
            }
        }
    }
}
