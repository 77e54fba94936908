//! Nobody but the scope is touched, and what others decided stays.

use super::*;
use sentinel_tests::{
    foreign::{Answer, Foreign},
    paths,
};

const MANY: [&str; 4] = ["--most", "100", "--seconds", "20"];

#[test]
fn bystander_sibling_and_parent_are_free_and_a_child_counts_for_the_scope() -> Result<()> {
    let shop = Shop::open()?;
    let parent = shop.family.cgroup("parent")?;
    let limited = shop.family.cgroup("parent/limited")?;
    let child = shop.family.cgroup("parent/limited/child")?;
    let sibling = shop.family.cgroup("parent/sibling")?;
    let scope = scope(&limited)?;
    let mut enforcer = Enforcer::open()?;
    enforcer.put(&scope, &reserve(0), TTL)?;
    for (who, cgroup) in [("bystander", &shop.gateway), ("sibling", &sibling), ("parent", &parent)] {
        assert_free(who, &attempt(cgroup, &shop.at, &MANY)?)?;
    }
    assert_eq!(enforcer.counts(scope.id)?.connects.refused, 0);
    for (who, cgroup, sum) in [("child", &child, 75), ("scope", &limited, 150)] {
        let report = attempt(cgroup, &shop.at, &MANY)?;
        assert_eq!(ended(&report, errno(&enforcer)), 75, "{who}: {report}");
        assert_eq!(enforcer.counts(scope.id)?.connects.refused, sum, "{who}");
    }
    for (who, cgroup) in [("bystander", &shop.gateway), ("sibling", &sibling), ("parent", &parent)] {
        assert_free(who, &attempt(cgroup, &shop.at, &MANY)?)?;
    }
    Ok(())
}

#[test]
fn two_scopes_have_a_budget_each() -> Result<()> {
    let shop = Shop::open()?;
    let other = shop.family.cgroup("other")?;
    let (one, two) = (scope(&shop.gateway)?, scope(&other)?);
    let mut enforcer = Enforcer::open()?;
    enforcer.put(&one, &reserve(0), TTL)?;
    enforcer.put(&two, &reserve(1_000_000), TTL)?;
    assert_eq!(ended(&attempt(&shop.gateway, &shop.at, &MANY)?, "ok"), 25);
    assert_free("the other", &attempt(&other, &shop.at, &MANY)?)?;
    enforcer.lift(one.id)?;
    assert_free("the first, lifted", &attempt(&shop.gateway, &shop.at, &MANY)?)?;
    assert_eq!(enforcer.held().collect::<Vec<_>>(), [two.id]);
    Ok(())
}

#[test]
fn what_a_policy_below_refuses_one_above_does_not_allow() -> Result<()> {
    let shop = Shop::open()?;
    let child = shop.family.cgroup("gateway/child")?;
    let (inner, outer) = (scope(&child)?, scope(&shop.gateway)?);
    let mut enforcer = Enforcer::open()?;
    enforcer.put(&outer, &reserve(1_000_000), TTL)?;
    enforcer.put(&inner, &reserve(0), TTL)?;
    let report = attempt(&child, &shop.at, &MANY)?;
    assert_eq!(ended(&report, errno(&enforcer)), 75, "{report}");
    let above = enforcer.counts(outer.id)?.connects;
    // Where a program is told of an earlier denial it takes no token for an attempt that is lost already.
    let taken = if enforcer.refusal() == Refusal::ConnectionRefused {
        25
    } else {
        100
    };
    assert_eq!((above.within, above.refused), (taken, 0), "{above:?}");
    Ok(())
}

/// `None`, with the reason, where somebody else's program cannot be loaded.
fn foreign(cgroup: &Cgroup, answer: Answer) -> Result<Option<Foreign>> {
    if let Err(error) = paths::tool("bpftool", "bpftool") {
        println!("SKIP: {error}");
        return Ok(None);
    }
    Foreign::attach(cgroup, answer).map(Some)
}

#[test]
fn an_earlier_denial_by_another_program_is_kept_with_its_error() -> Result<()> {
    let shop = Shop::open()?;
    let scope = scope(&shop.gateway)?;
    let Some(_other) = foreign(&shop.gateway, Answer::Deny)? else {
        return Ok(());
    };
    let mut enforcer = Enforcer::open()?;
    enforcer.put(&scope, &reserve(0), TTL)?;
    let report = attempt(&shop.gateway, &shop.at, &MANY)?;
    assert_eq!(ended(&report, "1"), 100, "EPERM, as the other program said: {report}");
    if enforcer.refusal() == Refusal::ConnectionRefused {
        let connects = enforcer.counts(scope.id)?.connects;
        assert_eq!(
            connects.by_floor + connects.refused,
            0,
            "nothing was left to decide: {connects:?}"
        );
    }
    enforcer.lift(scope.id)?;
    let report = attempt(&shop.gateway, &shop.at, &MANY)?;
    assert_eq!(ended(&report, "1"), 100, "the other program is still there: {report}");
    Ok(())
}

#[test]
fn a_program_that_allows_and_one_that_denies_later_change_nothing_of_a_refusal() -> Result<()> {
    let shop = Shop::open()?;
    let scope = scope(&shop.gateway)?;
    let Some(_allows) = foreign(&shop.gateway, Answer::Allow)? else {
        return Ok(());
    };
    let mut enforcer = Enforcer::open()?;
    enforcer.put(&scope, &reserve(0), TTL)?;
    let report = attempt(&shop.gateway, &shop.at, &MANY)?;
    assert_eq!(ended(&report, errno(&enforcer)), 75, "{report}");
    let Some(_denies) = foreign(&shop.gateway, Answer::Deny)? else {
        return Ok(());
    };
    let report = attempt(&shop.gateway, &shop.at, &MANY)?;
    assert_eq!(ended(&report, "ok"), 0, "{report}");
    if enforcer.refusal() == Refusal::ConnectionRefused {
        assert_eq!(ended(&report, "111"), 75, "the first error stays: {report}");
    }
    Ok(())
}
