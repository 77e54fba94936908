//! What was seen lately and is not learned yet. A fault that creeps up would otherwise be compared with itself: each of
//! its points with the one before.

/// Views whose places are kept: the signed ones, flatness, bursts, and all together.
pub(super) const PLACES: usize = 11;
/// Points a reading waits at the most.
const DELAY: usize = 128;
/// A quarter of what is known waits, while little is known.
const EARLY: usize = 4;

/// The places of one point in the histograms of all views.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trace {
    /// See [`Trace::side`]; 0 is a view that saw nothing.
    places: [u8; PLACES],
    /// Weight, in 255ths.
    weight: u8,
}

/// Above, and below.
pub(super) const UP: usize = 0;
pub(super) const DOWN: usize = 1;

/// Where a view saw a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The view has not enough past.
    Unseen,
    /// No distance at all.
    Zero,
    /// On this side, [`UP`] or [`DOWN`], in this bucket.
    At(usize, u8),
}

impl Trace {
    /// How much it counts, 0 to 1.
    pub(super) fn weigh(&mut self, weight: f32) {
        self.weight = (weight * 255.0) as u8;
    }

    #[inline]
    pub(super) fn set(&mut self, view: usize, side: Side) {
        self.places[view] = match side {
            Side::Unseen => 0,
            Side::Zero => 1,
            Side::At(side, bucket) => (0x40 << side) | bucket & 0x3f,
        };
    }

    #[inline]
    pub(super) fn side(&self, view: usize) -> Side {
        let place = self.places[view];
        match place >> 6 {
            0 if place == 0 => Side::Unseen,
            0 => Side::Zero,
            side => Side::At(side as usize - 1, place & 0x3f),
        }
    }

    pub(super) fn weight(&self) -> f32 {
        f32::from(self.weight) / 255.0
    }
}

/// The last points.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    ring: [Trace; DELAY],
    first: usize,
    len: usize,
    seen: usize,
}

impl Waiting {
    pub(super) const fn new() -> Self {
        const EMPTY: Trace = Trace {
            places: [0; PLACES],
            weight: 0,
        };
        Self {
            ring: [EMPTY; DELAY],
            first: 0,
            len: 0,
            seen: 0,
        }
    }

    /// Takes in a point; the one that has waited long enough, if there is one.
    pub(super) fn push(&mut self, trace: Trace) -> Option<Trace> {
        self.seen += 1;
        let delay = DELAY.min(self.seen / EARLY + 1);
        let due = (self.len >= delay).then(|| {
            let due = self.ring[self.first];
            self.first = (self.first + 1) % DELAY;
            self.len -= 1;
            due
        });
        self.ring[(self.first + self.len) % DELAY] = trace;
        self.len += 1;
        due
    }
}
