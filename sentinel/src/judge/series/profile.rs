//! What a series is used to at this time of the day, and of the week: the last three values of each slot. It looks only
//! back, and one odd day is outvoted by the two others.

/// Visits that a slot remembers.
const VISITS: usize = 3;
/// Slots of a day, five minutes each, and of a week, half an hour each.
const DAY_SLOTS: usize = 288;
const WEEK_SLOTS: usize = 336;
const DAY_S: f64 = 86_400.0;
const WEEK_S: f64 = 604_800.0;

/// One slot: the mean value of its last visits.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    values: [f32; VISITS],
    visits: u8,
    next: u8,
}

impl Slot {
    fn push(&mut self, value: f32) {
        self.values[self.next as usize] = value;
        self.next = (self.next + 1) % VISITS as u8;
        self.visits = (self.visits + 1).min(VISITS as u8);
    }

    /// Of three the middle one.
    fn median(&self) -> f32 {
        let [a, b, c] = self.values;
        a.max(b).min(a.min(b).max(c))
    }
}

/// What is expected at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// The middle one of the last three values at this time.
    pub(super) middle: f32,
    /// Lowest and highest of the last three values at this time and just before and after.
    pub(super) lowest: f32,
    /// See `lowest`.
    pub(super) highest: f32,
}

/// The slots of a period.
#[derive(Clone, Debug)]
struct Period<const N: usize> {
    slots: [Slot; N],
    slots_per_s: f64,
    open: usize,
    sum: f32,
    count: f32,
}

impl<const N: usize> Period<N> {
    const fn new(period_s: f64) -> Self {
        const EMPTY: Slot = Slot {
            values: [0.0; VISITS],
            visits: 0,
            next: 0,
        };
        Self {
            slots: [EMPTY; N],
            slots_per_s: N as f64 / period_s,
            open: 0,
            sum: 0.0,
            count: 0.0,
        }
    }

    /// The slot of a moment, seconds since the epoch. A microsecond of grace: moments on the edge belong to what begins.
    fn slot(&self, unix_s: f64) -> usize {
        let slot = ((unix_s + 1e-6) * self.slots_per_s).floor() as i64;
        slot.rem_euclid(N as i64) as usize
    }

    fn expected(&self, at: usize) -> Option<Expected> {
        let here = &self.slots[at];
        if (here.visits as usize) < VISITS {
            return None;
        }
        let (mut lowest, mut highest) = (f32::INFINITY, f32::NEG_INFINITY);
        for near in [at + N - 1, at, at + 1] {
            let near = &self.slots[near % N];
            if near.visits as usize == VISITS {
                for value in near.values {
                    lowest = lowest.min(value);
                    highest = highest.max(value);
                }
            }
        }
        Some(Expected {
            middle: here.median(),
            lowest,
            highest,
        })
    }

    fn learn(&mut self, at: usize, value: f32) {
        if at != self.open {
            if self.count > 0.0 {
                self.slots[self.open].push(self.sum / self.count);
            }
            (self.open, self.sum, self.count) = (at, 0.0, 0.0);
        }
        self.sum += value;
        self.count += 1.0;
    }
}

/// Day and week of a series.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    day: Period<DAY_SLOTS>,
    week: Period<WEEK_SLOTS>,
    day_error: f32,
    week_error: f32,
}

impl Profile {
    /// Of a series whose past is not known.
    pub(super) const fn new() -> Self {
        Self {
            day: Period::new(DAY_S),
            week: Period::new(WEEK_S),
            day_error: 0.0,
            week_error: 0.0,
        }
    }

    /// What is expected at `unix_s`, by the period that was right more closely so far; `None` below three days. Then
    /// takes in the value.
    pub(super) fn observe(&mut self, unix_s: f64, value: f32) -> Option<Expected> {
        const SHARE: f32 = 1.0 / 256.0;
        let (day_slot, week_slot) = (self.day.slot(unix_s), self.week.slot(unix_s));
        let (by_day, by_week) = (self.day.expected(day_slot), self.week.expected(week_slot));
        let week_is_better = self.week_error < self.day_error;
        if let (Some(day), Some(week)) = (by_day, by_week) {
            self.day_error += SHARE * ((value - day.middle).abs() - self.day_error);
            self.week_error += SHARE * ((value - week.middle).abs() - self.week_error);
        }
        self.day.learn(day_slot, value);
        self.week.learn(week_slot, value);
        if week_is_better { by_week.or(by_day) } else { by_day }
    }
}
