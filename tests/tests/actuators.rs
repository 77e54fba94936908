//! What is done to a cgroup is done to that one only, within its floors, and undone.
//!
//! Needs root. Freezing works on every host with cgroup v2; the rest needs its cpu and memory controllers there.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use sentinel::{
    act::{
        action::{Action, LeaseId, Order, Target, Ttl},
        actuator::{Actuator as _, ActuatorError, CgroupActuator, Guarded, JournalError, Knob},
        message::{Ending, Why},
    },
    time::Now,
};
use sentinel_tests::{
    cgroup::Family,
    holder::Holder,
    invoke::{self, code},
    paths,
    stage::{CPU_MAX, Stage, alive, endings, has, lease, order, says, share, work},
    wait,
    workload::{Workload, hold::options},
};

/// A user without any right.
const NOBODY: u32 = 65_534;
/// How long something that comes at once may take.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_freeze_stops_its_cgroup_and_nobody_else_and_is_undone() -> Result<()> {
    let stage = Stage::set()?;
    let mut guarded = stage.guarded()?;
    let start_ns = wait::now_ns();
    let applied = guarded.apply(&stage.freeze()?, Now::read())?;
    let took = wait::since(start_ns);
    println!(
        "MATRIX order done, with a synced record, after={:.1} ms",
        took.as_secs_f64() * 1e3
    );
    assert_eq!((applied.found.as_str(), applied.wrote.as_str()), ("0", "1"));
    // For longer than what is measured here takes on a slow host.
    guarded.renew(&lease()?, Ttl::try_from(60_000)?, Now::read())?;
    ensure!(wait::until_true(SOON, || stage.frozen()));
    stage.others_are_untouched(Some(Knob::Freeze))?;
    let used = share(&stage.scope)?;
    ensure!(used < 0.01, "frozen, and uses {used} of a CPU");
    let put_back = guarded.revert(&lease()?, Now::read())?;
    assert_eq!((put_back.why, put_back.ending), (Why::Asked, Ending::Restored));
    stage.all_is_back()?;
    let guard = guarded.pid().context("no guard")?.cast_signed();
    drop(guarded);
    ensure!(!alive(guard), "the guard outlives its agent");
    Ok(())
}

#[test]
fn no_cgroup_is_frozen_for_more_than_a_minute() -> Result<()> {
    let stage = Stage::set()?;
    let cgroups = options(stage.journal())?.cgroups;
    let at = |seconds: u64| Now {
        unix_ms: 0,
        monotonic_ns: seconds * 1_000_000_000,
    };
    let (mut actuator, _) = CgroupActuator::open(&cgroups, at(0))?;
    actuator.apply(&stage.freeze()?, at(0))?;
    for second in 1..60 {
        ensure!(actuator.lapse(at(second)).is_empty(), "lapsed at {second}");
        let renewed = actuator.renew(&lease()?, Ttl::try_from(2_000)?, at(second));
        let too_long = matches!(renewed, Err(ActuatorError::FreezeTooLong { .. }));
        ensure!(
            renewed.is_ok() != too_long && too_long == (second == 59),
            "{second}: {renewed:?}"
        );
    }
    let lapsed = actuator.lapse(at(60));
    assert_eq!(endings(&lapsed), [(Why::Lapsed, Ending::Restored)]);
    stage.all_is_back()
}

#[test]
fn a_quota_slows_its_cgroup_down_and_nobody_else() -> Result<()> {
    if !has("cpu")? {
        return Ok(());
    }
    let stage = Stage::set()?;
    let mut guarded = stage.guarded()?;
    let before = share(&stage.scope)?;
    let applied = guarded.apply(&stage.order("lease-1", CPU_MAX)?, Now::read())?;
    // For longer than what is measured here takes on a slow host.
    guarded.renew(&lease()?, Ttl::try_from(60_000)?, Now::read())?;
    assert_eq!(
        (applied.found.as_str(), applied.wrote.as_str()),
        ("max 100000", "15000 100000")
    );
    stage.others_are_untouched(Some(Knob::CpuMax))?;
    let during = share(&stage.scope)?;
    println!("MATRIX CPU of a scope with a quota of 0.15, before and during={before:.2}, {during:.2}");
    ensure!(during < 0.2, "a quota of 0.15 leaves {during:.2}");
    let put_back = guarded.revert(&lease()?, Now::read())?;
    assert_eq!((put_back.why, put_back.ending), (Why::Asked, Ending::Restored));
    stage.all_is_back()
}

