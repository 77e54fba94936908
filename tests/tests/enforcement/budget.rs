//! What passes is what the budget allows: to the token, on one CPU and on two.

use super::*;
use sentinel_tests::wait;

#[test]
fn above_the_budget_connect_ends_with_the_error_of_a_closed_port_where_a_program_may_choose() -> Result<()> {
    let shop = Shop::open()?;
    let listener = Workload::start(&shop.backend, &["tcp-server", "--listen", "[::1]:0", "--seconds", "60"])?;
    let six = listener.listen()?.to_string();
    let scope = scope(&shop.gateway)?;
    let mut enforcer = Enforcer::open()?;
    println!("MATRIX a refused connect ends with={:?}", enforcer.refusal());
    for at in [&shop.at, &six] {
        enforcer.put(&scope, &reserve(0), TTL)?;
        let report = attempt(&shop.gateway, at, &["--per-s", "200", "--seconds", "1"])?;
        let counts = enforcer.lift(scope.id)?;
        let (passed, refused) = (ended(&report, "ok"), ended(&report, errno(&enforcer)));
        assert_eq!(passed + refused, all(&report)?, "{at}: no other error: {report}");
        assert_eq!((counts.connects.within, counts.connects.by_floor), (0, passed), "{at}");
        assert_eq!(counts.connects.refused, refused, "{at}");
        assert_eq!(
            passed,
            (passed + refused) / 4,
            "{at}: without a token, one of four passes"
        );
    }
    Ok(())
}

/// Nobody listens there, and it needs nobody: TCP has no multicast, so the kernel ends an attempt with `ENETUNREACH` at
/// once, after the programs were asked.
const NOWHERE: &str = "224.0.0.1:9";
const UNREACHABLE: &str = "101";

/// Attempts from begin to end under a reserve; the tokens that passed lie between what surely came and what can have
/// come.
fn exactly(reserve_per_s: u32, tasks: &str, pace: &[&str]) -> Result<()> {
    let family = Family::new()?;
    let gateway = family.cgroup("gateway")?;
    let scope = scope(&gateway)?;
    let mut enforcer = Enforcer::open()?;
    let earliest_ns = wait::now_ns();
    enforcer.put(&scope, &reserve(reserve_per_s), TTL)?;
    let latest_ns = wait::now_ns();
    let report = attempt(
        &gateway,
        NOWHERE,
        &[&["--tasks", tasks, "--seconds", "2"], pace].concat(),
    )?;
    let counts = enforcer.lift(scope.id)?.connects;
    let refused = errno(&enforcer);
    // The reserve of a second is there at the start. When the last was refused, less than a token was left.
    let came = |ns: u64| (ns + 1_000_000_000) as f64 * f64::from(reserve_per_s) / 1e9;
    let last_refused_ns = report["last_begun_ns"][refused]
        .as_u64()
        .context("nothing was refused")?;
    let least = came(last_refused_ns - latest_ns) - 1.0;
    let most = came(report["last_ns"].as_u64().context("last_ns")? - earliest_ns);
    println!("{report} {counts:?}: {least:.2} to {most:.2} tokens came");
    // Every attempt is counted once, and what the clients saw is what was decided.
    assert_eq!(counts.within + counts.by_floor, ended(&report, UNREACHABLE));
    assert_eq!(counts.refused, ended(&report, refused));
    assert_eq!(counts.within + counts.by_floor + counts.refused, all(&report)?);
    let within = counts.within as f64;
    assert!(
        (least..=most).contains(&within),
        "{within} is not within {least:.2} to {most:.2}"
    );
    let apart = (within - (least + 1.0)).abs();
    println!("MATRIX tokens spent, apart from those that came, {tasks} clients at once={apart:.1} of {within}");
    Ok(())
}

#[test]
fn what_one_client_gets_is_what_came_in() -> Result<()> {
    exactly(50, "1", &["--per-s", "180"])
}

#[test]
fn what_clients_on_two_cpus_get_is_what_came_in_and_no_decision_is_lost() -> Result<()> {
    exactly(50, "4", &[])
}

