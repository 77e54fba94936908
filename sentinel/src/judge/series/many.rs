//! Many series by name, with one budget of false alarms for all of them.

use std::{collections::HashMap, sync::Arc};

use super::{Budget, Series};
use crate::judge::verdict::Level;

/// A series' threshold is worked out again after so many of its points: its cadence may have changed.
const REVIEW: u32 = 64;

/// What is said about a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// See [`super::Scored`].
    pub score: Option<f32>,
    /// Level under the budget.
    pub level: Level,
    /// True when its time is not after that of the point before: it was not judged.
    pub late: bool,
}

#[derive(Debug)]
struct Entry {
    series: Series,
    budget: Budget,
    /// Points until the budget is reviewed, and the number of series it was made for.
    left: u32,
    among: usize,
}

/// A name, and the series whose point came after the last one of this.
#[derive(Debug)]
struct Known {
    name: Arc<str>,
    next: usize,
}

/// The series of one input.
#[derive(Debug)]
pub struct Scores {
    per_week: f64,
    max_series: usize,
    index: HashMap<Arc<str>, usize>,
    known: Vec<Known>,
    /// The series that was asked for last.
    last: usize,
    entries: Vec<Box<Entry>>,
}

impl Scores {
    /// None yet; at most so many. The operator accepts `per_week` false alarms a week, all series together.
    #[must_use]
    pub fn new(per_week: f64, max_series: usize) -> Self {
        Self {
            per_week,
            max_series,
            index: HashMap::new(),
            known: Vec::new(),
            last: 0,
            entries: Vec::new(),
        }
    }

    /// Series so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True without any series.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The series of a name; `None` when it is new. Points mostly come in the order they came in before, so the series
    /// that came next the last time is tried first.
    pub fn find(&mut self, name: &str) -> Option<usize> {
        let next = self.known.get(self.last)?.next;
        let index = match self.known.get(next) {
            Some(known) if *known.name == *name => next,
            _ => *self.index.get(name)?,
        };
        self.come(index);
        Some(index)
    }

    fn come(&mut self, index: usize) {
        if let Some(before) = self.known.get_mut(self.last) {
            before.next = index;
        }
        self.last = index;
    }

    /// A new series; `None` when there are too many.
    pub fn add(&mut self, name: &str) -> Option<usize> {
        let index = self.entries.len();
        if index >= self.max_series {
            return None;
        }
        self.entries.push(Box::new(Entry {
            series: Series::new(),
            budget: Budget::new(self.per_week, 1.0, 1),
            left: 0,
            among: 0,
        }));
        let name: Arc<str> = name.into();
        self.index.insert(Arc::clone(&name), index);
        self.known.push(Known { name, next: 0 });
        self.come(index);
        Some(index)
    }

    /// Judges a point of a series; `None` is a value that is missing.
    pub fn observe(&mut self, index: usize, unix_s: f64, value: Option<f64>) -> Judged {
        let among = self.entries.len();
        let unknown = |late: bool| Judged {
            score: None,
            level: Level::Unknown,
            late,
        };
        let Some(entry) = self.entries.get_mut(index) else {
            return unknown(false);
        };
        if !entry.series.cadence().accepts(unix_s) {
            return unknown(true);
        }
        let Some(value) = value else {
            entry.series.miss(unix_s);
            return unknown(false);
        };
        let scored = entry.series.observe(unix_s, value);
        if entry.left == 0 || entry.among != among {
            let points = entry.series.cadence().per_week().unwrap_or(1.0);
            entry.budget = Budget::new(self.per_week, points, among);
            (entry.left, entry.among) = (REVIEW, among);
        }
        entry.left -= 1;
        Judged {
            score: scored.score,
            level: scored.level(&entry.budget),
            late: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_series_in_whatever_order_points_come() {
        let mut scores = Scores::new(1.0, 100);
        let name = |number: usize| format!("s{number}");
        assert_eq!(scores.find("s0"), None);
        for number in 0..5 {
            assert_eq!(scores.find(&name(number)), None);
            assert_eq!(scores.add(&name(number)), Some(number));
        }
        // In turn, one after the other, and without any order.
        let turns = (0..50).map(|point| point % 5);
        let blocks = (0..50).map(|point| point / 10);
        let mixed = (0..50).map(|point| point * point * 7 % 11 % 5);
        for number in turns.chain(blocks).chain(mixed) {
            assert_eq!(scores.find(&name(number)), Some(number));
            assert_eq!(scores.find("other"), None);
        }
    }
}
