//! What a decision costs, by the kernel's own count of run times.

use super::*;
use sentinel::kernel::{enforce::LEAST_TTL, support};
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
    assert_eq!(programs.iter().map(|program| program.name.as_str()).collect::<Vec<_>>(), names);
    for program in programs {
        let walked = program.verified_instructions;
        let told = walked.map_or_else(|| "not told".to_owned(), |count| count.to_string());
        println!("MATRIX verified {}={told}", program.name);
        assert!(walked.unwrap_or(0) <= MOST_VERIFIED, "{program:?}");
    }
    Ok(())
}

/// Nanoseconds per run of these programs, side by side, over some attempts.
fn cost(shop: &Shop, programs: &[u64]) -> Result<Vec<f64>> {
    let before: Vec<_> = programs.iter().map(|id| foreign::run_time(*id)).collect::<Result<_>>()?;
    attempt(&shop.gateway, &shop.at, &["--most", "20000", "--seconds", "20"])?;
    let spent = |(id, before): (&u64, (u64, u64))| {
        let after = foreign::run_time(*id)?;
        Ok((after.0 - before.0) as f64 / (after.1 - before.1) as f64)
    };
    programs.iter().zip(before).map(spent).collect()
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
    enforcer.put(&scope, &reserve(1_000_000), TTL)?;
    let ids = [foreign::id(empty.name())?, foreign::id("connect4")?];
    let with = cost(&shop, &ids)?;
    enforcer.renew(scope.id, LEAST_TTL)?;
    std::thread::sleep(LEAST_TTL);
    // The smallest of three: what else runs here only ever adds.
    let mut least = [f64::MAX; 2];
    for _ in 0..3 {
        for (least, now) in least.iter_mut().zip(cost(&shop, &ids)?) {
            *least = least.min(now);
        }
    }
    let [empty_ns, without_ns] = least;
    println!("MATRIX connect4, empty program={empty_ns:.0} ns");
    println!("MATRIX connect4, no policy={without_ns:.0} ns");
    println!("MATRIX connect4, with a policy={:.0} ns", with[1]);
    assert!(without_ns - empty_ns <= MOST_NS, "{without_ns:.0} ns against {empty_ns:.0} ns");
    Ok(())
}