#[test]
fn inbound_work_brings_tokens_for_each_connection_and_each_later_request() -> Result<()> {
    let shop = Shop::open()?;
    let (_door, at) = server(&shop.gateway)?;
    let scope = scope(&shop.gateway)?;
    let mut enforcer = Enforcer::open()?;
    enforcer.put(&scope, &reserve(0), TTL)?;
    // Twenty connections with five requests each, from outside.
    let args = ["--most", "20", "--requests", "5", "--seconds", "20"];
    assert_free("the client", &attempt(&shop.backend, &at, &args)?)?;
    let counts = enforcer.counts(scope.id)?;
    assert_eq!((counts.inbound, counts.inbound_unseen), (100, 0), "{counts:?}");
    let report = attempt(
        &shop.gateway,
        &shop.at,
        &["--most", "300", "--per-s", "1000", "--seconds", "20"],
    )?;
    let counts = enforcer.lift(scope.id)?;
    println!("{report} {counts:?}");
    // Each unit brings one attempt and a fifth.
    assert_eq!(counts.connects.within, 120, "{counts:?}");
    assert_eq!(counts.connects.by_floor, (300 - 120) / 4);
    Ok(())
}

#[test]
fn attempts_that_are_answered_are_free_and_those_that_are_not_are_shed_beyond_a_quarter_of_the_work() -> Result<()> {
    const INBOUND: u64 = 40;
    let shop = Shop::open()?;
    let (_door, at) = server(&shop.gateway)?;
    let bystander = shop.family.cgroup("bystander")?;
    let scope = scope(&shop.gateway)?;
    let mut enforcer = Enforcer::open()?;
    let limits = Limits {
        connects: Some(Connects {
            fan_out_permille: 1000,
            reserve_per_s: 1000,
            by_answers: true,
        }),
        accepts: None,
    };
    enforcer.put(&scope, &limits, TTL)?;
    let answered = ["--most", "100", "--requests", "1", "--seconds", "20"];
    assert_free("answered attempts", &attempt(&shop.gateway, &shop.at, &answered)?)?;
    let before = enforcer.counts(scope.id)?;
    assert_eq!((before.answered, before.connects.refused), (100, 0), "{before:?}");
    // Nobody waits for an answer here, and none comes.
    let most = INBOUND.to_string();
    assert_free(
        "the client",
        &attempt(&shop.backend, &at, &["--most", &most, "--seconds", "20"])?,
    )?;
    let unanswered = ["--most", "400", "--per-s", "200", "--seconds", "20"];
    let mut others = begin(&bystander, &shop.at, &unanswered)?;
    let report = attempt(&shop.gateway, &shop.at, &unanswered)?;
    let counts = enforcer.lift(scope.id)?;
    println!("{report} {counts:?}");
    assert_eq!((counts.answered, counts.inbound), (100, INBOUND), "{counts:?}");
    // A fifth of each answer, a quarter of each request, one at the start and one a second.
    let seconds = 4;
    let came = 100 / 5 + INBOUND / 4 + 1 + seconds;
    let passed = counts.connects.within - before.connects.within;
    assert!(
        passed <= came && counts.connects.by_floor == 0,
        "{passed} of {came}: {counts:?}"
    );
    assert!(passed >= 2, "a probe a second is heard: {counts:?}");
    assert_eq!(ended(&report, errno(&enforcer)), counts.connects.refused);
    assert_free("the bystander", &others.report(LIMIT)?)
}

#[test]
fn sockets_that_are_no_streams_are_not_limited() -> Result<()> {
    let shop = Shop::open()?;
    let scope = scope(&shop.gateway)?;
    let mut enforcer = Enforcer::open()?;
    enforcer.put(&scope, &reserve(0), TTL)?;
    let report = attempt(&shop.gateway, &shop.at, &["--udp", "--most", "100", "--seconds", "10"])?;
    assert_free("UDP", &report)?;
    let connects = enforcer.counts(scope.id)?.connects;
    assert_eq!(
        connects.within + connects.by_floor + connects.refused,
        0,
        "no token for UDP"
    );
    Ok(())
}
