//! Every metric moves, every series is one, and the manual is true.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use super::*;
use crate::{
    judge::verdict::{Baseline, Forecast, ForecastScore, Level, Phase, Risk, Signal},
    sense::spare::ProgramShares,
    show::{
        own::Own,
        samples::{self, HOSTILE},
        state::{Chronicle, Facts, MOST_SCOPES, ScopeState, SurfaceState, Unavailable},
    },
};

/// A document and counts in which everything is measured, and every number depends on `x`.
fn full(x: u32) -> (Document, Served) {
    let number = f64::from(x);
    let count = u64::from(x);
    let mut document = Chronicle::new(Facts::default()).record(&samples::snapshot("/a.service"));
    document.unix_ms = 1000 * i64::from(x);
    document.agent.began_unix_ms = document.unix_ms;
    document.agent.version = format!("0.0.{x}");
    (document.agent.ticks, document.agent.late_ticks) = (count, count);
    document.agent.own = Own {
        cpu_s: Some(number),
        cpu_share: Some(number),
        resident_bytes: Some(count),
        programs: ProgramShares {
            sched: Some(number),
            mem: Some(number),
            net: Some(number),
        },
        cost_share: Some(number),
        budget_share: Some(number),
        left_out: x,
    };
    document.agent.surfaces = vec![SurfaceState {
        name: "journald".to_owned(),
        lost: count,
        unwell: (x > 1).then(|| "away".to_owned()),
    }];
    let rates = &mut document.host.rates;
    for rate in [
        &mut rates.run_queue,
        &mut rates.waiting_ms_per_s,
        &mut rates.memory_mb_per_s,
        &mut rates.packets_per_s,
        &mut rates.attempts_per_s,
    ] {
        *rate = Some(number);
    }
    (document.host.memory_total_bytes, document.host.memory_available_bytes) = (Some(count), Some(count));
    document.unavailable = vec![Unavailable {
        sensor: format!("sensor{x}"),
        reason: String::new(),
    }];
    document.losses.insert("switch_unseen".to_owned(), count);
    for counts in [
        &mut document.levels,
        &mut document.rest.levels,
        &mut document.totals.verdicts,
    ] {
        *counts[0].at(Level::Veto) = count;
    }
    document.totals.incidents = count;
    document.totals.outcomes.insert("began".to_owned(), count);
    document.waiting = vec![samples::waiting(); x as usize];
    let mut other = samples::lease(count);
    other.scope.push('2');
    document.leases = vec![samples::lease(count), other];
    document.leases.truncate(x as usize);
    document.incidents_not_listed = count;
    document.scopes = vec![scope(document.scopes.remove(0), x)];
    let served = Served {
        requests: vec![(200, count)],
        connections: count,
        viewers: count,
        closed: vec![("slow", count)],
        missed: count,
    };
    (document, served)
}

fn scope(mut scope: ScopeState, x: u32) -> ScopeState {
    let number = f64::from(x);
    scope.severity = number;
    let template = scope.signals.remove(0);
    scope.signals = Signal::ALL
        .map(|signal| {
            let mut state = template.clone();
            state.signal = signal;
            state.level = if x == 1 { Level::Watch } else { Level::Veto };
            state.phase = Some(if x == 1 { Phase::Overloaded } else { Phase::Metastable });
            for value in [
                &mut state.value,
                &mut state.sigma,
                &mut state.rarity,
                &mut state.velocity_per_s,
                &mut state.acceleration_per_s2,
            ] {
                *value = Some(number);
            }
            state.baseline = Some(Baseline {
                mean: number,
                sigma: 1.0,
                samples: 1,
            });
            state.forecast = Some(Forecast {
                exhaustion_s: number,
                earliest_s: number,
                latest_s: Some(number),
                limit_bytes: u64::from(x),
                score: Some(ForecastScore {
                    made: 1,
                    scored: 1,
                    inside_share: number,
                    median_error_share: 0.0,
                }),
            });
            state.risk = Some(Risk {
                load_per_s: 1.0,
                attempts_per_failure: 1.0,
                capacity_per_s: 1.0,
                overload: number,
            });
            state
        })
        .to_vec();
    scope
}

