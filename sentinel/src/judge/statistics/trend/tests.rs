//! Made-up levels: what only wanders, and what takes more with each step.

use super::*;
use crate::judge::statistics::chance::uniform;

/// Evenly from -0.5 to 0.5.
fn noise(index: u64) -> f64 {
    uniform(index) - 0.5
}

/// The trend of a level that moves by so much in each step of a second.
fn trend(moves: impl Iterator<Item = f64>) -> Trend {
    let steps: Vec<Step> = moves
        .map(|moved| {
            let mut step = Step::default();
            step.seconds = 1.0;
            step.moved.level = moved as f32;
            step.moved.high = moved.max(0.0) as f32;
            step.moved.low = moved.min(0.0) as f32;
            step
        })
        .collect();
    Trend::of(&steps, 0.0).expect("it rises")
}

#[test]
fn what_wanders_hardly_ever_speeds_up_though_it_often_bends() {
    let (mut bent, mut speeds_up) = (0, 0);
    for run in 0..2000 {
        let trend = trend((0..STEPS as u64).map(|step| 2.0 + 3.0 * noise(run * 100 + step)));
        bent += u32::from(trend.is_bent() && trend.acceleration_per_s2 > 0.0);
        speeds_up += u32::from(trend.speeds_up());
    }
    assert!(speeds_up <= 6 && bent > 5 * speeds_up, "{speeds_up} and {bent} of 2000");
}

#[test]
fn what_takes_more_with_each_step_speeds_up_through_noise() {
    for run in 0..100 {
        let growing = |step: u64| 1.0 + 0.1 * step as f64 + 0.1 * noise(run * 100 + step);
        let trend = trend((0..STEPS as u64).map(growing));
        assert!(trend.speeds_up(), "{trend:?}");
        assert!((trend.acceleration_per_s2 - 0.1).abs() < 0.03, "{trend:?}");
    }
    assert!(!trend((0..STEPS).map(|step| 3.0 - 0.1 * step as f64)).speeds_up());
}
