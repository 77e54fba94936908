//! First and second derivative of a value over real time, by least squares over the last points.

/// Points kept.
const POINTS: usize = 8;
/// Least time between two points, seconds.
const STEP_S: f64 = 0.4;

/// The last points of a series.
#[derive(Clone, Debug, Default)]
pub(in crate::judge) struct Trajectory {
    times: [f64; POINTS],
    /// Room that is taken with the first value; `None`: all are zero.
    values: Option<Box<[f64; POINTS]>>,
    len: u8,
}

/// A slope and its standard error, both in unit per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::judge) struct Slope {
    /// Unit per second.
    pub(in crate::judge) per_s: f64,
    /// Standard error; 0 for a perfect line.
    pub(in crate::judge) error_per_s: f64,
}

impl Trajectory {
    /// Takes in a value at a time; what is not finite, or comes too soon after the last one, is left out.
    pub(in crate::judge) fn push(&mut self, at_ns: u64, value: f64) {
        let at_s = at_ns as f64 / 1e9;
        let mut last = usize::from(self.len);
        if !value.is_finite() || last > 0 && at_s - self.times[last - 1] < STEP_S {
            return;
        }
        if last == POINTS {
            self.times.copy_within(1.., 0);
            if let Some(values) = &mut self.values {
                values.copy_within(1.., 0);
            }
            last -= 1;
        }
        self.times[last] = at_s;
        if self.values.is_some() || value.to_bits() != 0 {
            self.values.get_or_insert_default()[last] = value;
        }
        self.len = last as u8 + 1;
    }

    /// Forgets everything.
    pub(in crate::judge) fn clear(&mut self) {
        self.len = 0;
    }

    /// Gives memory back that it needs only while the value is not zero.
    pub(in crate::judge) fn release(&mut self) {
        let len = usize::from(self.len);
        let moves = |values: &[f64; POINTS]| values[..len].iter().any(|value| value.to_bits() != 0);
        self.values = self.values.take().filter(|values| moves(values));
    }

    /// First derivative; `None` with fewer than three points.
    #[must_use]
    pub(in crate::judge) fn velocity(&self) -> Option<Slope> {
        slope(&self.points()[..usize::from(self.len)])
    }

    fn points(&self) -> [(f64, f64); POINTS] {
        std::array::from_fn(|index| {
            (
                self.times[index],
                self.values.as_ref().map_or(0.0, |values| values[index]),
            )
        })
    }

    /// Second derivative, unit per second squared: the change of slope from the older to the newer half. `None` with
    /// fewer than six points.
    #[must_use]
    pub(in crate::judge) fn acceleration_per_s2(&self) -> Option<f64> {
        let points = self.points();
        let points = &points[..usize::from(self.len)];
        if points.len() < 6 {
            return None;
        }
        let (older, newer) = points.split_at(points.len() / 2);
        let apart_s = mean(newer, |point| point.0) - mean(older, |point| point.0);
        let change = slope(newer)?.per_s - slope(older)?.per_s;
        (apart_s > 0.0).then(|| change / apart_s)
    }
}

fn mean(points: &[(f64, f64)], of: impl Fn(&(f64, f64)) -> f64) -> f64 {
    points.iter().map(of).sum::<f64>() / points.len() as f64
}

fn slope(points: &[(f64, f64)]) -> Option<Slope> {
    if points.len() < 3 {
        return None;
    }
    let (time, value) = (mean(points, |point| point.0), mean(points, |point| point.1));
    let spread: f64 = points.iter().map(|(t, _)| (t - time) * (t - time)).sum();
    if spread <= 0.0 {
        return None;
    }
    let per_s = points.iter().map(|(t, v)| (t - time) * (v - value)).sum::<f64>() / spread;
    let residue = |(t, v): &(f64, f64)| v - value - per_s * (t - time);
    let residues: f64 = points.iter().map(|point| residue(point) * residue(point)).sum();
    let error_per_s = (residues / (points.len() - 2) as f64 / spread).sqrt();
    Some(Slope { per_s, error_per_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(step_ms: u64, of: impl Fn(f64) -> f64) -> Trajectory {
        let mut trajectory = Trajectory::default();
        for step in 0..20 {
            let at_ns = step * step_ms * 1_000_000;
            trajectory.push(at_ns, of(at_ns as f64 / 1e9));
        }
        trajectory
    }

    #[test]
    fn zeros_take_no_room_and_are_points_like_others() {
        const NONE: Slope = Slope {
            per_s: 0.0,
            error_per_s: 0.0,
        };
        let mut still = sampled(500, |_| 0.0);
        assert!(still.values.is_none());
        assert_eq!(still.velocity(), Some(NONE));
        still.push(20_000_000_000, 8.0);
        assert!(still.velocity().unwrap().per_s > 0.1);
        still.release();
        assert!(still.values.is_some(), "it is still looked at");
        (21..40).for_each(|at_s| still.push(at_s * 1_000_000_000, 0.0));
        still.release();
        assert!(still.values.is_none());
        assert_eq!(still.velocity(), Some(NONE));
    }

    #[test]
    fn derivatives_are_per_second_whatever_the_step() {
        for step_ms in [500, 1000, 3000] {
            let line = sampled(step_ms, |t| 5.0 + 2.0 * t).velocity().unwrap();
            assert!((line.per_s - 2.0).abs() < 1e-9 && line.error_per_s < 1e-9, "{line:?}");
            let curve = sampled(step_ms, |t| 1.5 * t * t).acceleration_per_s2().unwrap();
            assert!((curve - 3.0).abs() < 1e-6, "{curve}");
        }
    }
}