#[test]
fn no_metric_stands_still_when_what_it_tells_of_moves() {
    let ((first, served), (second, more_served)) = (full(1), full(2));
    let (before, after) = (collect(&first, Some(&served)), collect(&second, Some(&more_served)));
    for metric in CATALOGUE.iter().flat_map(|part| part.iter()) {
        let of = |all: &[(&'static Metric, Vec<Sample>)]| {
            let found = all
                .iter()
                .find(|(known, _)| known.name == metric.name && known.unit == metric.unit);
            found.map(|(_, samples)| samples.clone())
        };
        let (before, after) = (of(&before), of(&after));
        assert!(before.is_some(), "nobody moves {}", metric.full_name());
        assert_ne!(before, after, "{} stands still", metric.full_name());
    }
}

#[test]
fn no_name_occurs_twice_and_each_keeps_the_rules() {
    let mut names = BTreeSet::new();
    for metric in CATALOGUE.iter().flat_map(|part| part.iter()) {
        let name = metric.full_name();
        assert!(name.starts_with("sentinel_"), "{name}");
        assert!(
            name.bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')),
            "{name}"
        );
        assert!(
            !metric.help.ends_with('.') && !metric.help.is_empty(),
            "{name}: {}",
            metric.help
        );
        assert!(names.insert(name.clone()), "{name} twice");
    }
}

#[test]
fn two_scopes_of_one_path_are_one_series_and_hostile_names_stay_on_their_line() {
    let mut snapshot = samples::snapshot(HOSTILE);
    snapshot.portraits = vec![
        samples::portrait(samples::scope(HOSTILE), Level::Watch, None),
        samples::portrait(samples::scope(HOSTILE), Level::Veto, None),
        samples::portrait(samples::scope("/quote\"back\\slash"), Level::Nominal, None),
        samples::portrait(samples::scope(&format!("/{}a", "x".repeat(4000))), Level::Nominal, None),
        samples::portrait(samples::scope(&format!("/{}b", "x".repeat(4000))), Level::Nominal, None),
    ];
    let mut id = 0;
    for portrait in &mut snapshot.portraits {
        id += 1;
        Arc::make_mut(&mut portrait.scope).cgroup_id = id;
    }
    let document = Chronicle::new(Facts::default()).record(&snapshot);
    let text = encode(&document, &Served::default()).unwrap();
    let levels: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("sentinel_signal_level{"))
        .collect();
    assert_eq!(levels.len(), 4, "{levels:#?}");
    assert!(levels[0].ends_with("} 3.0"), "the more severe one: {}", levels[0]);
    assert!(text.contains(r#"scope="/quote\"back\\slash""#), "{levels:#?}");
    let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let names: BTreeSet<_> = series.iter().map(|line| line.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(names.len(), series.len(), "a series twice");
    assert!(
        text.chars()
            .all(|char| char == '\n' || crate::show::escape::prints(char))
    );
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_number_of_series_is_bounded_whatever_the_host_does() {
    let mut snapshot = samples::snapshot("/a");
    snapshot.portraits = (0..MOST_SCOPES as u64)
        .map(|id| {
            let mut portrait = samples::portrait(samples::scope(&format!("/{id}")), Level::Veto, Some(1.0));
            Arc::make_mut(&mut portrait.scope).cgroup_id = id;
            portrait
        })
        .collect();
    let mut document = Chronicle::new(Facts::default()).record(&snapshot);
    let (template, served) = full(2);
    for listed in &mut document.scopes {
        listed.signals.clone_from(&template.scopes[0].signals);
    }
    let text = encode(&document, &served).unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series <= 100 + MOST_SCOPES * 30, "{series} series");
}

#[test]
fn the_metrics_manual_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/METRICS.md");
    if std::env::var_os("SENTINEL_WRITE_DOCS").is_some() {
        fs::write(&path, manual()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == manual(),
        "docs/METRICS.md is old; its first lines say how to write it"
    );
}
