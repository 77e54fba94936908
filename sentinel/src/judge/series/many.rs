//! Many series by name, with one budget of false alarms for all of them.

use std::collections::HashMap;

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

/// The series of one input.
#[derive(Debug)]
pub struct Scores {
    per_week: f64,
    max_series: usize,
    index: HashMap<Box<str>, usize>,
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

    /// The series of a name; `None` when it is new.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
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
        self.index.insert(name.into(), index);
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
