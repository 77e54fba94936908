//! What is not done to cgroups as a contract: whom nobody touches, how much at once, and what a person may ask.

use super::{
    scene::{Book, Scene, in_a_storm, shop_storms, why},
    *,
};
use crate::{
    act::{action::Ttl, control::Apply},
    config::RuleAction,
};

#[test]
fn nobody_is_touched_who_is_protected_or_whose_data_is_partial() {
    let mut scene = Scene::new(
        "autonomy = \"auto\"\n[veto]\nprotect = [\"/system.slice/db*\"]\n",
        Book::default(),
    );
    let mut said = |verdict: Verdict| {
        scene
            .meet(verdict)
            .first()
            .map(|plan| why(plan).to_owned())
            .unwrap_or_default()
    };
    assert!(said(in_a_storm(22, "ssh.service")).contains("ssh.service, which is protected"));
    assert!(said(in_a_storm(33, "db.service")).contains("below [veto] protects it"));
    let partial = Verdict {
        coverage: 0.9,
        ..shop_storms()
    };
    assert!(said(partial).contains("needs 95 %"));
    let mut root = shop_storms();
    root.scope = Arc::new(Scope {
        path: "/".into(),
        ..Scope::clone(&root.scope)
    });
    assert!(said(root).contains("\"/\" is no cgroup below the root"));
    let mut slice = shop_storms();
    slice.scope = Arc::new(Scope {
        path: "/system.slice".into(),
        unit: None,
        ..Scope::clone(&slice.scope)
    });
    assert!(
        said(slice).contains("it holds ssh.service"),
        "what is above a protected scope is protected"
    );
    let unknown = verdict_of("shop.service", Level::Veto, Level::Unknown);
    assert!(scene.meet(unknown).is_empty(), "unknown calls on no rule");
    scene.settle();
    assert!(scene.book.told().is_empty());
}

#[test]
fn a_scope_is_held_once_and_no_more_than_so_many_at_once() {
    let toml = "autonomy = \"auto\"\n[veto]\nmax_scopes = 2\nmax_share_pct = 100\n";
    let mut scene = Scene::new(toml, Book::default());
    assert!(scene.meet(shop_storms())[0].runs());
    assert!(scene.meet(shop_storms()).is_empty(), "it is held already");
    assert!(scene.meet(in_a_storm(101, "s1.service"))[0].runs());
    // The third within a minute: what they have in common is not theirs.
    let plan = scene.meet(in_a_storm(102, "s2.service")).remove(0);
    assert!(
        why(&plan).contains("3 scopes called for it within a minute"),
        "{plan:?}"
    );
    scene.settle();
    assert!(
        scene
            .results()
            .iter()
            .any(|result| matches!(result, ActionResult::Disarmed { .. }))
    );
    assert_eq!(scene.book.told().len(), 2);
}

#[test]
fn actions_are_capped_by_the_hour_and_by_their_share_of_the_host() {
    let mut scene = Scene::new("autonomy = \"auto\"\n[veto]\nmax_per_hour = 1\n", Book::default());
    assert!(scene.meet(shop_storms())[0].runs());
    let plan = scene.meet(in_a_storm(101, "s1.service")).remove(0);
    assert!(why(&plan).contains("max_per_hour below [veto] is 1"), "{plan:?}");

    let mut scene = Scene::new("autonomy = \"auto\"\n[veto]\nmax_share_pct = 5\n", Book::default());
    assert!(scene.meet(shop_storms())[0].runs(), "one always may");
    let plan = scene.meet(in_a_storm(101, "s1.service")).remove(0);
    assert!(why(&plan).contains("max_share_pct is 5"), "{plan:?}");
}

#[test]
fn in_approve_an_action_waits_and_is_looked_at_again_when_it_is_approved() {
    let mut scene = Scene::new("autonomy = \"approve\"\n[veto]\nmax_share_pct = 5\n", Book::default());
    let shop = scene.meet(shop_storms()).remove(0);
    assert!(shop.waits && !shop.runs());
    let again = scene.meet(shop_storms()).remove(0);
    assert!(why(&again).contains("waits for approval"), "{again:?}");
    let other = scene.meet(in_a_storm(101, "s1.service")).remove(0);
    scene.settle();
    assert!(scene.book.told().is_empty());
    assert!(matches!(scene.ask(approval(&shop.id)), Reply::Done { .. }));
    assert_eq!(scene.book.told(), ["apply /system.slice/shop.service"]);
    // Meanwhile the share of the host is used up.
    assert!(matches!(scene.ask(approval(&other.id)), Reply::Refused { reason } if reason.contains("max_share_pct")));
    let lease = LeaseId::new(shop.id).expect("an id");
    let lifted = scene.ask(Request::Lift { lease: lease.clone() });
    assert!(matches!(&lifted, Reply::Done { .. }), "{lifted:?}");
    assert!(!scene.actor.holds());
    assert!(
        matches!(scene.ask(Request::Lift { lease }), Reply::Refused { .. }),
        "twice"
    );
}

#[test]
fn a_person_may_apply_within_the_limits() {
    let apply = |scope: &str, for_ms| {
        Request::Apply(Apply {
            scope: scope.into(),
            action: RuleAction::RetryBudget,
            reserve_per_s: 10,
            fan_out_milli: None,
            keep_pct: 50,
            ttl_ms: Ttl::try_from(10_000).expect("a ttl"),
            for_ms,
            reason: "drill".into(),
        })
    };
    let mut scene = Scene::auto();
    scene.pass(1, None);
    let refused = |reply: Reply, part: &str| {
        assert!(
            matches!(&reply, Reply::Refused { reason } if reason.contains(part)),
            "{part}: {reply:?}"
        );
    };
    refused(scene.ask(apply("/nowhere", 0)), "no cgroup \"/nowhere\" is watched");
    refused(scene.ask(apply("ssh.service", 0)), "protected");
    refused(scene.ask(apply("shop.service", u64::MAX)), "a day at the most");
    let done = scene.ask(apply("shop.service", 20_000));
    assert!(
        matches!(&done, Reply::Done { text } if text.contains("holds on shop.service")),
        "{done:?}"
    );
    refused(
        scene.ask(apply("/system.slice/shop.service", 0)),
        "held by such an action already",
    );
    let Reply::Listed(listed) = scene.ask(Request::List) else {
        panic!("a list")
    };
    assert_eq!(listed.leases.len(), 1);
    assert!(listed.leases[0].reason.contains("uid 0"), "{listed:?}");

    let mut scene = Scene::new("", Book::default());
    scene.pass(1, None);
    refused(scene.ask(apply("shop.service", 0)), "autonomy is `observe`");
}