#[test]
fn what_somebody_else_wrote_meanwhile_is_left() -> Result<()> {
    if !has("cpu")? {
        return Ok(());
    }
    let stage = Stage::set()?;
    let file = stage.scope.dir().join("cpu.max");
    let mut guarded = stage.guarded()?;
    guarded.apply(&stage.order("lease-1", CPU_MAX)?, Now::read())?;
    fs::write(&file, "90000 100000")?;
    let put_back = guarded.revert(&lease()?, Now::read())?;
    let theirs = Ending::Left {
        now: "90000 100000".into(),
    };
    assert_eq!(put_back.ending, theirs);
    assert_eq!(says(&stage.scope, "cpu.max")?, "90000 100000");
    // Tighter than what is wanted: nothing to add, and nothing is loosened.
    fs::write(&file, "10000 100000")?;
    let error = guarded.apply(&stage.order("lease-2", CPU_MAX)?, Now::read()).err();
    ensure!(matches!(error, Some(ActuatorError::Tighter { .. })), "{error:?}");
    assert_eq!(says(&stage.scope, "cpu.max")?, "10000 100000");
    // Looser: that is what is put back, not the kernel's default.
    fs::write(&file, "80000 200000")?;
    guarded.apply(&stage.order("lease-3", CPU_MAX)?, Now::read())?;
    assert_eq!(says(&stage.scope, "cpu.max")?, "15000 100000");
    drop(guarded);
    assert_eq!(says(&stage.scope, "cpu.max")?, "80000 200000");
    Ok(())
}

#[test]
fn a_weight_gives_way_to_others_and_comes_back() -> Result<()> {
    if !has("cpu")? {
        return Ok(());
    }
    let stage = Stage::set()?;
    let file = stage.scope.dir().join("cpu.weight");
    fs::write(&file, "333")?;
    let mut guarded = stage.guarded()?;
    let order = |lease: &str, weight| stage.order(lease, Action::CpuWeight { weight });
    let error = guarded.apply(&order("low", 83)?, Now::read()).err();
    ensure!(
        matches!(error, Some(ActuatorError::Floor { least: 84, .. })),
        "{error:?}"
    );
    let applied = guarded.apply(&order("lease-1", 84)?, Now::read())?;
    assert_eq!(
        (applied.found.as_str(), says(&stage.scope, "cpu.weight")?.as_str()),
        ("333", "84")
    );
    stage.others_are_untouched(Some(Knob::CpuWeight))?;
    assert_eq!(guarded.revert(&lease()?, Now::read())?.ending, Ending::Restored);
    assert_eq!(says(&stage.scope, "cpu.weight")?, "333");
    if fs::write(stage.scope.dir().join("cpu.idle"), "1").is_ok() {
        // It shows no weight, or from 7.2 on at the latest the least: either way it is left.
        let shown = says(&stage.scope, "cpu.weight")?;
        let error = guarded.apply(&order("idle", 50)?, Now::read()).err();
        let left = match shown.as_str() {
            "0" => matches!(error, Some(ActuatorError::NotRestorable { .. })),
            _ => matches!(error, Some(ActuatorError::Tighter { .. })),
        };
        ensure!(left && says(&stage.scope, "cpu.weight")? == shown, "{shown}: {error:?}");
    }
    Ok(())
}

