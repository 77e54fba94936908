//! How good a judge of series is, with one threshold for all of them: precision, recall, delay, area under the curve.

use super::Labelled;

/// A judged series.
#[derive(Clone, Debug)]
pub struct Judged<'a> {
    /// What is true.
    pub truth: &'a Labelled,
    /// What the judge said: a score for each point, 0 where it said nothing.
    pub scores: Vec<f32>,
}

/// Quality at one threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// The threshold.
    pub threshold: f32,
    /// Faults found, of all.
    pub recall: f64,
    /// Alarms that were right: found faults per found faults and false alarms. Alarms on points in a row are one.
    pub precision: f64,
    /// Points from a fault's beginning to its first alarm: the middle of those found.
    pub median_delay: f64,
    /// False alarms per 10,000 points.
    pub false_per_10k: f64,
}

impl Quality {
    /// Harmonic mean of precision and recall.
    #[must_use]
    pub fn f1(&self) -> f64 {
        let sum = self.precision + self.recall;
        if sum > 0.0 {
            2.0 * self.precision * self.recall / sum
        } else {
            0.0
        }
    }
}

/// At one threshold.
#[must_use]
pub fn at(judged: &[Judged<'_>], threshold: f32) -> Quality {
    let (mut faults, mut delays, mut false_alarms, mut points) = (0_usize, Vec::new(), 0_usize, 0_usize);
    for one in judged {
        let window = one.truth.window.clone().unwrap_or(0..0);
        points += one.scores.len() - window.len();
        let mut alarmed = false;
        let mut found = None;
        for (index, score) in one.scores.iter().enumerate() {
            let alarm = *score >= threshold && *score > 0.0;
            if window.contains(&index) {
                if alarm {
                    found.get_or_insert(index - window.start);
                }
                alarmed = false;
            } else {
                false_alarms += usize::from(alarm && !alarmed);
                alarmed = alarm;
            }
        }
        faults += usize::from(one.truth.window.is_some());
        delays.extend(found);
    }
    delays.sort_unstable();
    let found = delays.len();
    Quality {
        threshold,
        recall: found as f64 / faults.max(1) as f64,
        precision: if found == 0 {
            0.0
        } else {
            found as f64 / (found + false_alarms) as f64
        },
        median_delay: delays.get(found / 2).map_or(f64::NAN, |delay| *delay as f64),
        false_per_10k: false_alarms as f64 / points.max(1) as f64 * 1e4,
    }
}

/// At every hundredth of the score.
#[must_use]
pub fn curve(judged: &[Judged<'_>]) -> Vec<Quality> {
    (1..=100)
        .map(|hundredth| at(judged, hundredth as f32 / 100.0))
        .collect()
}

/// Area under precision over recall, by steps: the mean precision.
#[must_use]
pub fn area(curve: &[Quality]) -> f64 {
    let mut sorted: Vec<_> = curve
        .iter()
        .map(|quality| (quality.recall, quality.precision))
        .collect();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)));
    // From the highest recall down; the precision at a recall is the best at that recall or above.
    let (mut area, mut best) = (0.0, 0.0_f64);
    for (index, (recall, precision)) in sorted.iter().enumerate() {
        best = best.max(*precision);
        let next = sorted.get(index + 1).map_or(0.0, |following| following.0);
        area += (recall - next) * best;
    }
    area
}
