//! A run told snapshot by snapshot.

use std::sync::Arc;

use super::*;
use crate::{
    act::ActionResult,
    judge::{
        State, Verdict,
        verdict::{Cause, Incident, Level, Signal},
    },
    show::{
        Snapshot,
        encode::object,
        escape,
        samples::{self, HOSTILE, SECOND_NS},
    },
};

fn chronicle() -> Chronicle {
    Chronicle::new(Facts {
        version: "0.0.0".to_owned(),
        interval_ms: 1000,
        began: Now {
            unix_ms: 1_767_270_640_000,
            monotonic_ns: 0,
        },
        ..Facts::default()
    })
}

/// A second of a calm run in which this was said.
fn said(second: u64, verdicts: Vec<Verdict>) -> Snapshot {
    Snapshot {
        now: Now {
            unix_ms: 1_767_270_640_000 + second as i64 * 1000,
            monotonic_ns: second * SECOND_NS,
        },
        verdicts: verdicts.into_iter().map(Arc::new).collect(),
        outcomes: Vec::new(),
        ..samples::snapshot("/a.service")
    }
}

/// A verdict of one incident.
fn verdict(second: u64, (previous, level): (Level, Level), ended: bool) -> Verdict {
    Verdict {
        previous,
        level,
        monotonic_ns: second * SECOND_NS,
        cause: if ended { Cause::None } else { Cause::RetryStorm },
        time: format!("2026-01-01T12:30:{second:02}.000Z"),
        incident: Some(Incident {
            id: "I1".to_owned(),
            began: "2026-01-01T12:30:02.000Z".to_owned(),
            ended: ended.then(|| format!("2026-01-01T12:30:{second:02}.000Z")),
            seconds: second as f64 - 2.0,
            peak_level: Level::Veto,
            changes: 1,
            ..Incident::default()
        }),
        ..samples::verdict("/a.service")
    }
}

#[test]
fn a_document_is_the_same_after_a_way_through_json() {
    let document = chronicle().record(&samples::snapshot(HOSTILE));
    let json = object(&document).unwrap();
    assert_eq!(serde_json::from_str::<Document>(&json).unwrap(), document);
    assert!(
        json.chars()
            .all(|char| escape::json(char.to_string()).len() == char.len_utf8())
    );
    assert_eq!(document.scopes[0].path, HOSTILE);
    for shown in [&document.scopes[0].name, &document.log[0].name, &document.log[0].text] {
        assert_eq!(*shown, escape::line(shown), "prints");
    }
}

#[test]
fn a_signal_shows_value_and_both_derivatives_and_what_was_said_last() {
    let mut run = chronicle();
    run.record(&said(2, vec![verdict(2, (Level::Nominal, Level::Watch), false)]));
    let document = run.record(&said(3, vec![verdict(3, (Level::Watch, Level::Veto), false)]));
    let signal = &document.scopes[0].signals[0];
    assert_eq!(
        (signal.value, signal.velocity_per_s, signal.acceleration_per_s2),
        (Some(3.1), Some(0.8), Some(0.1))
    );
    assert_eq!((signal.previous, signal.level), (Some(Level::Watch), Level::Veto));
    assert_eq!(signal.since.as_deref(), Some("2026-01-01T12:30:03.000Z"));
    assert_eq!(signal.incident.as_deref(), Some("I1"));
    assert_eq!((document.seq, document.totals.incidents), (2, 1));
    assert_eq!(document.agent.uptime_s, 3.0);
}

#[test]
fn an_incident_grows_older_by_itself_and_keeps_its_cause_when_it_ends() {
    let mut run = chronicle();
    run.record(&said(2, vec![verdict(2, (Level::Nominal, Level::Veto), false)]));
    let open = run.record(&said(9, Vec::new())).incidents;
    assert_eq!((open.len(), open[0].seconds, open[0].ended.as_deref()), (1, 7.0, None));
    let ended = run.record(&said(12, vec![verdict(12, (Level::Veto, Level::Nominal), true)]));
    let incident = &ended.incidents[0];
    assert_eq!((incident.cause, incident.seconds), (Cause::RetryStorm, 10.0));
    assert!(incident.ended.is_some());
    assert_eq!(ended.scopes[0].signals[0].incident, None);
    let later = run.record(&said(20, Vec::new()));
    assert_eq!(later.incidents[0].seconds, 10.0, "an ended one does not");
}

#[test]
fn the_log_is_bounded_and_its_numbers_go_on() {
    let mut run = chronicle();
    let many = MOST_ENTRIES as u64 + 5;
    for second in 0..many {
        run.record(&said(second, vec![verdict(second, (Level::Watch, Level::Veto), false)]));
    }
    let mut last = said(many, Vec::new());
    last.outcomes = vec![Arc::new(samples::outcome("/a.service", ActionResult::TimedOut, ""))];
    let document = run.record(&last);
    assert_eq!(document.log.len(), MOST_ENTRIES);
    assert_eq!(
        document.log.last().map(|entry| (entry.seq, entry.kind, entry.well)),
        Some((many + 1, Kind::Outcome, Some(false)))
    );
    assert_eq!(document.totals.verdicts[Signal::Amplification as usize].veto, many);
    assert_eq!(document.totals.outcomes["timed_out"], 1);
}

#[test]
fn scopes_without_a_portrait_are_counted_and_none_twice() {
    let mut snapshot = said(1, Vec::new());
    let state = |id: u64, signal: Signal, level: Level| {
        let mut scope = samples::scope("/x.service").as_ref().clone();
        scope.cgroup_id = id;
        State {
            scope: Arc::new(scope),
            signal,
            level,
            cause: Cause::None,
            value: None,
        }
    };
    let shown = snapshot.standing.worst.take();
    let others = [
        state(1, Signal::Jitter, Level::Watch),
        state(1, Signal::Fever, Level::Nominal),
        state(2, Signal::Fever, Level::Unknown),
    ];
    snapshot.standing = shown.into_iter().chain(others).collect();
    let document = chronicle().record(&snapshot);
    assert_eq!(document.rest.scopes, 2);
    assert_eq!(
        document.rest.levels[Signal::Fever as usize].each(),
        [
            (Level::Unknown, 1),
            (Level::Nominal, 1),
            (Level::Watch, 0),
            (Level::Veto, 0)
        ]
    );
    assert_eq!(document.rest.levels[Signal::Amplification as usize].veto, 0);
    assert_eq!(document.levels[Signal::Amplification as usize].veto, 1);
}

#[test]
fn the_most_severe_scope_comes_first() {
    let mut snapshot = said(1, Vec::new());
    let named = |path: &str, level, rarity| samples::portrait(samples::scope(path), level, rarity);
    snapshot.portraits = vec![
        named("/calm", Level::Nominal, Some(0.3)),
        named("/new", Level::Unknown, Some(12.0)),
        named("/rare", Level::Nominal, Some(6.0)),
        named("/bad", Level::Watch, None),
    ];
    let document = chronicle().record(&snapshot);
    let names: Vec<_> = document.scopes.iter().map(|scope| scope.path.as_str()).collect();
    assert_eq!(names, ["/bad", "/rare", "/calm", "/new"]);
    assert_eq!(document.scopes[2].severity, 1.025);
}
