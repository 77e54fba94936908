//! Admission as a contract: for whom a rule that names it sheds, and how it gives back.

use super::{
    scene::{Book, Scene, host, shop_storms, why},
    *,
};

/// A rule that admits fewer, and no other.
const RULE: &str = "autonomy = \"auto\"\n[[rule]]\nname = \"shed\"\ncauses = [\"retry_storm\"]\naction = \"admission\"\nkeep_pct = 60\n";

#[test]
fn an_overloaded_server_admits_fewer_while_it_is_and_slowly_more_after_that() {
    let mut scene = Scene::new(RULE, Book::default());
    let plan = scene.meet(shop_storms()).remove(0);
    assert!(plan.runs() && plan.action == "admission", "{plan:?}");
    assert!(
        plan.expects
            .as_deref()
            .is_some_and(|text| text.contains("accepted per second fall from 100 to 60")),
        "{plan:?}"
    );
    scene.settle();
    // Of a hundred connections a second sixty are left.
    let mut fewer = Sample::clone(&host(80));
    fewer.scopes[0].net.as_mut().expect("network").accepts = 12;
    scene.sample = Arc::new(fewer);
    scene.pass(6, Some(Level::Veto));
    assert!(
        scene
            .results()
            .iter()
            .any(|result| matches!(result, ActionResult::Effective { .. })),
        "{:?}",
        scene.outcomes
    );
    let told = scene.book.told();
    assert!(told.iter().filter(|what| *what == "take more").count() >= 4, "{told:?}");
    assert!(!told.iter().any(|what| what == "give back"), "{told:?}");
    scene.pass(3, Some(Level::Nominal));
    assert!(scene.book.told().iter().any(|what| what == "give back"));
}

#[test]
fn what_is_only_at_risk_or_on_its_way_back_is_not_shed() {
    for phase in [Phase::Healthy, Phase::Recovering] {
        let mut scene = Scene::new(RULE, Book::default());
        let verdict = Verdict {
            phase: Some(phase),
            ..shop_storms()
        };
        assert!(scene.meet(verdict).is_empty(), "{phase:?}");
    }
}

#[test]
fn a_scope_that_accepts_nothing_has_nothing_to_shed() {
    let mut scene = Scene::new(RULE, Book::default());
    let mut silent = Sample::clone(&host(80));
    silent.scopes[0].net.as_mut().expect("network").accepts = 0;
    scene.sample = Arc::new(silent);
    let plan = scene.meet(shop_storms()).remove(0);
    assert!(why(&plan).contains("accepts no connections"), "{plan:?}");
}

#[test]
fn the_kernel_keeps_one_policy_for_a_scope_and_so_the_first_rule_has_it() {
    let both = format!("{RULE}[[rule]]\nname = \"budget\"\ncauses = [\"retry_storm\"]\naction = \"retry_budget\"\n");
    let mut scene = Scene::new(&both, Book::default());
    let plans = scene.meet(shop_storms());
    assert!(
        plans[0].runs() && why(&plans[1]).contains("held by such an action already"),
        "{plans:?}"
    );
    scene.settle();
    assert_eq!(scene.book.told(), ["apply /system.slice/shop.service"]);
    assert!(scene.meet(shop_storms()).is_empty(), "and then neither is");
}
