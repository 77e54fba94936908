//! New connections to a scope that is hit: shed at a share and at a rate, while what is established goes on.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use super::*;
use sentinel::kernel::enforce::Accepts;

fn accepts(finish_per_s: Option<u32>, share_permille: u32) -> Limits {
    Limits {
        connects: None,
        accepts: Some(Accepts {
            finish_per_s,
            share_permille,
        }),
    }
}

/// The kernel sends a SYN again after a second: an attempt that ends before is one SYN.
const ONE_SYN: [&str; 2] = ["--limit-ms", "300"];

#[test]
fn half_is_shed_as_silence_and_what_is_established_goes_on() -> Result<()> {
    let shop = Shop::open()?;
    let victim = scope(&shop.backend)?;
    let mut kept = TcpStream::connect(&shop.at)?;
    let mut enforcer = Enforcer::open()?;
    enforcer.put(&victim, &accepts(None, 500), TTL)?;
    let report = attempt(
        &shop.gateway,
        &shop.at,
        &[&["--most", "20", "--seconds", "20"], &ONE_SYN[..]].concat(),
    )?;
    let counts = enforcer.counts(victim.id)?.accepts;
    println!("{report} {counts:?}");
    assert_eq!(ended(&report, "ok"), 10, "{report}");
    assert_eq!(
        ended(&report, "timed out") + ended(&report, "110"),
        10,
        "no answer: {report}"
    );
    assert_eq!((counts.within, counts.by_floor, counts.refused), (10, 0, 10));
    let mut byte = [7];
    kept.write_all(&byte)?;
    kept.read_exact(&mut byte)?;
    // Two tasks of the victim's own side may still connect out.
    let (_door, at) = server(&shop.gateway)?;
    assert_free(
        "the victim's own attempts",
        &attempt(&shop.backend, &at, &["--most", "20", "--seconds", "9"])?,
    )?;
    let other = server(&shop.family.cgroup("bystander")?)?;
    drop(other);
    enforcer.lift(victim.id)?;
    assert_free(
        "after lift",
        &attempt(&shop.gateway, &shop.at, &["--most", "20", "--seconds", "9"])?,
    )
}

#[test]
fn above_what_it_can_finish_is_shed_and_a_bystander_is_free() -> Result<()> {
    const FINISH: u32 = 20;
    let shop = Shop::open()?;
    let bystander = shop.family.cgroup("bystander")?;
    let (_free, free) = server(&bystander)?;
    let victim = scope(&shop.backend)?;
    let mut enforcer = Enforcer::open()?;
    // Ten tasks that give up on a SYN after 100 ms: about fifty a second, of which a quarter is less than twenty. They
    // are at it when the policy comes, so that nothing is saved up.
    let args = ["--tasks", "10", "--per-s", "5", "--limit-ms", "100", "--seconds", "4"];
    let mut clients = begin(&shop.gateway, &shop.at, &args)?;
    let earliest_ns = sentinel_tests::wait::now_ns();
    enforcer.put(&victim, &accepts(Some(FINISH), 1000), TTL)?;
    let latest_ns = sentinel_tests::wait::now_ns();
    let mut neighbours = begin(&shop.gateway, &free, &["--per-s", "50", "--seconds", "4"])?;
    let report = clients.report(LIMIT)?;
    let counts = enforcer.counts(victim.id)?.accepts;
    println!("{report} {counts:?}");
    let time = |name: &str| report[name].as_u64().context("a time");
    let shed = |end: &str| report["last_begun_ns"][end].as_u64();
    let last_shed_ns = shed("timed out").max(shed("110")).context("nothing was shed")?;
    let came = |from_ns: u64, to_ns: u64| f64::from(FINISH) * to_ns.saturating_sub(from_ns) as f64 / 1e9;
    // What came is admitted, and no more; when the last was shed, less than one was left.
    let most = came(earliest_ns, time("last_ns")?);
    let least = came(latest_ns, last_shed_ns) - 1.0;
    let within = counts.within as f64;
    assert!((least..=most).contains(&within), "{counts:?}: {least:.1} to {most:.1}");
    assert!(
        counts.refused > 0 && counts.refused <= 3 * (counts.within + counts.by_floor) + 3,
        "{counts:?}"
    );
    assert_free("the bystander", &neighbours.report(LIMIT)?)
}

#[test]
fn a_step_sheds_more_at_once_and_lets_in_more_slowly() -> Result<()> {
    let shop = Shop::open()?;
    let victim = scope(&shop.backend)?;
    let mut enforcer = Enforcer::open()?;
    enforcer.put(&victim, &accepts(None, 1000), TTL)?;
    let down: Vec<u32> = (0..3)
        .map(|_| enforcer.step(victim.id, true))
        .collect::<Result<_, _>>()?;
    assert_eq!(down, [950, 903, 858]);
    assert_eq!(enforcer.step(victim.id, false)?, 868);
    for _ in 0..40 {
        enforcer.step(victim.id, true)?;
    }
    // A quarter is let in whatever happens.
    let args = [&["--most", "20", "--seconds", "20"], &ONE_SYN[..]].concat();
    assert_eq!(ended(&attempt(&shop.gateway, &shop.at, &args)?, "ok"), 5);
    Ok(())
}