#[test]
fn memory_is_held_near_what_is_used_and_let_go() -> Result<()> {
    if !has("memory")? {
        return Ok(());
    }
    let stage = Stage::set()?;
    let taken = Workload::start(&stage.bystander, &["alloc-once", "--mb", "32", "--seconds", "60"])?;
    // The one with memory is the scope here; the other is the bystander.
    let current = || -> Result<u64> { Ok(says(&stage.bystander, "memory.current")?.parse()?) };
    taken.event("idle", SOON * 4)?;
    ensure!(
        current()? > 30_000_000,
        "32 MB were taken, and {} are counted",
        current()?
    );
    let mut guarded = stage.guarded()?;
    let order = |lease: &str, bytes| order(&stage.bystander, lease, Action::MemoryHigh { bytes });
    let error = guarded.apply(&order("low", current()? / 2 - 4_096)?, Now::read()).err();
    ensure!(matches!(error, Some(ActuatorError::Floor { .. })), "{error:?}");
    let bytes = current()? + (8 << 20) + 1;
    let applied = guarded.apply(&order("lease-1", bytes)?, Now::read())?;
    let page = bytes - bytes % 4096;
    assert_eq!(
        (applied.found.as_str(), applied.wrote.clone()),
        ("max", page.to_string())
    );
    assert_eq!(says(&stage.bystander, "memory.high")?, page.to_string());
    assert_eq!(says(&stage.scope, "memory.high")?, "max");
    // Below what is used: the kernel reclaims, and the guard answers all the same.
    drop(guarded);
    assert_eq!(says(&stage.bystander, "memory.high")?, "max");
    let mut guarded = stage.guarded()?;
    let start_ns = wait::now_ns();
    guarded.apply(&order("tight", current()? / 4 * 3)?, Now::read())?;
    println!(
        "MATRIX memory.high below use, order done after={} ms",
        wait::since(start_ns).as_millis()
    );
    let tight = LeaseId::new("tight")?;
    assert_eq!(guarded.revert(&tight, Now::read())?.ending, Ending::Restored);
    assert_eq!(says(&stage.bystander, "memory.high")?, "max");
    work(&[&stage.scope])
}

#[test]
fn a_cgroup_that_was_made_again_under_the_same_name_is_not_touched() -> Result<()> {
    let family = Family::new()?;
    let state = tempfile::tempdir()?;
    let cgroups = options(state.path().join("leases.jsonl"))?.cgroups;
    let (mut actuator, _) = CgroupActuator::open(&cgroups, Now::read())?;
    let old = family.cgroup("scope")?;
    let freeze = order(&old, "lease-1", Action::Freeze)?;
    let late = order(&old, "lease-2", Action::Freeze)?;
    actuator.apply(&freeze, Now::read())?;
    drop(old);
    let new = family.cgroup("scope")?;
    fs::write(new.dir().join("cgroup.freeze"), "1")?;
    let put_back = actuator.revert(&lease()?, Now::read())?;
    assert_eq!(put_back.ending, Ending::Gone);
    let error = actuator.apply(&late, Now::read()).expect_err("it is another cgroup");
    ensure!(matches!(error, ActuatorError::Recreated { .. }), "{error}");
    assert_eq!(says(&new, "cgroup.freeze")?, "1");
    drop(new);
    let error = actuator.apply(&late, Now::read()).expect_err("its cgroup is gone");
    ensure!(matches!(error, ActuatorError::Vanished { .. }), "{error}");
    Ok(())
}

#[test]
fn what_breaks_a_rule_is_refused_and_changes_nothing() -> Result<()> {
    let stage = Stage::set()?;
    let mut guarded = stage.guarded()?;
    let mut refused = |order: Order, says: &[&str]| -> Result<()> {
        let error = guarded.apply(&order, Now::read()).err().context("it was done")?;
        println!("{error}");
        let text = error.to_string();
        ensure!(
            says.iter().all(|part| text.contains(part)),
            "says nothing of {says:?}: {text}"
        );
        Ok(())
    };
    let budget = Action::RetryBudget {
        per_s: 10,
        fan_out_milli: 1_000,
    };
    refused(stage.order("a", budget)?, &["retry_budget", "cgroup"])?;
    let ttl = Ttl::try_from(1_000)?;
    let elsewhere =
        |path: &str| Order::new(lease()?, Target::new(path, 2)?, Action::Freeze, ttl, "why").context("order");
    refused(elsewhere("/no/such/cgroup")?, &["/no/such/cgroup is gone"])?;
    refused(elsewhere("/cgroup.procs")?, &["/cgroup.procs is gone"])?;
    refused(elsewhere(&stage.scope.scope())?, &["another one now"])?;
    let unknown = LeaseId::new("unknown")?;
    for error in [
        guarded.renew(&unknown, ttl, Now::read()).err(),
        guarded.revert(&unknown, Now::read()).err(),
    ] {
        assert_eq!(error, Some(ActuatorError::Unknown { lease: unknown.clone() }));
    }
    stage.all_is_back()?;
    // One lease for a file, and one order for a lease.
    guarded.apply(&stage.freeze()?, Now::read())?;
    let error = guarded.apply(&stage.order("c", Action::Freeze)?, Now::read()).err();
    ensure!(matches!(error, Some(ActuatorError::Held { .. })), "{error:?}");
    let error = guarded.apply(&stage.freeze()?, Now::read()).err();
    ensure!(matches!(error, Some(ActuatorError::LeaseTaken { .. })), "{error:?}");
    drop(guarded);
    // Freezing must be allowed by name.
    let mut allowed = options(stage.journal())?;
    allowed.cgroups.allow_freeze = false;
    let error = Guarded::start(allowed)?.0.apply(&stage.freeze()?, Now::read()).err();
    ensure!(
        matches!(error, Some(ActuatorError::FreezeNotAllowed { .. })),
        "{error:?}"
    );
    stage.all_is_back()
}

