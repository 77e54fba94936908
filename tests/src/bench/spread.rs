//! Medians and how far the runs lie apart.

use std::fmt;

use serde::Serialize;

/// A median with its spread: half of all runs lie between `low` and `high`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// A quarter of the runs are at or below.
    pub low: f64,
    /// A quarter of the runs are at or above.
    pub high: f64,
    /// Runs.
    pub runs: usize,
}

impl Spread {
    /// Of these runs; `None` without any.
    #[must_use]
    pub fn of(runs: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = runs.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        // Between two runs by their distance, so that an even number has its middle.
        let at = |share: f64| {
            let place = share * last as f64;
            let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Some(Self {
            median: at(0.5),
            low: at(0.25),
            high: at(0.75),
            runs: sorted.len(),
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        write!(
            f,
            "{:.digits$} ({:.digits$} to {:.digits$})",
            self.median, self.low, self.high
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle_and_half_of_the_runs_around_it() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0, 100.0]).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (2.0, 3.0, 4.0));
        assert_eq!(Spread::of([1.0, 2.0]).unwrap().median, 1.5);
        assert!(Spread::of([]).is_none());
        assert_eq!(format!("{spread:.0}"), "3 (2 to 4)");
    }
}
