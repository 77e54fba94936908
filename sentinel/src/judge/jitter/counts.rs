//! What the scheduler sensor counted for one scope, and what it amounts to over a stretch of time. Pure arithmetic;
//! never says what is wrong.

use sentinel_common::histogram::{WAIT_BUCKETS, bucket_floor_ns};

use crate::{
    judge::{
        evidence::ratio,
        statistics::{
            dispersion::plain_variance,
            window::{Counts, Sum},
        },
    },
    sense::sample::Sched,
};

/// Milliseconds in the unit in which waits are squared.
const SQUARED_UNIT_MS: f64 = sentinel_common::sched::WAIT_UNIT_NS as f64 / 1e6;
/// Classes of waits that are told apart: below 0.5 ms, then one for each doubling, the last from 134 ms on.
const LENGTHS: usize = 10;
/// The bucket of the sensor's histogram that class 1 begins with.
const FIRST_BUCKET: usize = 10;
/// Waits needed to speak of the longest hundredth of them.
const TAIL_WAITS: f64 = 50.0;

/// Counts of the scheduler sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waits {
    waits: u64,
    wait_ns: u64,
    wait_units_squared: u64,
    on_cpu_ns: u64,
    voluntary: u64,
    involuntary: u64,
    by_length: [u32; LENGTHS],
}

impl From<&Sched> for Waits {
    fn from(sched: &Sched) -> Self {
        let mut by_length = [0_u32; LENGTHS];
        for (bucket, count) in sched.buckets.iter().enumerate() {
            let class = &mut by_length[class(bucket)];
            *class = class.saturating_add(*count);
        }
        Self {
            waits: sched.waits,
            wait_ns: sched.wait_ns,
            wait_units_squared: sched.wait_units_squared,
            on_cpu_ns: sched.on_cpu_ns,
            voluntary: sched.voluntary,
            involuntary: sched.involuntary,
            by_length,
        }
    }
}

const fn class(bucket: usize) -> usize {
    let class = (bucket + 1).saturating_sub(FIRST_BUCKET);
    if class < LENGTHS { class } else { LENGTHS - 1 }
}

impl Counts for Waits {
    fn add(&mut self, other: &Self) {
        self.waits = self.waits.saturating_add(other.waits);
        self.wait_ns = self.wait_ns.saturating_add(other.wait_ns);
        self.wait_units_squared = self.wait_units_squared.saturating_add(other.wait_units_squared);
        self.on_cpu_ns = self.on_cpu_ns.saturating_add(other.on_cpu_ns);
        self.voluntary = self.voluntary.saturating_add(other.voluntary);
        self.involuntary = self.involuntary.saturating_add(other.involuntary);
        for (sum, count) in self.by_length.iter_mut().zip(other.by_length) {
            *sum = sum.saturating_add(count);
        }
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Waits {
    /// Mean wait, milliseconds; `None` without waits.
    pub(super) fn mean_ms(&self) -> Option<f64> {
        ratio(self.wait_ns as f64 / 1e6, self.waits as f64)
    }

    /// Variance of single waits, milliseconds squared.
    pub(super) fn variance_ms2(&self) -> f64 {
        let squares = self.wait_units_squared as f64 * SQUARED_UNIT_MS * SQUARED_UNIT_MS;
        plain_variance(self.waits as f64, self.wait_ns as f64 / 1e6, squares)
    }

    /// The wait that one in a hundred exceeds, milliseconds, from the histogram: even within a class, and no more than
    /// 268 ms. `None` below fifty waits, or where there is no histogram.
    pub(super) fn tail_ms(&self) -> Option<f64> {
        let count: f64 = self.by_length.iter().map(|count| f64::from(*count)).sum();
        if count < TAIL_WAITS {
            return None;
        }
        let mut above = count / 100.0;
        for class in (0..LENGTHS).rev() {
            let here = f64::from(self.by_length[class]);
            if here >= above {
                let (low, high) = (floor_ms(class), floor_ms(class + 1));
                return Some(high - (high - low) * above / here);
            }
            above -= here;
        }
        None
    }
}

fn floor_ms(class: usize) -> f64 {
    let bucket = (class + FIRST_BUCKET - 1).min(WAIT_BUCKETS - 1);
    if class == 0 {
        0.0
    } else {
        bucket_floor_ns(bucket) as f64 / 1e6
    }
}

/// What a stretch of time shows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct View {
    /// Standard deviation of single waits, milliseconds.
    pub(super) plain_sigma_ms: f64,
    /// Mean wait, milliseconds; 0 without waits.
    pub(super) mean_wait_ms: f64,
    /// The longest hundredth of waits is above this, milliseconds.
    pub(super) tail_ms: Option<f64>,
    /// Waits per second.
    pub(super) waits_per_s: f64,
    /// Tasks that wait, on average.
    pub(super) waiting_tasks: f64,
    /// Tasks that run, on average.
    pub(super) running_tasks: f64,
    /// Waiting / (waiting + running); `None` when it does neither.
    pub(super) waiting_share: Option<f64>,
    /// Voluntary switches per second.
    pub(super) voluntary_per_s: f64,
    /// Involuntary switches per second.
    pub(super) involuntary_per_s: f64,
    /// Length, milliseconds.
    pub(super) window_ms: u64,
    /// Share of it that was measured.
    pub(super) coverage: f64,
}

impl View {
    /// `None` when nothing was measured.
    pub(super) fn of(sum: &Sum<Waits>) -> Option<Self> {
        let seconds = sum.seconds()?;
        let counts = &sum.counts;
        let (wait_s, on_cpu_s) = (counts.wait_ns as f64 / 1e9, counts.on_cpu_ns as f64 / 1e9);
        Some(Self {
            plain_sigma_ms: counts.variance_ms2().sqrt(),
            mean_wait_ms: counts.mean_ms().unwrap_or(0.0),
            tail_ms: counts.tail_ms(),
            waits_per_s: counts.waits as f64 / seconds,
            waiting_tasks: wait_s / seconds,
            running_tasks: on_cpu_s / seconds,
            waiting_share: ratio(wait_s, wait_s + on_cpu_s),
            voluntary_per_s: counts.voluntary as f64 / seconds,
            involuntary_per_s: counts.involuntary as f64 / seconds,
            window_ms: sum.span_ns / 1_000_000,
            coverage: sum.coverage(),
        })
    }

