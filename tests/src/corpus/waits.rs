//! Waits as the scheduler sensor counts them: how many, their sum, the sum of their squares, and by length.

use sentinel::sense::sample::Sched;
use sentinel_common::{histogram::wait_bucket, sched::WAIT_UNIT_NS};

/// Waits of one sort.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// How many ended.
    pub(super) count: u64,
    /// Their sum, seconds.
    pub(super) sum_s: f64,
    /// Their mean square over the square of their mean.
    pub(super) square: f64,
    /// Share of them that is more than a wake-up.
    pub(super) share: f64,
}

/// Share of an exponential distribution in each octave that begins at so many times its mean; what is below the first
/// lies there too.
const OCTAVES: [(f64, f64); 6] = [
    (4.0, 0.018),
    (2.0, 0.117),
    (1.0, 0.233),
    (0.5, 0.239),
    (0.25, 0.172),
    (0.125, 0.104),
];

impl Waits {
    /// Adds them to the counters.
    pub(super) fn add_to(self, counts: &mut Sched) {
        if self.count == 0 {
            return;
        }
        let count = self.count as f64;
        let mean_ns = self.sum_s * 1e9 / count;
        let units = mean_ns / WAIT_UNIT_NS as f64;
        counts.waits += self.count;
        counts.wait_ns += (self.sum_s * 1e9) as u64;
        counts.wait_units_squared += (count * units * units * self.square) as u64;
        let long = (count * self.share) as u64;
        counts.buckets[0] = counts.buckets[0].saturating_add((self.count - long) as u32);
        spread(&mut counts.buckets, long, mean_ns / self.share);
    }
}

fn spread(buckets: &mut [u32], waits: u64, mean_ns: f64) {
    let mut left = waits;
    let mut put = |times: f64, part: u64| {
        let bucket = wait_bucket((mean_ns * times * std::f64::consts::SQRT_2) as u64);
        buckets[bucket] = buckets[bucket].saturating_add(part as u32);
    };
    for (times, share) in OCTAVES {
        let part = ((waits as f64 * share) as u64).min(left);
        put(times, part);
        left -= part;
    }
    put(1.0 / 16.0, left);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wait_is_in_a_bucket_and_the_sums_are_kept() {
        let mut counts = Sched::default();
        let waits = Waits {
            count: 1000,
            sum_s: 2.0,
            square: 2.0,
            share: 0.5,
        };
        waits.add_to(&mut counts);
        assert_eq!(counts.buckets.iter().sum::<u32>(), 1000);
        assert_eq!((counts.waits, counts.wait_ns), (1000, 2_000_000_000));
        // Two milliseconds are 1,953 units of 1,024 ns.
        let mean_square = counts.wait_units_squared as f64 / 1000.0;
        assert!((mean_square / (2.0 * 1953.0 * 1953.0) - 1.0).abs() < 0.01);
        assert_eq!(counts.buckets[0], 500, "half of them only woke up");
        assert!(counts.buckets[wait_bucket(4_000_000)] > 100);
    }
}
