//! What holds for every series.

use super::*;

/// Uniform in (0, 1): a linear congruential generator is random enough here.
fn noise(state: &mut u64) -> f64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1_u64 << 53) as f64
}

fn judged(values: impl IntoIterator<Item = f64>) -> Vec<Scored> {
    let mut series = Series::new();
    let values = values.into_iter().enumerate();
    values
        .map(|(index, value)| series.observe(index as f64 * 300.0, value))
        .collect()
}

fn noisy(points: usize) -> Vec<f64> {
    let mut state = 7;
    (0..points)
        .map(|_| 50.0 + 4.0 * (noise(&mut state) + noise(&mut state) + noise(&mut state) - 1.5))
        .collect()
}

fn peak(scored: &[Scored]) -> f32 {
    scored.iter().filter_map(|scored| scored.score).fold(0.0, f32::max)
}

#[test]
fn nothing_is_said_during_warm_up_and_always_after_it() {
    let scored = judged(noisy(200));
    let known = scored.iter().position(|scored| scored.score.is_some()).unwrap();
    assert_eq!(known, WARM_UP as usize);
    assert!(
        scored[known..]
            .iter()
            .all(|scored| scored.score.is_some_and(|score| (0.0..=1.0).contains(&score)))
    );
}

#[test]
fn a_spike_a_drop_to_zero_and_a_flat_line_are_rare_and_noise_is_not() {
    let calm = peak(&judged(noisy(1000)));
    assert!(calm < 0.6, "{calm}");
    let with = |fault: fn(&mut [f64])| {
        let mut values = noisy(1000);
        fault(&mut values[800..]);
        peak(&judged(values)[800..820])
    };
    let spike = with(|values| values[0] = 120.0);
    let drop = with(|values| values[..5].fill(0.0));
    let flat = with(|values| values[..20].fill(50.123));
    let shift = with(|values| values.iter_mut().for_each(|value| *value += 20.0));
    for (name, score) in [("spike", spike), ("drop", drop), ("flat", flat), ("shift", shift)] {
        assert!(score > 0.65, "{name}: {score}");
    }
}

#[test]
fn a_constant_series_that_changes_is_rare_and_finite() {
    for (constant, change) in [(0.0, 1.0), (5.0, 6.0), (1e-300, 1e300), (-7.0, 0.0)] {
        let mut values = vec![constant; 500];
        values.push(change);
        let scored = judged(values);
        assert!(scored[..500].iter().all(|scored| scored.decades == 0.0), "{constant}");
        let last = scored[500];
        assert!(
            last.score.unwrap() > 0.4 && last.decades.is_finite(),
            "{constant} to {change}: {last:?}"
        );
    }
}

#[test]
fn a_first_sample_of_zero_does_not_matter() {
    let mut values = noisy(600);
    let without = judged(values.iter().copied());
    values[0] = 0.0;
    let with = judged(values);
    assert!(
        peak(&with) < 0.65 && peak(&without) < 0.65,
        "{} {}",
        peak(&with),
        peak(&without)
    );
}

#[test]
fn a_new_plateau_stops_being_news() {
    let mut values = noisy(3000);
    values[1500..].iter_mut().for_each(|value| *value += 30.0);
    let scored = judged(values);
    assert!(peak(&scored[1500..1510]) > 0.65);
    assert!(peak(&scored[1700..]) < 0.6, "{}", peak(&scored[1700..]));
}

#[test]
fn what_is_not_finite_or_late_changes_nothing() {
    let values = noisy(300);
    let (mut one, mut other) = (Series::new(), Series::new());
    for (index, value) in values.into_iter().enumerate() {
        let unix_s = index as f64 * 60.0;
        let scored = one.observe(unix_s, value);
        assert_eq!(scored, other.observe(unix_s, value));
        for (time, value) in [
            (unix_s + 1.0, f64::NAN),
            (unix_s + 1.0, f64::INFINITY),
            (f64::NAN, 1.0),
            (unix_s, 1e6),
            (unix_s - 60.0, 1e6),
        ] {
            assert_eq!(other.observe(time, value), Scored::UNKNOWN);
        }
    }
}

#[test]
fn extreme_values_stay_finite() {
    let mut state = 3;
    let extremes = [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 0.0, -0.0, 1e-310, 1.0];
    let values: Vec<f64> = (0..2000)
        .map(|_| extremes[(noise(&mut state) * 7.0) as usize])
        .collect();
    let scored = judged(values);
    assert!(
        scored
            .iter()
            .all(|scored| scored.decades.is_finite() && scored.score.is_none_or(f32::is_finite))
    );
}

#[test]
fn the_levels_follow_from_the_budget() {
    let budget = Budget::new(1.0, 2016.0, 1);
    assert_eq!(budget.level(3.4), Level::Veto);
    assert_eq!(budget.level(3.2), Level::Watch);
    assert_eq!(budget.level(2.2), Level::Nominal);
    assert_eq!(Budget::new(1.0, 2016.0, 100).level(3.4), Level::Nominal);
    assert_eq!(Budget::new(10.0, 2016.0, 1).level(2.6), Level::Veto);
}

/// Figures in docs/JUDGE.md were measured with these scores, and who keeps scores compares them over months and machines.
/// Whoever changes them on purpose measures those figures again, and writes the new number here.
#[test]
fn the_same_points_give_the_same_bits_in_every_build() {
    let mut state = 11;
    let mut values: Vec<f64> = (0..9000)
        .map(|index| 100.0 + 3.0 * f64::from(index % 288 / 12) + 20.0 * (noise(&mut state) - 0.5))
        .collect();
    values[3000..3004].fill(900.0);
    values[5000..5100].fill(0.0);
    values[7000..].iter_mut().for_each(|value| *value += 250.0);
    let bits = judged(values).iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, scored| {
        (sum ^ u64::from(scored.decades.to_bits())).wrapping_mul(0x100_0000_01b3)
    });
    assert_eq!(bits, 0x5e39_2fad_de25_c043, "{bits:#018x}");
}

#[test]
fn both_sides_of_zero_are_as_rare_as_each_would_be_alone() {
    let mut both = Tail::<2>::power(4.0);
    let (mut up, mut down) = (Tail::<1>::power(4.0), Tail::<1>::power(4.0));
    let mut state = 5;
    for reading in 0..5000 {
        let distance = (8.0 * noise(&mut state) - 5.0) as f32;
        let weight = if reading % 9 == 0 { 0.3 } else { 1.0 };
        let bucket = Place::of(distance.abs()).bucket();
        let side = if distance > 0.0 { UP } else { DOWN };
        both.learn(Some((side, bucket)), weight);
        up.learn((side == UP).then_some((0, bucket)), weight);
        down.learn((side == DOWN).then_some((0, bucket)), weight);
    }
    for magnitude in [0.1, 0.7, 1.0, 2.5, 4.9, 7.0, 100.0] {
        let place = Place::of(magnitude);
        assert_eq!(both.decades(UP, place), up.decades(0, place), "{magnitude}");
        assert_eq!(both.decades(DOWN, place), down.decades(0, place), "{magnitude}");
    }
    let place = Place::of(2.5);
    assert!(both.decades(UP, place) > both.decades(DOWN, place) && both.decades(DOWN, place) > 0.1);
}
