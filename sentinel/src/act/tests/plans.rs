//! What a verdict calls for, and what forbids it.

use super::*;

#[tokio::test]
async fn in_observe_nothing_runs_and_the_plan_says_what_would() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let mut actor = Actor::new(&config("observe", &format!("touch {}", trace.display()), ""));
    let mut verdict = storm();
    let plans = act(&mut actor, &mut verdict, 0);
    assert!(plans[0].would && plans[0].forbidden.is_none() && !plans[0].runs());
    assert!(verdict.plan[0].would);
    assert_eq!(actor.running(), 0);
    // The cooldown counts as in auto, so that the plan is what auto would do.
    let plans = act(&mut actor, &mut storm(), 10 * SECOND);
    assert_eq!(
        plans[0].forbidden.as_deref(),
        Some("its cooldown of 1m for this scope ends in 50s")
    );
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!trace.exists() && actor.outcomes().is_empty());
    // A plan that somebody else made up does not run either.
    let forged = Plan {
        would: false,
        ..plans[0].clone()
    };
    actor.carry_out(
        &Plan {
            forbidden: None,
            ..forged
        },
        &verdict,
        at(0),
    );
    assert_eq!(actor.running(), 0);
}

#[tokio::test]
async fn in_approve_a_plan_waits_until_a_person_approves_it() {
    let mut actor = Actor::new(&config("approve", "true", ""));
    let plan = act(&mut actor, &mut storm(), 0).remove(0);
    assert!(plan.waits && !plan.would && !plan.runs());
    assert_eq!(actor.running(), 0);
    assert_eq!(actor.waiting(SECOND)[0].plan.id, plan.id);
    let approve = |actor: &mut Actor, id: &str, now_ns| ask(actor, approval(id), now_ns);
    let unknown = approve(&mut actor, "01JUNKNOWN", SECOND);
    assert!(
        matches!(&unknown, Reply::Refused { reason } if reason.contains("no plan 01JUNKNOWN waits")),
        "{unknown:?}"
    );
    assert!(matches!(approve(&mut actor, &plan.id, SECOND), Reply::Done { .. }));
    assert_eq!(ended(&mut actor).await[0].result, exited(0));
    assert!(
        matches!(approve(&mut actor, &plan.id, SECOND), Reply::Refused { .. }),
        "twice"
    );
}

#[tokio::test]
async fn a_plan_that_nobody_approves_in_time_is_dropped_and_said() {
    let mut actor = Actor::new(&config("approve", "true", ""));
    let plan = act(&mut actor, &mut storm(), 0).remove(0);
    actor.tend(at(299 * SECOND));
    assert!(actor.outcomes().is_empty());
    let late = ask(&mut actor, approval(&plan.id), 300 * SECOND);
    assert!(matches!(late, Reply::Refused { .. }), "{late:?}");
    assert_eq!(actor.outcomes()[0].result, ActionResult::Expired);
    assert_eq!(actor.running(), 0);
}

#[tokio::test]
async fn a_cooldown_holds_for_its_scope_only() {
    let mut actor = Actor::new(&config("auto", "true", "cooldown = \"60s\""));
    assert!(act(&mut actor, &mut storm(), 0)[0].runs());
    ended(&mut actor).await;
    let plan = act(&mut actor, &mut storm(), 59 * SECOND).remove(0);
    assert_eq!(
        plan.forbidden.as_deref(),
        Some("its cooldown of 1m for this scope ends in 1s")
    );
    let mut other = verdict_of("other.service", Level::Nominal, Level::Veto);
    assert!(act(&mut actor, &mut other, 59 * SECOND)[0].runs());
    assert!(act(&mut actor, &mut storm(), 60 * SECOND)[0].runs());
    assert_eq!(ended(&mut actor).await.len(), 2);
}

#[tokio::test]
async fn the_hourly_cap_slides_over_all_scopes() {
    let mut actor = Actor::new(&config("observe", "true", "cooldown = \"0s\"\nmax_per_hour = 2"));
    let mut at = |unit: &str, second: u64| {
        let mut verdict = verdict_of(unit, Level::Watch, Level::Veto);
        actor
            .plan(&mut verdict, &Sample::default(), second * SECOND)
            .remove(0)
            .forbidden
    };
    assert_eq!(at("a.service", 0), None);
    assert_eq!(at("b.service", 1800), None);
    let full = "its max_per_hour is 2, and that many runs began in the last 60 minutes";
    assert_eq!(at("c.service", 3599).as_deref(), Some(full));
    assert_eq!(at("c.service", 3600), None);
    assert_eq!(at("c.service", 3601).as_deref(), Some(full));
}

