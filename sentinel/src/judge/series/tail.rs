//! How rarely was a magnitude as high as this? A decaying log histogram whose answers are kept in a table, so that a
//! reading costs one look-up and one addition.
//!
//! It assumes no distribution. Beyond what was seen often enough to be counted the tail goes on as a power law. It never
//! allocates, and calls no function of the platform: the same readings give the same answers everywhere.

/// Buckets, four for each doubling.
const BUCKETS: usize = 64;
/// The lowest bucket begins at two to the power of minus this.
const LOWEST_OCTAVE: u32 = 4;
/// What is lower counts as this low, what is higher as this high.
const LOWEST: f32 = 0.0625;
const HIGHEST: f32 = 4000.0;
/// Buckets for a decade, where decades are counted.
const PER_DECADE: f32 = 5.0;
/// Readings that have to lie above a magnitude for their count alone to tell.
const COUNTED: f32 = 10.0;
/// Share of readings the tail is fitted to.
const TAIL_SHARE: f32 = 0.02;
/// For how many readings what is believed of the tail counts.
const PRIOR_READINGS: f32 = 8.0;
/// Readings before it says anything.
const READY: f32 = 24.0;
/// Readings after which a reading's weight is down to `1/e`.
const MEMORY: f32 = 6000.0;
/// Fewer decades than these are the rounding of sums.
const ROUNDING: f32 = 1e-3;
/// Where early readings are worth less: the memory is this share of all readings, and no less than so many.
const MATURING: f32 = 1.0;
const MATURES: f32 = 300.0;
/// Weights are scaled back when a new reading weighs this much.
const RESCALE: f32 = 1e6;
/// The table is made anew after so many readings at the most.
const STALE: f32 = 192.0;
const LN_10: f32 = std::f32::consts::LN_10;

/// A place among the buckets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    bucket: u32,
    /// Fraction inside the bucket.
    within: f32,
}

impl Place {
    /// The bucket.
    #[inline]
    pub(super) const fn bucket(self) -> u8 {
        self.bucket as u8
    }

    /// Of a magnitude above zero, from the bits of the number: its exponent and two digits more.
    #[inline]
    pub(super) fn of(magnitude: f32) -> Self {
        const FIRST: u32 = (127 - LOWEST_OCTAVE) << 2;
        let bits = magnitude.clamp(LOWEST, HIGHEST).to_bits();
        Self {
            bucket: ((bits >> 21) - FIRST).min(BUCKETS as u32 - 1),
            within: (bits & 0x1f_ffff) as f32 * (1.0 / 2_097_152.0),
        }
    }

    /// Of a number of decades, which are logarithms already.
    #[inline]
    pub(super) fn of_decades(decades: f32) -> Self {
        let place = (decades * PER_DECADE).clamp(0.0, BUCKETS as f32 - 1.0);
        Self {
            bucket: place as u32,
            within: place.fract(),
        }
    }
}

/// A decaying histogram and its table.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    weights: [f32; BUCKETS],
    /// Decades at the lower edge of each bucket.
    decades: [f32; BUCKETS],
    total: f32,
    /// Weight of the next reading; grows instead of all others shrinking.
    unit: f32,
    until_refresh: f32,
    /// What is believed of the tail: mean excess over a threshold, in buckets.
    prior_excess: f32,
    /// Readings so far, and after how many a reading's weight is down to `1/e`.
    seen: f32,
    memory: f32,
    /// True when what was learned early is worth less: it was learned from little.
    matures: bool,
}

impl Tail {
    /// Of magnitudes; their tail is believed to fall with this power until it is seen.
    pub(super) const fn power(exponent: f32) -> Self {
        Self::new(4.0 / (exponent * std::f32::consts::LN_2))
    }

    /// Of decades; each is believed to be ten times as rare as the one below until it is seen.
    pub(super) const fn of_decades() -> Self {
        let mut tail = Self::new(PER_DECADE / LN_10);
        (tail.memory, tail.matures) = (MATURES, true);
        tail
    }