    /// Tasks that want a CPU, on average.
    pub(super) fn runnable_tasks(&self) -> f64 {
        self.waiting_tasks + self.running_tasks
    }

    /// Share of its switches that took the CPU away from a task that could have gone on.
    pub(super) fn preempted_share(&self) -> Option<f64> {
        ratio(self.involuntary_per_s, self.involuntary_per_s + self.voluntary_per_s)
    }

    /// Time on a CPU between two sleeps, milliseconds; infinite when nobody sleeps.
    pub(super) fn run_ms(&self) -> f64 {
        ratio(self.running_tasks * 1e3, self.voluntary_per_s).unwrap_or(f64::INFINITY)
    }

    /// Switches that took the CPU away, for each second on a CPU.
    pub(super) fn preemptions_per_cpu_s(&self) -> Option<f64> {
        ratio(self.involuntary_per_s, self.running_tasks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(buckets: &[(usize, u32)]) -> Waits {
        let mut sched = Sched::default();
        for (bucket, count) in buckets {
            sched.buckets[*bucket] = *count;
        }
        Waits::from(&sched)
    }

    #[test]
    fn the_tail_is_where_one_wait_in_a_hundred_is_longer() {
        // Bucket 13 holds [4.2, 8.4) ms, bucket 20 what is far beyond the last class.
        let tail = waits(&[(3, 980), (13, 20)]).tail_ms().unwrap();
        assert!((tail - 6.29).abs() < 0.01, "{tail}");
        let short = waits(&[(3, 1000)]).tail_ms().unwrap();
        assert!(short < 0.53, "{short}");
        let long = waits(&[(20, 1000)]).tail_ms().unwrap();
        assert!((134.0..=269.0).contains(&long), "{long}");
        assert_eq!(waits(&[(13, 49)]).tail_ms(), None);
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        let sum = Sum {
            measured_ns: 1_000_000_000,
            span_ns: 1_000_000_000,
            counts: Waits::default(),
        };
        let view = View::of(&sum).unwrap();
        assert_eq!(view.waiting_share, None);
        assert_eq!(view.preempted_share(), None);
        assert_eq!(view.preemptions_per_cpu_s(), None);
        assert!(View::of(&Sum::default()).is_none());
    }
}
