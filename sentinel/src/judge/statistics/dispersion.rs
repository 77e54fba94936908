//! How much a series jumps: trimmed successive differences.

/// Differences kept.
const KEPT: usize = 8;

/// Sigma from successive differences, with the largest ones left out.
///
/// J. von Neumann et al., "The mean square successive difference" (1941): `sigma² = mean((x[i+1] - x[i])²) / 2`. Unlike
/// the plain variance it does not take a slow change of level for noise; without the largest fifth of differences a
/// single step does not count either. It is blind to steady collapse, which is why level and waiting are judged too.
#[derive(Clone, Debug, Default)]
pub(in crate::judge) struct Successive {
    /// Room that is taken with the first difference; `None`: all are zero.
    squares: Option<Box<[f64; KEPT]>>,
    count: usize,
    last: Option<f64>,
}

impl Successive {
    /// Takes in the next value; what is not finite is refused.
    pub(in crate::judge) fn push(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        if let Some(last) = self.last {
            let square = (value - last) * (value - last);
            if self.squares.is_some() || square.to_bits() != 0 {
                self.squares.get_or_insert_default()[self.count % KEPT] = square;
            }
            self.count += 1;
        }
        self.last = Some(value);
    }

    /// Gives memory back that it needs only while the series jumps.
    pub(in crate::judge) fn release(&mut self) {
        let jumps = |squares: &[f64; KEPT]| squares.iter().any(|square| square.to_bits() != 0);
        self.squares = self.squares.take().filter(|squares| jumps(squares));
    }

    /// Variance in the square of the series' unit; 0 with fewer than three differences.
    #[must_use]
    pub(in crate::judge) fn variance(&self) -> f64 {
        let len = self.count.min(KEPT);
        if len < 3 {
            return 0.0;
        }
        let Some(squares) = &self.squares else { return 0.0 };
        let mut sorted = **squares;
        let sorted = &mut sorted[..len];
        sorted.sort_unstable_by(f64::total_cmp);
        let kept = len - len.div_ceil(5);
        sorted[..kept].iter().sum::<f64>() / kept as f64 / 2.0
    }
}

/// Variance of single values from their count, sum and sum of squares; 0 with fewer than two.
#[must_use]
pub(in crate::judge) fn plain_variance(count: f64, sum: f64, sum_of_squares: f64) -> f64 {
    if count < 2.0 {
        return 0.0;
    }
    let mean = sum / count;
    (sum_of_squares / count - mean * mean).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variance(values: impl IntoIterator<Item = f64>) -> f64 {
        let mut successive = Successive::default();
        values.into_iter().for_each(|value| successive.push(value));
        successive.variance()
    }

    #[test]
    fn a_single_step_is_not_dispersion_and_alternation_is() {
        assert!(variance([1.0, 1.0, 1.0, 1.0, 9.0, 9.0, 9.0, 9.0]) < 1e-12);
        assert!(variance([1.0, 9.0, 1.0, 9.0, 1.0, 9.0, 1.0, 9.0]) > 10.0);
    }

    #[test]
    fn plain_variance_of_a_known_series() {
        assert!((plain_variance(4.0, 10.0, 30.0) - 1.25).abs() < 1e-12);
        assert_eq!(plain_variance(1.0, 5.0, 25.0), 0.0);
    }
}
