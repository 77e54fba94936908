//! A sliding window of counts: a ring of time buckets, so that memory and work do not depend on how often it is fed.

/// Counts that can be summed.
pub(in crate::judge) trait Counts: Copy + Default {
    /// Adds another one's counts.
    fn add(&mut self, other: &Self);
}

impl Counts for u64 {
    fn add(&mut self, other: &Self) {
        *self = self.saturating_add(*other);
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket<T> {
    end_ns: u64,
    measured_ns: u64,
    counts: T,
}

/// What was counted over some time.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::judge) struct Sum<T> {
    /// Time that was measured, nanoseconds; 0 when there is nothing.
    pub(in crate::judge) measured_ns: u64,
    /// Time from the beginning of the first reading to the end of the last, nanoseconds.
    pub(in crate::judge) span_ns: u64,
    /// The counts.
    pub(in crate::judge) counts: T,
}

impl<T> Sum<T> {
    /// Measured time in seconds; `None` when nothing was measured.
    #[must_use]
    pub(in crate::judge) fn seconds(&self) -> Option<f64> {
        (self.measured_ns > 0).then(|| self.measured_ns as f64 / 1e9)
    }

    /// Share of the span that was measured, 0 to 1; 0 when there is nothing.
    #[must_use]
    pub(in crate::judge) fn coverage(&self) -> f64 {
        if self.span_ns == 0 {
            return 0.0;
        }
        (self.measured_ns as f64 / self.span_ns as f64).min(1.0)
    }
}

/// The last `length_ns` of counts in at most `N` buckets. Readings shorter than a bucket are merged; a reading longer
/// than the window is a window of its own.
#[derive(Clone, Debug)]
pub(in crate::judge) struct Window<T, const N: usize> {
    /// `N`, or none before the first reading and after [`Self::release`].
    buckets: Vec<Bucket<T>>,
    first: usize,
    len: usize,
    length_ns: u64,
}

impl<T: Counts, const N: usize> Window<T, N> {
    /// An empty window of this length.
    #[must_use]
    pub(in crate::judge) fn new(length_ns: u64) -> Self {
        Self {
            buckets: Vec::new(),
            first: 0,
            len: 0,
            length_ns,
        }
    }

    /// Takes in a reading that ends at `end_ns` and covers `elapsed_ns` before it.
    pub(in crate::judge) fn push(&mut self, end_ns: u64, elapsed_ns: u64, counts: &T) {
        let bucket_ns = self.length_ns / N as u64;
        if let Some(last) = self.last_mut()
            && last.measured_ns + elapsed_ns <= bucket_ns
        {
            last.end_ns = end_ns;
            last.measured_ns += elapsed_ns;
            last.counts.add(counts);
        } else {
            self.open(Bucket {
                end_ns,
                measured_ns: elapsed_ns,
                counts: *counts,
            });
        }
        self.expire(end_ns);
    }

    /// Forgets everything.
    pub(in crate::judge) fn clear(&mut self) {
        self.len = 0;
    }

    /// The same, and gives its memory back until the next reading.
    pub(in crate::judge) fn release(&mut self) {
        self.clear();
        self.buckets = Vec::new();
    }

    /// All that is in the window.
    #[must_use]
    pub(in crate::judge) fn sum(&self) -> Sum<T> {
        self.latest(self.length_ns)
    }

    /// The latest readings that together cover at least `length_ns`, or all.
    #[must_use]
    pub(in crate::judge) fn latest(&self, length_ns: u64) -> Sum<T> {
        let mut sum = Sum::<T>::default();
        let mut end_ns = None;
        for bucket in self.newest_first() {
            if sum.measured_ns >= length_ns {
                break;
            }
            let end_ns = *end_ns.get_or_insert(bucket.end_ns);
            sum.measured_ns += bucket.measured_ns;
            sum.span_ns = end_ns.saturating_sub(bucket.end_ns) + bucket.measured_ns;
            sum.counts.add(&bucket.counts);
        }
        sum
    }

    fn newest_first(&self) -> impl Iterator<Item = &Bucket<T>> {
        (0..self.len)
            .rev()
            .map(|offset| &self.buckets[(self.first + offset) % N])
    }

    fn last_mut(&mut self) -> Option<&mut Bucket<T>> {
        let last = self.len.checked_sub(1)?;
        Some(&mut self.buckets[(self.first + last) % N])
    }

    fn open(&mut self, bucket: Bucket<T>) {
        if self.buckets.is_empty() {
            self.buckets = vec![Bucket::default(); N];
        }
        if self.len == N {
            self.drop_first();
        }
        self.buckets[(self.first + self.len) % N] = bucket;
        self.len += 1;
    }

    /// Drops the buckets that end before the window begins; a tenth of slack keeps late ticks in.
    fn expire(&mut self, now_ns: u64) {
        let oldest_ns = now_ns.saturating_sub(self.length_ns - self.length_ns / 10);
        while self.len > 1 && self.buckets[self.first].end_ns <= oldest_ns {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        self.first = (self.first + 1) % N;
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn filled(step_ms: u64, steps: u64) -> Window<u64, 10> {
        let mut window = Window::new(2000 * MS);
        for step in 1..=steps {
            window.push(step * step_ms * MS, step_ms * MS, &step_ms);
        }
        window
    }

    #[test]
    fn the_rate_over_the_window_does_not_depend_on_how_often_it_is_fed() {
        for step_ms in [20, 50, 100, 200, 500, 1000, 2000, 5000] {
            let sum = filled(step_ms, 100).sum();
            let rate = sum.counts as f64 / sum.seconds().unwrap();
            assert!((rate - 1000.0).abs() < 1e-6, "{step_ms} ms: {rate}");
            assert!((sum.coverage() - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn it_holds_about_its_length_and_forgets_what_is_older() {
        let sum = filled(100, 1000).sum();
        assert!(
            (1800 * MS..=2200 * MS).contains(&sum.measured_ns),
            "{}",
            sum.measured_ns
        );
        assert_eq!(
            filled(100, 1000).latest(500 * MS).measured_ns,
            600 * MS,
            "whole buckets of 200 ms"
        );
    }

    #[test]
    fn a_hole_shows_as_coverage() {
        let mut window = Window::<u64, 10>::new(2000 * MS);
        window.push(1000 * MS, 500 * MS, &1);
        window.push(2000 * MS, 500 * MS, &1);
        assert!((window.sum().coverage() - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(Window::<u64, 10>::new(MS).sum().seconds(), None);
    }
}
