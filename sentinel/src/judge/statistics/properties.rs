//! What holds of the arithmetic whatever the numbers: nothing that is not finite enters or leaves, an order stays an order,
//! and another unit changes the unit of the answer and nothing else.

use proptest::prelude::*;

use super::{
    At, Baseline, Learn,
    rank::Rank,
    steps::{Change, STEPS, Steps},
    trend::Trend,
};

/// Numbers as a damaged recording may hold them: any bits at all, and the ends of the scale.
fn hostile() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1e6..1e6_f64,
        2 => any::<f64>(),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 0.0, -0.0, 5e-324]),
    ]
}

/// Powers of two: with these a number changes its exponent and not one digit.
fn unit() -> impl Strategy<Value = f64> {
    (-10..=10_i32).prop_map(|exponent| 2.0_f64.powi(exponent))
}

fn learned(values: &[(f64, f64, u32)], resolution: f64, scale: f64) -> Rank {
    let mut rank = Rank::new(resolution * scale);
    for (value, seconds, readings) in values {
        rank.learn(value * scale, *seconds, *readings);
    }
    rank
}

const fn at(seconds: f64, readings: u32) -> At {
    At {
        unix_s: 0,
        seconds,
        readings,
    }
}

fn stepped(changes: &[(f64, f64)], scale: f64) -> Option<Trend> {
    let mut steps = Steps::new(1.0);
    for (seconds, level) in changes {
        steps.push(&Change {
            seconds: *seconds,
            level: level * scale,
            ..Change::default()
        });
    }
    steps.trend(0.0, |_| true)
}

