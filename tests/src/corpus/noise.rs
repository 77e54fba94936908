//! Noise of the corpus: heavy-tailed, autocorrelated, in bursts, and the same on every machine.
//!
//! The generator is seeded and every exponential and logarithm comes from `libm`, so that a seed names one recording
//! for good. Nothing here reads a clock or the system's randomness.

use rand_distr::{Binomial, Distribution as _, Poisson, StandardNormal, StudentT};
use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng as _, SeedableRng as _},
};

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Noise(Xoshiro256PlusPlus);

/// Degrees of freedom of the innovations: the fourth moment does not exist, the variance does.
const TAIL: f64 = 4.0;

impl Noise {
    /// A stream that depends on the name of a kind and a seed.
    #[must_use]
    pub fn new(name: &str, seed: u64) -> Self {
        // FNV-1a, so that kinds with the same seed do not share their noise.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(Xoshiro256PlusPlus::seed_from_u64(
            hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        ))
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// True with that probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[((self.uniform() * from.len() as f64) as usize).min(from.len() - 1)]
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// Student's t with four degrees of freedom, scaled to variance 1.
    pub fn heavy(&mut self) -> f64 {
        let t: f64 = StudentT::new(TAIL).map_or(0.0, |t| t.sample(&mut self.0));
        t * libm::sqrt((TAIL - 2.0) / TAIL)
    }

    /// Log-normal with mean 1; `sigma` is that of the logarithm.
    pub fn log_normal(&mut self, sigma: f64) -> f64 {
        libm::exp(sigma * self.normal() - sigma * sigma / 2.0)
    }

    /// Exponential with that mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.uniform())
    }

    /// Poisson with that mean; 0 for a mean that is not positive.
    pub fn poisson(&mut self, mean: f64) -> f64 {
        if mean < 1e-9 {
            return 0.0;
        }
        if mean < 0.05 {
            return f64::from(u8::from(self.uniform() < mean));
        }
        Poisson::new(mean).map_or(0.0, |poisson| poisson.sample(&mut self.0))
    }

    /// How many of `count` happen, each with that probability.
    pub fn binomial(&mut self, count: u64, probability: f64) -> u64 {
        if count == 0 || probability <= 0.0 {
            return 0;
        }
        Binomial::new(count, probability.min(1.0)).map_or(0, |binomial| binomial.sample(&mut self.0))
    }

    /// An integer whose mean is `value`.
    pub fn round(&mut self, value: f64) -> u64 {
        (value.max(0.0) + self.uniform()) as u64
    }
}

/// A factor around 1 that wanders: AR(1) in the logarithm with heavy-tailed innovations, and bursts now and then.
#[derive(Clone, Copy, Debug)]
pub struct Wander {
    /// Standard deviation of the logarithm.
    pub sigma: f64,
    /// Correlation time, seconds.
    pub tau_s: f64,
    /// Mean time between bursts, seconds; 0 for none.
    pub burst_gap_s: f64,
    /// Mean length of one, seconds.
    pub burst_s: f64,
    /// Factor during one.
    pub burst_factor: f64,
    log: f64,
    bursting: bool,
}

impl Wander {
    /// Without bursts.
    #[must_use]
    pub const fn new(sigma: f64, tau_s: f64) -> Self {
        Self {
            sigma,
            tau_s,
            burst_gap_s: 0.0,
            burst_s: 0.0,
            burst_factor: 1.0,
            log: 0.0,
            bursting: false,
        }
    }

    /// The same with bursts.
    #[must_use]
    pub const fn bursts(mut self, gap_s: f64, length_s: f64, factor: f64) -> Self {
        (self.burst_gap_s, self.burst_s, self.burst_factor) = (gap_s, length_s, factor);
        self
    }

    /// The factor after `dt` more seconds; exactly 1 when there is neither sigma nor burst.
    pub fn step(&mut self, dt: f64, noise: &mut Noise) -> f64 {
        let mut factor = 1.0;
        if self.sigma > 0.0 {
            let keep = libm::exp(-dt / self.tau_s);
            self.log = keep * self.log + self.sigma * libm::sqrt(1.0 - keep * keep) * noise.heavy();
            factor = libm::exp(self.log.clamp(-2.0, 2.0) - self.sigma * self.sigma / 2.0);
        }
        if self.burst_gap_s > 0.0 {
            let mean_s = if self.bursting { self.burst_s } else { self.burst_gap_s };
            self.bursting ^= noise.chance((dt / mean_s).min(1.0));
            if self.bursting {
                factor *= self.burst_factor;
            }
        }
        factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_one_stream_and_kinds_do_not_share_it() {
        let draw = |name, seed| {
            let mut noise = Noise::new(name, seed);
            let mut wander = Wander::new(0.3, 10.0);
            (0..100)
                .map(|_| wander.step(0.1, &mut noise).to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(draw("a", 1), draw("a", 1));
        assert_ne!(draw("a", 1), draw("a", 2));
        assert_ne!(draw("a", 1), draw("b", 1));
    }

    #[test]
    fn it_wanders_around_one_with_memory_and_heavy_tails() {
        let mut noise = Noise::new("shape", 7);
        let mut wander = Wander::new(0.3, 10.0);
        let log: Vec<f64> = (0..200_000).map(|_| libm::log(wander.step(1.0, &mut noise))).collect();
        let mean = log.iter().sum::<f64>() / log.len() as f64;
        let moment = |power: i32| log.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / log.len() as f64;
        let lagged: f64 = log.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
        let correlation = lagged / log.len() as f64 / moment(2);
        assert!((moment(2).sqrt() - 0.3).abs() < 0.03, "{}", moment(2).sqrt());
        assert!((correlation - 0.905).abs() < 0.02, "{correlation}");
        let steps: Vec<f64> = log.windows(2).map(|pair| pair[1] - 0.905 * pair[0]).collect();
        let (square, fourth) = steps.iter().fold((0.0, 0.0), |(a, b), x| (a + x * x, b + x.powi(4)));
        let kurtosis = fourth * steps.len() as f64 / (square * square);
        assert!(kurtosis > 5.0, "innovations have heavy tails: {kurtosis}");
    }
}
