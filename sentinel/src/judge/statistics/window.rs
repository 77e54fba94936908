//! A sliding window of counts: a ring of time buckets, so that memory and work do not depend on how often it is fed.

/// Counts that can be summed.
pub(in crate::judge) trait Counts: Copy + Default {
    /// Adds another one's counts.
    fn add(&mut self, other: &Self);

    /// Whether nothing was counted. Where that is not told, everything is something: it only takes more room.
    fn is_nothing(&self) -> bool {
        false
    }
}

impl Counts for u64 {
    fn add(&mut self, other: &Self) {
        *self = self.saturating_add(*other);
    }

    fn is_nothing(&self) -> bool {
        *self == 0
    }
}

/// When a bucket was filled.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    end_ns: u64,
    measured_ns: u64,
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
    /// None before the first reading and after [`Self::release`].
    buckets: Option<Box<[Bucket; N]>>,
    /// What was counted in each; none while that is nothing.
    counts: Option<Box<[T; N]>>,
    /// Buckets in which something was counted, one bit each.
    filled: u16,
    first: u8,
    len: u8,
    length_ns: u64,
}

impl<T: Counts, const N: usize> Window<T, N> {
    /// An empty window of this length.
    #[must_use]
    pub(in crate::judge) fn new(length_ns: u64) -> Self {
        const { assert!(N > 0 && N <= u16::BITS as usize, "a bit for each bucket") };
        Self {
            buckets: None,
            counts: None,
            filled: 0,
            first: 0,
            len: 0,
            length_ns,
        }
    }

    /// Takes in a reading that ends at `end_ns` and covers `elapsed_ns` before it.
    pub(in crate::judge) fn push(&mut self, end_ns: u64, elapsed_ns: u64, counts: &T) {
        let bucket_ns = self.length_ns / N as u64;
        let last = self.len.checked_sub(1).map(|last| self.place(last));
        let bucket = last.zip(self.buckets.as_mut());
        let bucket = bucket.map(|(place, buckets)| (place, &mut buckets[place]));
        let place = match bucket.filter(|(_, bucket)| bucket.measured_ns + elapsed_ns <= bucket_ns) {
            Some((place, bucket)) => {
                bucket.end_ns = end_ns;
                bucket.measured_ns += elapsed_ns;
                place
            }
            None => self.open(Bucket {
                end_ns,
                measured_ns: elapsed_ns,
            }),
        };
        self.count(place, counts);
        self.expire(end_ns);
    }

    /// Forgets everything.
    pub(in crate::judge) fn clear(&mut self) {
        (self.len, self.filled) = (0, 0);
    }

    /// The same, and gives its memory back until the next reading.
    pub(in crate::judge) fn release(&mut self) {
        self.clear();
        (self.buckets, self.counts) = (None, None);
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
        for (place, bucket) in self.newest_first() {
            if sum.measured_ns >= length_ns {
                break;
            }
            let end_ns = *end_ns.get_or_insert(bucket.end_ns);
            sum.measured_ns += bucket.measured_ns;
            sum.span_ns = end_ns.saturating_sub(bucket.end_ns) + bucket.measured_ns;
            if let Some(counts) = self.counts.as_ref().filter(|_| self.is_filled(place)) {
                sum.counts.add(&counts[place]);
            }
        }
        sum
    }

    fn newest_first(&self) -> impl Iterator<Item = (usize, &Bucket)> {
        let buckets = self.buckets.as_ref().into_iter();
        buckets.flat_map(|buckets| {
            let places = (0..self.len).rev().map(|offset| self.place(offset));
            places.map(|place| (place, &buckets[place]))
        })
    }

    /// Where the bucket of this number is kept, from the oldest on.
    fn place(&self, offset: u8) -> usize {
        (usize::from(self.first) + usize::from(offset)) % N
    }

    const fn is_filled(&self, place: usize) -> bool {
        self.filled >> place & 1 == 1
    }

    fn open(&mut self, bucket: Bucket) -> usize {
        if usize::from(self.len) == N {
            self.drop_first();
        }
        let place = self.place(self.len);
        self.buckets.get_or_insert_with(|| Box::new([Bucket::default(); N]))[place] = bucket;
        self.len += 1;
        place
    }

    fn count(&mut self, place: usize, counts: &T) {
        if counts.is_nothing() {
            return;
        }
        let is_filled = self.is_filled(place);
        let all = self.counts.get_or_insert_with(|| Box::new([T::default(); N]));
        if is_filled {
            all[place].add(counts);
        } else {
            all[place] = *counts;
            self.filled |= 1 << place;
        }
    }

    /// Drops the buckets that end before the window begins; a tenth of slack keeps late ticks in.
    fn expire(&mut self, now_ns: u64) {
        let oldest_ns = now_ns.saturating_sub(self.length_ns - self.length_ns / 10);
        while self.len > 1
            && let Some(buckets) = &self.buckets
            && buckets[usize::from(self.first)].end_ns <= oldest_ns
        {
            self.drop_first();
        }
        if self.filled == 0 {
            self.counts = None;
        }
    }

    fn drop_first(&mut self) {
        let first = usize::from(self.first);
        self.filled &= !(1 << first);
        self.first = ((first + 1) % N) as u8;
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
    fn what_is_nothing_takes_no_room_and_counts_as_if_it_did() {
        let mut window = Window::<u64, 10>::new(2000 * MS);
        let mut push = |from: u64, readings: std::ops::Range<u64>, counts: u64| {
            readings.for_each(|step| window.push((from + step) * 100 * MS, 100 * MS, &counts));
            (
                window.sum().counts,
                window.latest(500 * MS).counts,
                window.counts.is_some(),
            )
        };
        assert_eq!(push(0, 1..41, 0), (0, 0, false));
        assert_eq!(push(40, 1..4, 5), (15, 15, true));
        assert_eq!(push(43, 1..8, 0), (15, 0, true));
        assert_eq!(
            push(50, 1..21, 0),
            (0, 0, false),
            "and it is given back when it is past"
        );
        assert_eq!(push(70, 1..2, 7), (7, 7, true), "nothing of before is in it");
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
