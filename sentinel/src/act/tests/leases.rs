//! What is done to cgroups as a contract: from a verdict to the end of its lease.

use super::{
    scene::{Book, Scene, host, shop_storms, why},
    *,
};

#[test]
fn a_storm_is_put_on_a_budget_and_let_go_when_it_is_over() {
    let mut scene = Scene::auto();
    let plan = scene.meet(shop_storms()).remove(0);
    assert_eq!(
        (plan.action.as_str(), plan.rule.as_deref()),
        ("retry_budget", Some("retry-storm"))
    );
    assert!(plan.runs(), "{plan:?}");
    scene.settle();
    let lease = scene.actor.leases(0).remove(0);
    assert_eq!((lease.id, lease.cgroup_id), (plan.id.clone(), 4711));
    scene.sample = host(20);
    scene.pass(6, Some(Level::Veto));
    scene.pass(8, Some(Level::Nominal));
    let results = scene.results();
    assert!(
        matches!(
            results[..],
            [
                ActionResult::Began { .. },
                ActionResult::Effective { .. },
                ActionResult::Ended { .. }
            ]
        ),
        "{results:?}"
    );
    assert!(
        scene
            .outcomes
            .iter()
            .all(|outcome| outcome.lease.as_deref() == Some(plan.id.as_str()))
    );
    let told = scene.book.told();
    assert_eq!(told[0], "apply /system.slice/shop.service");
    assert_eq!(told.last().map(String::as_str), Some("revert"));
    assert!(told.iter().filter(|what| *what == "renew").count() >= 8, "{told:?}");
    assert!(!scene.actor.holds());
}

#[test]
fn in_observe_the_plan_says_what_would_be_done_and_nothing_is() {
    let mut scene = Scene::new("", Book::default());
    let plan = scene.meet(Verdict {
        autonomy: crate::config::Autonomy::Observe,
        ..shop_storms()
    });
    assert!(plan[0].would && plan[0].forbidden.is_none(), "{plan:?}");
    assert!(
        plan[0]
            .expects
            .as_deref()
            .is_some_and(|text| text.contains("fall from 400")),
        "{plan:?}"
    );
    scene.settle();
    assert!(scene.book.told().is_empty());
}

#[test]
fn without_its_effect_it_is_undone_and_the_rule_acts_no_more_until_it_is_armed() {
    let mut scene = Scene::auto();
    scene.meet(shop_storms());
    scene.settle();
    // The shop goes on as before: its retries go over connections that are kept.
    scene.pass(6, Some(Level::Veto));
    let results = scene.results();
    assert!(
        matches!(
            results[..],
            [
                ActionResult::Began { .. },
                ActionResult::Ineffective { .. },
                ActionResult::Disarmed { .. },
                ActionResult::Ended { .. }
            ]
        ),
        "{results:?}"
    );
    let plan = scene.meet(shop_storms()).remove(0);
    assert!(
        why(&plan).contains("rule retry-storm is disarmed: its last action had no effect"),
        "{plan:?}"
    );
    let rule = || Request::Arm {
        rule: "retry-storm".into(),
    };
    assert!(matches!(scene.ask(rule()), Reply::Done { text } if text.contains("acts again")));
    assert!(scene.meet(shop_storms())[0].runs());
    let unknown = Request::Arm { rule: "storm".into() };
    assert!(matches!(scene.ask(unknown), Reply::Refused { reason } if reason.contains("retry-storm")));
}

#[test]
fn without_data_it_lapses_and_whoever_lost_it_is_believed() {
    let mut scene = Scene::auto();
    scene.meet(shop_storms());
    scene.settle();
    scene.sample = host(20);
    scene.pass(6, Some(Level::Veto));
    scene.outcomes.clear();
    scene.pass(14, None);
    assert!(
        matches!(scene.results()[..], [ActionResult::Ended { why, .. }] if why.contains("time is over")),
        "{:?}",
        scene.outcomes
    );

    let book = Book {
        forgets: true,
        ..Book::default()
    };
    let mut scene = Scene::new("autonomy = \"auto\"\n", book);
    scene.meet(shop_storms());
    scene.settle();
    scene.pass(3, Some(Level::Veto));
    assert!(
        matches!(
            scene.results()[..],
            [ActionResult::Began { .. }, ActionResult::Ended { .. }]
        ),
        "{:?}",
        scene.outcomes
    );
    assert!(!scene.actor.holds());
}

#[test]
fn what_cannot_be_done_is_said_and_not_held() {
    let book = Book {
        refuses: true,
        ..Book::default()
    };
    let mut scene = Scene::new("autonomy = \"auto\"\n", book);
    scene.meet(shop_storms());
    scene.settle();
    assert!(matches!(scene.results()[..], [ActionResult::Failed { reason }] if reason.contains("is gone")));
    assert!(!scene.actor.holds());
}