#[tokio::test]
async fn a_hook_does_not_run_twice_at_once_for_a_scope_nor_more_than_eight_in_all() {
    let mut actor = Actor::new(&config(
        "auto",
        "sleep 300",
        "cooldown = \"0s\"\nmax_per_hour = 100\ntimeout = \"1m\"",
    ));
    assert!(act(&mut actor, &mut storm(), 0)[0].runs());
    let again = act(&mut actor, &mut storm(), 1).remove(0);
    assert_eq!(again.forbidden.as_deref(), Some("it still runs for this scope"));
    for index in 1..veto::MAX_RUNNING {
        let mut verdict = verdict_of(&format!("{index}.service"), Level::Watch, Level::Veto);
        assert!(act(&mut actor, &mut verdict, 2)[0].runs());
    }
    let mut verdict = verdict_of("one-more.service", Level::Watch, Level::Veto);
    let plan = act(&mut actor, &mut verdict, 3).remove(0);
    assert_eq!(
        plan.forbidden.as_deref(),
        Some("8 hooks run already, the most at a time")
    );
    assert_eq!(actor.running(), veto::MAX_RUNNING);
    let outcomes = actor.drain(Duration::ZERO, None).await;
    assert_eq!(outcomes.len(), veto::MAX_RUNNING);
}

#[test]
fn a_hook_is_for_a_rise_into_its_level_of_its_signals_and_scopes() {
    let concerned = |more: &str, verdict: &Verdict| plan::concerns(verdict, &config("observe", "true", more).hooks[0]);
    let rise = |previous, level| verdict_of("shop.service", previous, level);
    assert!(concerned("", &rise(Level::Nominal, Level::Veto)));
    assert!(concerned("", &rise(Level::Unknown, Level::Veto)));
    assert!(!concerned("", &rise(Level::Nominal, Level::Watch)));
    assert!(!concerned("", &rise(Level::Veto, Level::Unknown)));
    assert!(concerned("level = \"watch\"", &rise(Level::Nominal, Level::Watch)));
    assert!(concerned("level = \"watch\"", &rise(Level::Nominal, Level::Veto)));
    assert!(
        !concerned("level = \"watch\"", &rise(Level::Watch, Level::Veto)),
        "it ran at watch"
    );
    assert!(!concerned("level = \"watch\"", &rise(Level::Veto, Level::Watch)));
    assert!(concerned("signals = [\"amplification\", \"jitter\"]", &storm()));
    assert!(!concerned("signals = [\"fever\"]", &storm()));
    assert!(concerned("scope = \"shop*.service\"", &storm()));
    assert!(concerned("scope = \"/system.slice/*\"", &storm()));
    assert!(!concerned("scope = \"/user.slice/**\"", &storm()));
    let host = Verdict {
        scope: Arc::new(Scope::host()),
        ..storm()
    };
    assert!(concerned("scope = \"host\"", &host) && concerned("", &host));
    assert!(!concerned("scope = \"/**\"", &host));
}

#[test]
fn incomplete_data_forbids_and_unknown_never_matches() {
    let mut actor = Actor::new(&config("auto", "true", ""));
    for coverage in [0.49, 0.0, f64::NAN] {
        let plan = actor
            .plan(&mut Verdict { coverage, ..storm() }, &Sample::default(), 0)
            .remove(0);
        assert!(
            plan.forbidden
                .is_some_and(|why| why.contains("of the window was measured"))
        );
    }
    assert!(
        actor
            .plan(
                &mut verdict_of("a.service", Level::Nominal, Level::Unknown),
                &Sample::default(),
                0
            )
            .is_empty()
    );
    assert!(
        actor.plan(
            &mut Verdict {
                coverage: 0.5,
                ..storm()
            },
            &Sample::default(),
            0
        )[0]
        .runs()
    );
}

#[test]
fn a_further_rule_can_forbid() {
    struct Never;
    impl Veto for Never {
        fn name(&self) -> &'static str {
            "never"
        }
        fn forbids(&self, context: &PlanContext<'_>) -> Option<String> {
            Some(format!("{} is protected", context.scope.name()))
        }
    }
    let mut actor = Actor::new(&config("auto", "true", "")).with_veto(Box::new(Never));
    assert_eq!(
        actor.plan(&mut storm(), &Sample::default(), 0)[0].forbidden.as_deref(),
        Some("shop.service is protected")
    );
    assert!(format!("{actor:?}").contains("never"));
}
