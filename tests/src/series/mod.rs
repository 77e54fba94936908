//! Generated metric series, ordinary and with faults whose windows are known, and how well a judge finds them.
//!
//! Everything is seeded: the same seed gives the same series on every machine.

pub mod faults;
pub mod normal;
pub mod quality;

use std::ops::Range;

use self::{faults::Fault, normal::Kind};
use crate::corpus::noise::Noise;

/// A series of which it is known what is wrong with it, and when.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// What it does while nothing is wrong.
    pub kind: Kind,
    /// What is wrong; `None` for a healthy one.
    pub fault: Option<Fault>,
    /// Seconds between points; the first point is at 0.
    pub step_s: f64,
    /// Its values.
    pub values: Vec<f64>,
    /// Points at which an alarm is right.
    pub window: Option<Range<usize>>,
}

/// Points of a series.
pub const POINTS: usize = 4032;
/// Points an alarm may come after the beginning of a fault: as long as the fault lasts.
pub const LASTS: usize = 200;

/// A healthy series.
#[must_use]
pub fn healthy(kind: Kind, seed: u64) -> Labelled {
    let mut noise = Noise::new(&format!("{kind:?}"), seed);
    Labelled {
        kind,
        fault: None,
        step_s: kind.step_s(),
        values: kind.generate(POINTS, &mut noise),
        window: None,
    }
}

/// A series with a fault somewhere after its first third; `None` where the kind cannot show it.
#[must_use]
pub fn faulty(kind: Kind, fault: Fault, seed: u64) -> Option<Labelled> {
    let mut noise = Noise::new(&format!("{kind:?} {fault:?}"), seed);
    let mut values = kind.generate(POINTS, &mut noise);
    let onset = noise.between(POINTS as f64 * 0.4, POINTS as f64 * 0.9) as usize;
    fault
        .inject(kind, &mut values, onset, LASTS, &mut noise)
        .then(|| Labelled {
            kind,
            fault: Some(fault),
            step_s: kind.step_s(),
            values,
            window: Some(onset..onset + LASTS),
        })
}

/// Every kind with every fault it can show, and as many healthy ones.
#[must_use]
pub fn corpus(seeds: Range<u64>) -> Vec<Labelled> {
    let mut all = Vec::new();
    for seed in seeds {
        for kind in Kind::ALL {
            let faulty: Vec<_> = Fault::ALL
                .iter()
                .filter_map(|fault| faulty(kind, *fault, seed))
                .collect();
            let healthy = (0..faulty.len() as u64).map(|index| healthy(kind, seed * 1000 + index));
            all.extend(healthy);
            all.extend(faulty);
        }
    }
    all
}
