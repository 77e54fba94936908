//! Figures over runs: what stands at the middle and at the far end.

/// Measurements of one kind; a run without one (it did not come) counts as longer than any other.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Sorted.
    values: Vec<f64>,
}

impl Figures {
    /// Of these runs.
    #[must_use]
    pub fn of(runs: impl IntoIterator<Item = Option<f64>>) -> Self {
        let mut values: Vec<f64> = runs.into_iter().map(|value| value.unwrap_or(f64::INFINITY)).collect();
        values.sort_by(f64::total_cmp);
        Self { values }
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// The value that this share of runs does not exceed (nearest rank: one that was really measured); `None` without
    /// runs.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = (share * self.values.len() as f64).ceil() as usize;
        self.values.get(rank.clamp(1, self.values.len().max(1)) - 1).copied()
    }

    /// Middle, far end and worst, as cells of a table.
    #[must_use]
    pub fn cells(&self, unit: &str) -> Vec<String> {
        [0.5, 0.95, 0.99, 1.0]
            .iter()
            .map(|share| cell(self.quantile(*share), unit))
            .collect()
    }

    /// Heads of [`Figures::cells`].
    pub const HEADS: [&'static str; 4] = ["median", "p95", "p99", "max"];
}

/// A figure for a reader: `-` when there is none, `never` for what did not come.
#[must_use]
pub fn cell(value: Option<f64>, unit: &str) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.is_infinite() => "never".to_owned(),
        Some(value) => format!("{value:.2}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_measured_values_and_a_miss_is_the_worst() {
        let figures = Figures::of((1..=99).map(|value| Some(f64::from(value))).chain([None]));
        assert_eq!(figures.quantile(0.5), Some(50.0));
        assert_eq!(figures.quantile(0.95), Some(95.0));
        assert_eq!(figures.quantile(0.99), Some(99.0));
        assert_eq!(cell(figures.quantile(1.0), " s"), "never");
        assert_eq!(Figures::default().quantile(0.5), None);
    }
}
