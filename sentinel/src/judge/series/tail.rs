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

/// Weights of one side of zero, and their table.
#[derive(Clone, Debug)]
struct Histogram {
    weights: [f32; BUCKETS],
    /// Decades at the lower edge of each bucket.
    decades: [f32; BUCKETS],
}

/// A decaying histogram and its table, or one for each side of zero: each reading counts for both, as one that is there
/// or as one that is not, so all but the weights is the same for the two.
#[derive(Clone, Debug)]
pub(super) struct Tail<const SIDES: usize = 1> {
    total: f32,
    /// Weight of the next reading; grows instead of all others shrinking.
    unit: f32,
    /// By how much: what `memory` makes of it.
    growth: f32,
    until_refresh: f32,
    /// What is believed of the tail: mean excess over a threshold, in buckets.
    prior_excess: f32,
    /// Readings so far, and after how many a reading's weight is down to `1/e`.
    seen: f32,
    memory: f32,
    /// True when what was learned early is worth less: it was learned from little.
    matures: bool,
    sides: [Histogram; SIDES],
}

impl Tail {
    /// Of decades; each is believed to be ten times as rare as the one below until it is seen.
    pub(super) const fn of_decades() -> Self {
        let mut tail = Self::new(PER_DECADE / LN_10);
        tail.memory = MATURES;
        tail.growth = growth(MATURES);
        tail.matures = true;
        tail
    }
}

impl<const SIDES: usize> Tail<SIDES> {
    /// Of magnitudes; their tail is believed to fall with this power until it is seen.
    pub(super) const fn power(exponent: f32) -> Self {
        Self::new(4.0 / (exponent * std::f32::consts::LN_2))
    }

    const fn new(prior_excess: f32) -> Self {
        const EMPTY: Histogram = Histogram {
            weights: [0.0; BUCKETS],
            decades: [0.0; BUCKETS],
        };
        Self {
            total: 0.0,
            unit: 1.0,
            growth: growth(MEMORY),
            until_refresh: READY,
            prior_excess,
            seen: 0.0,
            memory: MEMORY,
            matures: false,
            sides: [EMPTY; SIDES],
        }
    }

    /// `-log10` of the share of readings that were at this place of this side or above: 3 is one in a thousand. 0 until
    /// there are enough.
    #[inline]
    pub(super) fn decades(&self, side: usize, place: Place) -> f32 {
        let decades = &self.sides[side % SIDES].decades;
        let bucket = place.bucket as usize % BUCKETS;
        let here = decades[bucket];
        let next = decades[(bucket + 1).min(BUCKETS - 1)];
        here + place.within * (next - here)
    }

    /// Takes in a reading by its side and bucket, with a weight from 0 to 1; `None` is one that is on no side of zero.
    #[inline]
    pub(super) fn learn(&mut self, at: Option<(usize, u8)>, weight: f32) {
        self.unit *= self.growth;
        self.seen += 1.0;
        let weight = weight * self.unit;
        self.total += weight;
        if let Some((side, bucket)) = at {
            self.sides[side % SIDES].weights[bucket as usize % BUCKETS] += weight;
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
            let weights = self.sides.iter_mut().flat_map(|side| &mut side.weights);
            weights.for_each(|weight| *weight *= scale);
            self.total *= scale;
            self.unit = 1.0;
        }
        if self.matures {
            self.memory = (self.seen * MATURING).clamp(MATURES, MEMORY);
            self.growth = growth(self.memory);
        }
        let readings = self.total / self.unit;
        self.until_refresh = (readings / 8.0).clamp(8.0, STALE);
        if readings < READY {
            return;
        }
        for side in &mut self.sides {
            side.fit(self.unit, readings, self.prior_excess);
        }
    }
}

/// What the weight of a reading is multiplied by for the next one.
const fn growth(memory: f32) -> f32 {
    1.0 + 1.0 / memory
}

impl Histogram {
    /// Makes the table anew. Bucket by bucket without a branch, so that the compiler takes several at a time; only sums
    /// and the running maximum go one by one, in an order that does not change.
    fn fit(&mut self, unit: f32, readings: f32, prior_excess: f32) {
        let wanted = COUNTED.max(TAIL_SHARE * readings);
        let most = 2.0 * log10(readings);
        let mut here = self.weights;
        here.iter_mut().for_each(|weight| *weight /= unit);
        // What is above all readings adds nothing.
        let used = here.iter().rposition(|here| *here > 0.0).map_or(0, |last| last + 1);
        // Readings in a bucket and above.
        let mut counted = [0.0; BUCKETS];
        let mut sum = 0.0;
        for (counted, here) in counted[..used].iter_mut().zip(&here[..used]).rev() {
            sum += here;
            *counted = sum;
        }
        let threshold = counted.iter().rposition(|counted| *counted >= wanted).unwrap_or(0);
        let above = counted[threshold];
        let excess: f32 = here[threshold..used.max(threshold)]
            .iter()
            .enumerate()
            .map(|(bucket, here)| here * (bucket as f32 + 0.5))
            .sum();
        let mean_excess = (excess + PRIOR_READINGS * prior_excess) / (above + PRIOR_READINGS);
        let at_threshold = -log10((above.max(0.5) / readings).min(1.0));
        let for_decade = mean_excess * LN_10;
        // 32 bits convert to a float several at a time, 64 do not.
        for ((decades, counted), bucket) in self.decades.iter_mut().zip(&counted).zip(0_i32..) {
            let by_tail = at_threshold + (bucket - threshold as i32) as f32 / for_decade;
            let by_count = -log10(((counted + 1.0) / readings).min(1.0));
            let by_share = -log10((counted / readings).min(1.0));
            // Less than wanted lies at the threshold itself only if all buckets together hold less.
            let reading = if *counted < wanted {
                by_tail.max(by_count)
            } else {
                by_share
            };
            *decades = if reading < ROUNDING { 0.0 } else { reading.min(most) };
        }
        // Counting and fitting meet at the threshold; a higher magnitude is never less rare.
        let mut highest = 0.0;
        for decades in &mut self.decades {
            highest = if *decades > highest { *decades } else { highest };
            *decades = highest;
        }
    }
}

/// Decimal logarithm of a positive number to four digits: the exponent, and a polynomial of the rest.
#[inline]
fn log10(value: f32) -> f32 {
    let bits = value.max(f32::MIN_POSITIVE).to_bits();
    let exponent = (bits >> 23) as f32 - 127.0;
    let t = f32::from_bits((bits & 0x7f_ffff) | 0x3f80_0000) - 1.0;
    // log2(1 + t) on [0, 1], exact at both ends.
    let rest = t * (1.441_814 + t * (-0.708_870 + t * (0.417_413 + t * (-0.193_547 + t * 0.043_190))));
    (exponent + rest) * std::f32::consts::LOG10_2
}