proptest! {
    #[test]
    fn a_rank_is_from_0_to_12_decades_whatever_was_learned(
        learn in prop::collection::vec((hostile(), hostile(), 0..1000_u32), 0..200),
        value in hostile(),
    ) {
        let rank = learned(&learn, 1.0, 1.0);
        prop_assert!(rank.readings().is_finite());
        if let Some(decades) = rank.decades(value) {
            prop_assert!((0.0..=12.0).contains(&decades), "{decades}");
            prop_assert!(value.is_finite());
        }
    }

    #[test]
    fn what_is_higher_is_never_less_rare(
        learn in prop::collection::vec((0.0..1e5_f64, 0.1..1e5_f64, 1..50_u32), 30..200),
        one in 0.0..1e6_f64,
        other in 0.0..1e6_f64,
    ) {
        let rank = learned(&learn, 1.0, 1.0);
        let (low, high) = (rank.decades(one.min(other)), rank.decades(one.max(other)));
        if let (Some(low), Some(high)) = (low, high) {
            prop_assert!(low <= high + 1e-9, "{low} and {high} decades");
        }
    }

    #[test]
    fn a_rank_does_not_depend_on_the_unit(
        learn in prop::collection::vec((0.0..1e5_f64, 0.1..1e4_f64, 1..20_u32), 0..100),
        value in 0.0..1e6_f64,
        unit in unit(),
    ) {
        let (one, other) = (learned(&learn, 1.0, 1.0), learned(&learn, 1.0, unit));
        prop_assert_eq!(one.decades(value), other.decades(value * unit));
    }

    #[test]
    fn a_baseline_stays_finite_whatever_is_learned(
        learn in prop::collection::vec((hostile(), hostile(), 0..20_u32, 0..3_u8), 0..100),
        value in -1e6..1e6_f64,
    ) {
        let mut baseline = Baseline::new(1.0);
        for (value, seconds, readings, how) in learn {
            let how = [Learn::Fully, Learn::Slowly, Learn::Nothing][usize::from(how)];
            baseline.learn(at(seconds, readings), value, how);
        }
        if let Some(published) = baseline.published() {
            prop_assert!(published.mean.is_finite() && published.sigma.is_finite(), "{published:?}");
            prop_assert!(published.sigma >= 1.0, "{published:?}");
        }
        prop_assert!(baseline.sigmas(value).is_none_or(f64::is_finite));
    }

    #[test]
    fn a_baseline_does_not_depend_on_the_unit_and_keeps_the_order(
        learn in prop::collection::vec((-1e6..1e6_f64, 0.1..100.0_f64, 1..5_u32), 5..60),
        values in (-1e6..1e6_f64, -1e6..1e6_f64),
        unit in unit(),
    ) {
        let (mut one, mut other) = (Baseline::new(1.0), Baseline::new(unit));
        for (value, seconds, readings) in learn {
            one.learn(at(seconds, readings), value, Learn::Fully);
            other.learn(at(seconds, readings), value * unit, Learn::Fully);
        }
        prop_assert_eq!(one.sigmas(values.0), other.sigmas(values.0 * unit));
        prop_assert!(one.sigmas(values.0.min(values.1)) <= one.sigmas(values.0.max(values.1)));
    }

    #[test]
    fn doubt_moves_a_baseline_by_a_fifth_of_a_sigma_at_the_most(
        learn in prop::collection::vec(0.0..1e3_f64, 10..60),
        value in hostile(),
    ) {
        let mut baseline = Baseline::new(1.0);
        for known in learn {
            baseline.learn(at(1.0, 1), known, Learn::Fully);
        }
        let before = baseline.published().expect("ten seconds of past");
        baseline.learn(at(1.0, 1), value, Learn::Slowly);
        let after = baseline.published().expect("ten seconds of past");
        prop_assert!(after.mean <= before.mean + 0.2 * before.sigma + 1e-9, "{before:?} {after:?}");
        let mean = after.mean;
        baseline.learn(at(1.0, 1), value, Learn::Nothing);
        prop_assert_eq!(baseline.mean(), Some(mean));
    }

    #[test]
    fn a_trend_is_finite_or_none_whatever_the_changes(
        changes in prop::collection::vec((1e-3..1e6_f64, hostile()), 0..60),
    ) {
        if let Some(trend) = stepped(&changes, 1.0) {
            prop_assert!(usize::from(trend.steps) <= STEPS);
            for number in [trend.total, trend.span_s, trend.slope_per_s, trend.error_per_s, trend.significance(), trend.height] {
                prop_assert!(number.is_finite(), "{trend:?}");
            }
            prop_assert!(trend.error_per_s >= 0.0 && trend.height >= 0.0 && trend.above >= 0.0, "{trend:?}");
            for tau in [trend.concordance, trend.concordance_of_highs] {
                prop_assert!((-1.0..=1.0).contains(&tau), "{trend:?}");
            }
        }
    }

    #[test]
    fn what_only_rises_is_a_trend_of_full_concordance(
        changes in prop::collection::vec((1.0..10.0_f64, 0.01..1e3_f64), 8..30),
    ) {
        let trend = stepped(&changes, 1.0).expect("a level that rises");
        prop_assert_eq!(trend.concordance, 1.0);
        prop_assert!(trend.slope_per_s > 0.0 && trend.total > 0.0, "{trend:?}");
        prop_assert!(trend.jump_share <= 1.0 + 1e-9, "{trend:?}");
    }

    #[test]
    fn a_trend_changes_with_its_unit_and_nothing_else(
        changes in prop::collection::vec((1.0..10.0_f64, -1e3..1e4_f64), 8..30),
        unit in unit(),
    ) {
        let (one, other) = (stepped(&changes, 1.0), stepped(&changes, unit));
        prop_assert_eq!(one.is_some(), other.is_some());
        if let (Some(one), Some(other)) = (one, other) {
            prop_assert_eq!(one.slope_per_s * unit, other.slope_per_s);
            prop_assert_eq!(one.error_per_s * unit, other.error_per_s);
            prop_assert_eq!(one.concordance, other.concordance);
            prop_assert_eq!(one.irregularity, other.irregularity);
            prop_assert_eq!(one.is_bent(), other.is_bent());
        }
    }
}
