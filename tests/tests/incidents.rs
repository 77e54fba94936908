//! Contract: all that is said of one trouble has one name, from its first alarm to the all-clear. Without a kernel.

use sentinel::{
    config::Config,
    judge::{
        Verdict,
        verdict::{Cause, Incident, IncidentState, Level, Signal},
    },
};
use sentinel_tests::synthetic::{Load, Rig};

fn busy(tasks: f64) -> Load {
    Load {
        busy_tasks: tasks,
        ..Load::idle()
    }
}

fn of<'a>(rig: &'a Rig, name: &str) -> Vec<(&'a Verdict, &'a Incident)> {
    let said = rig.verdicts.iter().filter(|verdict| verdict.scope.name() == name);
    said.filter(|verdict| verdict.signal == Signal::Jitter)
        .map(|verdict| (verdict, verdict.incident.as_ref().expect("an incident")))
        .collect()
}

#[test]
fn a_trouble_is_one_incident_and_its_recovery_is_a_verdict() {
    for seed in 1..=20 {
        let mut rig = Rig::new(seed, &Config::default(), &["shop", "idle"]);
        rig.run(60.0);
        *rig.load("shop") = busy(8.0);
        rig.run(20.0);
        *rig.load("shop") = busy(0.1);
        rig.run(20.0);
        let said = of(&rig, "shop");
        let (first, began) = said.first().expect("an alarm");
        let (last, ended) = said.last().expect("an all-clear");
        assert_eq!(
            (began.state, ended.state),
            (IncidentState::Began, IncidentState::Ended),
            "seed {seed}"
        );
        assert!(
            said.iter().all(|(_, incident)| incident.id == began.id),
            "seed {seed}: one incident"
        );
        assert_eq!(began.began, first.time);
        assert_eq!(ended.ended.as_deref(), Some(last.time.as_str()));
        assert_eq!(
            (last.level, last.cause, ended.peak_level),
            (Level::Nominal, Cause::None, Level::Veto)
        );
        let peak = ended.peak.expect("a peak");
        assert!(
            said.iter()
                .all(|(verdict, _)| verdict.value.is_none_or(|value| value <= peak)),
            "seed {seed}"
        );
        assert!((15.0..30.0).contains(&ended.seconds), "seed {seed}: {}", ended.seconds);
        assert!(last.summary.contains("back to normal"), "{}", last.summary);
        assert!(!ended.flapping);
    }
}

#[test]
fn what_comes_and_goes_is_one_incident_that_flaps_and_says_less() {
    for seed in 1..=20 {
        let mut rig = Rig::new(seed, &Config::default(), &["shop", "idle"]);
        rig.run(60.0);
        for _ in 0..10 {
            *rig.load("shop") = busy(8.0);
            rig.run(5.0);
            *rig.load("shop") = busy(0.1);
            rig.run(10.0);
        }
        rig.run(60.0);
        let said = of(&rig, "shop");
        let ids: std::collections::BTreeSet<_> = said.iter().map(|(_, incident)| &incident.id).collect();
        assert_eq!(ids.len(), 1, "seed {seed}");
        let (_, last) = said.last().expect("a verdict");
        assert!(
            last.flapping && last.state == IncidentState::Ended,
            "seed {seed}: {last:?}"
        );
        let all_clears = said
            .iter()
            .filter(|(verdict, _)| verdict.level == Level::Nominal)
            .count();
        assert!(all_clears <= 4, "seed {seed}: ten troubles, {all_clears} all-clears");
    }
}

#[test]
fn a_victim_follows_from_its_culprit() {
    for seed in 1..=20 {
        let mut rig = Rig::new(seed, &Config::default(), &["batch", "shop", "idle"]);
        *rig.load("shop") = busy(1.0);
        rig.run(60.0);
        *rig.load("batch") = busy(12.0);
        rig.run(30.0);
        let culprit = of(&rig, "batch")[0].1.id.clone();
        let victim = of(&rig, "shop");
        let (verdict, incident) = victim.last().expect("the victim is said to starve");
        assert_eq!(verdict.cause, Cause::Starved, "seed {seed}");
        assert_eq!(incident.follows.as_ref(), Some(&culprit), "seed {seed}");
    }
}