    const fn new(prior_excess: f32) -> Self {
        Self {
            weights: [0.0; BUCKETS],
            decades: [0.0; BUCKETS],
            total: 0.0,
            unit: 1.0,
            until_refresh: READY,
            prior_excess,
            seen: 0.0,
            memory: MEMORY,
            matures: false,
        }
    }

    /// `-log10` of the share of readings that were at this place or above: 3 is one in a thousand. 0 until there are
    /// enough.
    #[inline]
    pub(super) fn decades(&self, place: Place) -> f32 {
        let bucket = place.bucket as usize;
        let here = self.decades[bucket];
        let next = self.decades[(bucket + 1).min(BUCKETS - 1)];
        here + place.within * (next - here)
    }

    /// Takes in a reading by its bucket, with a weight from 0 to 1; `None` is one that is not on this side of zero at all.
    #[inline]
    pub(super) fn learn(&mut self, bucket: Option<u8>, weight: f32) {
        self.unit *= 1.0 + 1.0 / self.memory;
        self.seen += 1.0;
        let weight = weight * self.unit;
        self.total += weight;
        if let Some(bucket) = bucket {
            self.weights[bucket as usize % BUCKETS] += weight;
        }
        self.until_refresh -= 1.0;
        if self.until_refresh <= 0.0 {
            self.refresh();
        }
    }

    #[cold]
    fn refresh(&mut self) {
        if self.unit > RESCALE {
            let scale = 1.0 / self.unit;
            self.weights.iter_mut().for_each(|weight| *weight *= scale);
            self.total *= scale;
            self.unit = 1.0;
        }
        if self.matures {
            self.memory = (self.seen * MATURING).clamp(MATURES, MEMORY);
        }
        let readings = self.total / self.unit;
        self.until_refresh = (readings / 8.0).clamp(8.0, STALE);
        if readings < READY {
            return;
        }
        let wanted = COUNTED.max(TAIL_SHARE * readings);
        let most = 2.0 * log10(readings);
        let (mut above, mut threshold) = (0.0, BUCKETS);
        while threshold > 0 && above < wanted {
            threshold -= 1;
            above += self.weights[threshold] / self.unit;
        }
        let excess: f32 = (threshold..BUCKETS)
            .map(|bucket| self.weights[bucket] / self.unit * ((bucket - threshold) as f32 + 0.5))
            .sum();
        let mean_excess = (excess + PRIOR_READINGS * self.prior_excess) / (above + PRIOR_READINGS);
        let at_threshold = -log10((above.max(0.5) / readings).min(1.0));
        let mut counted = 0.0;
        for bucket in (0..BUCKETS).rev() {
            counted += self.weights[bucket] / self.unit;
            let by_count = -log10(((counted + 1.0) / readings).min(1.0));
            let decades = if bucket >= threshold && counted < wanted {
                let by_tail = at_threshold + (bucket - threshold) as f32 / (mean_excess * LN_10);
                by_tail.max(by_count)
            } else {
                -log10((counted / readings).min(1.0))
            };
            self.decades[bucket] = if decades < ROUNDING { 0.0 } else { decades.min(most) };
        }
        // Counting and fitting meet at the threshold; a higher magnitude is never less rare.
        for bucket in 1..BUCKETS {
            self.decades[bucket] = self.decades[bucket].max(self.decades[bucket - 1]);
        }
    }
}

/// Decimal logarithm of a positive number to four digits: the exponent, and a polynomial of the rest.
fn log10(value: f32) -> f32 {
    let bits = value.max(f32::MIN_POSITIVE).to_bits();
    let exponent = (bits >> 23) as f32 - 127.0;
    let t = f32::from_bits((bits & 0x7f_ffff) | 0x3f80_0000) - 1.0;
    // log2(1 + t) on [0, 1], exact at both ends.
    let rest = t * (1.441_814 + t * (-0.708_870 + t * (0.417_413 + t * (-0.193_547 + t * 0.043_190))));
    (exponent + rest) * std::f32::consts::LOG10_2
}