#[test]
fn a_controller_that_is_not_enabled_is_named_with_what_helps() -> Result<()> {
    let (family, state) = (Family::new()?, tempfile::tempdir()?);
    // Nothing is enabled for what is in the family's directory.
    let scope = family.cgroup("scope")?;
    let mut guarded = Guarded::start(options(state.path().join("leases.jsonl"))?)?.0;
    let memory = Action::MemoryHigh { bytes: 1 << 30 };
    for (name, action) in [("cpu", CPU_MAX), ("memory", memory)] {
        let refused = guarded.apply(&order(&scope, name, action)?, Now::read());
        let text = refused.err().context("it was done")?.to_string();
        println!("{text}");
        let enabled = format!("echo +{name} > {}", paths::cgroup2()?.display());
        let booted = format!("cgroup_no_v1={name}");
        ensure!(text.contains(&format!("the {name} controller")), "{text}");
        ensure!(text.contains(&enabled) || text.contains(&booted), "{text}");
    }
    Ok(())
}

#[test]
fn nobody_acts_on_the_cgroup_it_lives_in() -> Result<()> {
    let stage = Stage::set()?;
    let inside = stage.scope.command(paths::workload()?);
    let error = Holder::start_as(inside, &stage.freeze()?, &stage.journal())
        .err()
        .context("it was done")?;
    ensure!(format!("{error:#}").contains("holds sentinel itself"), "{error:#}");
    stage.all_is_back()
}

#[test]
fn a_second_agent_and_one_without_rights_are_refused() -> Result<()> {
    let stage = Stage::set()?;
    let first = stage.guarded()?;
    let error = Guarded::start(options(stage.journal())?).err().context("two guards")?;
    ensure!(
        matches!(error, ActuatorError::Journal(JournalError::Locked { .. })),
        "{error}"
    );
    drop(first);
    let dir = tempfile::tempdir()?;
    let error = Holder::start_as(
        as_nobody(dir.path())?,
        &stage.freeze()?,
        &dir.path().join("own/leases.jsonl"),
    );
    let text = format!("{:#}", error.err().context("nobody may freeze")?);
    ensure!(
        text.contains("cgroup.freeze") && text.contains("ermission denied"),
        "{text}"
    );
    let alone = invoke::invoke(&["guard", "--journal", invoke::text(&stage.journal())], SOON)?;
    invoke::refused(&alone, code::USAGE, &["started by the agent itself"])?;
    let journal = stage.journal();
    let none = [
        "guard",
        "--put-back",
        "--mount",
        "/proc",
        "--journal",
        invoke::text(&journal),
    ];
    invoke::refused(&invoke::invoke(&none, SOON)?, code::CANNOT, &["/proc", "no cgroup v2"])?;
    stage.all_is_back()
}

/// The holder as a user without any right, from copies: the build folder need not be readable for others.
fn as_nobody(dir: &Path) -> Result<Command> {
    let (workload, sentinel, own) = (dir.join("workload"), dir.join("sentinel"), dir.join("own"));
    fs::copy(paths::workload()?, &workload)?;
    fs::copy(paths::sentinel()?, &sentinel)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    fs::create_dir(&own)?;
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700))?;
    chown(&own, Some(NOBODY), Some(NOBODY))?;
    let mut command = Command::new(workload);
    command.uid(NOBODY).gid(NOBODY).env("SENTINEL_BIN", sentinel);
    Ok(command)
}
