//! What a decision costs, by the kernel's own count of run times.

use super::*;
use anyhow::ensure;
use sentinel::kernel::{
    enforce::{LEAST_TTL, MOST_TTL},
    support,
};
use sentinel_tests::{
    foreign::{self, Answer, Foreign},
    paths,
};

/// More than an empty program costs, for an attempt where there is no policy.
const MOST_NS: f64 = 50.0;
/// No program may make a verifier walk more instructions than that.
const MOST_VERIFIED: u32 = 20_000;

#[test]
fn this_kernels_verifier_takes_every_enforcing_program() -> Result<()> {
    let enforcer = Enforcer::open()?;
    let names = ["connect4", "connect6", "limit_ingress", "limit_sock_ops"];
    let programs = enforcer.programs();
    assert_eq!(
        programs.iter().map(|program| program.name.as_str()).collect::<Vec<_>>(),
        names
    );
    for program in programs {
        let walked = program.verified_instructions;
        let told = walked.map_or_else(|| "not told".to_owned(), |count| count.to_string());
        println!("MATRIX verified {}={told}", program.name);
        assert!(walked.unwrap_or(0) <= MOST_VERIFIED, "{program:?}");
    }
    Ok(())
}

/// Nanoseconds per run of these programs, over the same attempts of a cgroup both are attached to: the smallest of
/// three, because what else runs on this machine only ever adds.
fn cost(shop: &Shop, cgroup: &Cgroup, programs: [u64; 2]) -> Result<[f64; 2]> {
    let mut least = [f64::MAX; 2];
    for _ in 0..3 {
        let before = [foreign::run_time(programs[0])?, foreign::run_time(programs[1])?];
        attempt(cgroup, &shop.at, &["--most", "3000", "--seconds", "20"])?;
        for ((id, before), least) in programs.iter().zip(before).zip(&mut least) {
            let after = foreign::run_time(*id)?;
            ensure!(after.1 > before.1, "program {id} did not run");
            *least = least.min((after.0 - before.0) as f64 / (after.1 - before.1) as f64);
        }
    }
    Ok(least)
}

#[test]
fn where_there_is_no_policy_a_decision_costs_little_more_than_an_empty_program() -> Result<()> {
    if let Err(error) = paths::tool("bpftool", "bpftool") {
        println!("SKIP: {error}");
        return Ok(());
    }
    let _counting = support::count_run_time()?;
    let shop = Shop::open()?;
    let scope = scope(&shop.gateway)?;
    let empty = Foreign::attach(&shop.gateway, Answer::Allow)?;
    let mut enforcer = Enforcer::open()?;
    enforcer.put(&scope, &reserve(1_000_000), MOST_TTL)?;
    let ours = foreign::id("connect4")?;
    let both = [empty.id(), ours];
    // The same two programs where no policy was ever put.
    let without = shop.family.cgroup("without")?;
    let _there = [
        Foreign::attach_loaded(&without, both[0])?,
        Foreign::attach_loaded(&without, both[1])?,
    ];
    let [empty_ns, without_ns] = cost(&shop, &without, both)?;
    enforcer.renew(scope.id, MOST_TTL)?;
    let [_, within_ns] = cost(&shop, &shop.gateway, both)?;
    enforcer.renew(scope.id, LEAST_TTL)?;
    std::thread::sleep(LEAST_TTL);
    let [_, lapsed_ns] = cost(&shop, &shop.gateway, both)?;
    println!("MATRIX connect4, an empty program={empty_ns:.0} ns");
    println!("MATRIX connect4, no policy={without_ns:.0} ns");
    println!("MATRIX connect4, policy lapsed (reads the clock)={lapsed_ns:.0} ns");
    println!("MATRIX connect4, within a policy={within_ns:.0} ns");
    assert!(
        without_ns - empty_ns <= MOST_NS,
        "{without_ns:.0} ns against {empty_ns:.0} ns"
    );
    Ok(())
}
