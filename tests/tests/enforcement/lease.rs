//! A policy lives as long as somebody alive wants it, and leaves nothing behind.

use std::thread;

use super::*;
use anyhow::ensure;
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use sentinel::kernel::enforce::EnforceError;
use sentinel_tests::{
    bpf::{self, Objects},
    paths, wait,
};

const SHORT: Duration = Duration::from_secs(2);
/// Attempts come a hundred times a second; an emulated CPU may be late.
const LATE: Duration = Duration::from_millis(250);

/// Milliseconds from a moment to the last attempt that was refused.
fn refused_until(report: &Value, since_ns: u64) -> Result<Duration> {
    // Nothing else fails here.
    let ended = |end: &str| report["last_ended_ns"][end].as_u64();
    let last_ns = ended("111")
        .max(ended("1"))
        .with_context(|| format!("nothing was refused: {report}"))?;
    Ok(Duration::from_nanos(last_ns.saturating_sub(since_ns)))
}

#[test]
fn without_renewal_everything_flows_after_its_time() -> Result<()> {
    let shop = Shop::open()?;
    let scope = scope(&shop.gateway)?;
    let mut enforcer = Enforcer::open()?;
    let mut client = begin(&shop.gateway, &shop.at, &["--per-s", "100", "--seconds", "5"])?;
    enforcer.put(&scope, &reserve(0), SHORT)?;
    let put_ns = wait::now_ns();
    let report = client.report(LIMIT)?;
    let lasted = refused_until(&report, put_ns)?;
    println!("{report}: refused until {lasted:?}");
    println!(
        "MATRIX a policy of 2 s lasts without renewal={:.2} s",
        lasted.as_secs_f64()
    );
    assert!(lasted <= SHORT, "{lasted:?}");
    assert!(lasted + LATE >= SHORT, "{lasted:?}");
    let renewed = enforcer.renew(scope.id, SHORT);
    assert!(matches!(renewed, Err(EnforceError::NotHeld(_))), "{renewed:?}");
    assert_eq!(enforcer.held().count(), 0);
    Ok(())
}

#[test]
fn renewal_keeps_it_and_gives_no_new_tokens() -> Result<()> {
    let shop = Shop::open()?;
    let scope = scope(&shop.gateway)?;
    let mut enforcer = Enforcer::open()?;
    enforcer.put(&scope, &reserve(0), SHORT)?;
    let mut client = begin(&shop.gateway, &shop.at, &["--per-s", "100", "--seconds", "4"])?;
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(900));
        enforcer.renew(scope.id, SHORT)?;
    }
    let report = client.report(LIMIT)?;
    assert_eq!(ended(&report, "ok"), all(&report)? / 4, "{report}");
    Ok(())
}

/// A policy of a process that meets a signal: how long it still refuses.
fn holder_meets(what: Signal, ttl_ms: &str) -> Result<Duration> {
    let shop = Shop::open()?;
    let watch = shop.family.cgroup("agent")?;
    let scope = scope(&shop.gateway)?;
    let (path, id) = (scope.path.display().to_string(), scope.id.to_string());
    let hold = [
        "hold",
        "--cgroup",
        &path,
        "--id",
        &id,
        "--ttl-ms",
        ttl_ms,
        "--renew-ms",
        "200",
        "--seconds",
        "30",
    ];
    let holder = Workload::start(&watch, &hold)?;
    let before = attempt(&shop.gateway, &shop.at, &["--most", "40", "--seconds", "5"])?;
    ensure!(ended(&before, "ok") == 10, "the policy does not hold: {before}");
    let mut client = begin(&shop.gateway, &shop.at, &["--per-s", "100", "--seconds", "6"])?;
    thread::sleep(Duration::from_secs(1));
    let signalled_ns = wait::now_ns();
    signal::kill(Pid::from_raw(holder.pid().cast_signed()), what)?;
    let report = client.report(LIMIT)?;
    ensure!(
        ended(&report, "ok") > all(&report)? / 4 + 50,
        "it never flowed: {report}"
    );
    refused_until(&report, signalled_ns)
}

#[test]
fn after_sigstop_of_the_agent_everything_flows_within_the_time_to_live() -> Result<()> {
    let lasted = holder_meets(Signal::SIGSTOP, "2000")?;
    println!(
        "MATRIX refused after SIGSTOP of the agent, ttl 2 s={:.2} s",
        lasted.as_secs_f64()
    );
    assert!(lasted <= SHORT, "{lasted:?}");
    assert!(
        lasted >= Duration::from_secs(1),
        "it was the policy that ended it: {lasted:?}"
    );
    Ok(())
}

#[test]
fn after_kill_9_of_the_agent_everything_flows_within_the_time_to_live() -> Result<()> {
    let lasted = holder_meets(Signal::SIGKILL, "4000")?;
    println!(
        "MATRIX refused after kill -9 of the agent, ttl 4 s={:.2} s",
        lasted.as_secs_f64()
    );
    assert!(lasted <= Duration::from_secs(4), "{lasted:?}");
    Ok(())
}

#[test]
fn lift_and_drop_leave_nothing_in_the_kernel() -> Result<()> {
    let shop = Shop::open()?;
    let scope = scope(&shop.gateway)?;
    let own = || Objects::of_process(std::process::id());
    let has_bpftool = paths::tool("bpftool", "bpftool").is_ok();
    let before = if has_bpftool {
        Objects::all()?
    } else {
        Objects::default()
    };
    let mut enforcer = Enforcer::open()?;
    assert!(own()?.links.is_empty(), "opening attaches nothing");
    let begun_ns = wait::now_ns();
    enforcer.put(&scope, &reserve(0), TTL)?;
    println!(
        "MATRIX putting a policy takes={:.1} ms",
        wait::since(begun_ns).as_secs_f64() * 1e3
    );
    let held = own()?;
    assert_eq!(held.links.len(), 4, "{held:?}");
    enforcer.lift(scope.id)?;
    assert!(own()?.links.is_empty());
    assert!(matches!(enforcer.lift(scope.id), Err(EnforceError::NotHeld(_))));
    assert_free(
        "after lift",
        &attempt(&shop.gateway, &shop.at, &["--most", "100", "--seconds", "9"])?,
    )?;
    enforcer.put(&scope, &reserve(0), TTL)?;
    let held = own()?;
    drop(enforcer);
    let left = own()?;
    assert!(
        left.links.is_empty() && left.programs.is_empty() && left.maps.is_empty(),
        "{left:?}"
    );
    assert_free(
        "after drop",
        &attempt(&shop.gateway, &shop.at, &["--most", "100", "--seconds", "9"])?,
    )?;
    if has_bpftool {
        bpf::wait_gone(&held, &before)?;
    }
    Ok(())
}
