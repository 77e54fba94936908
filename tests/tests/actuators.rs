//! What is done to a cgroup is done to that one only, and undone however its holder ends.
//!
//! Needs root. Freezing works on every host with cgroup v2; the rest needs its cpu and memory controllers there.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sentinel::{
    act::{
        action::{Action, LeaseId, Order, Target, Ttl},
        actuator::{Actuator as _, ActuatorError, CgroupActuator, Guarded, JournalError, Knob},
        message::{Ending, PutBack, Why},
    },
    time::Now,
};
use sentinel_tests::{
    cgroup::{Cgroup, Family},
    holder::Holder,
    invoke::{self, code},
    paths, wait,
    workload::{Workload, hold::options},
};
use tempfile::TempDir;

/// A user without any right.
const NOBODY: u32 = 65_534;
/// What a lease holds for here.
const TTL: Duration = Duration::from_secs(2);
/// Beyond a deadline: the time until a process that waits for a CPU of this host got one.
const SLACK: Duration = Duration::from_millis(500);
/// How long something that comes at once may take.
const SOON: Duration = Duration::from_secs(5);
/// Time over which use is measured.
const MEASURED: Duration = Duration::from_millis(1500);

/// A cgroup to act on, with a busy task; a bystander beside it, busy too; and what was set before.
struct Stage {
    scope: Cgroup,
    bystander: Cgroup,
    _tasks: Vec<Workload>,
    _family: Family,
    state: TempDir,
    before: Vec<(PathBuf, String)>,
}

impl Stage {
    fn set() -> Result<Self> {
        let family = Family::new()?;
        let controllers = fs::read_to_string(paths::cgroup2()?.join("cgroup.controllers"))?;
        let scope = family.cgroup("scope")?;
        let parent = scope.dir().parent().context("no parent")?.to_owned();
        for name in controllers
            .split_whitespace()
            .filter(|name| ["cpu", "memory"].contains(name))
        {
            fs::write(parent.join("cgroup.subtree_control"), format!("+{name}"))?;
        }
        let bystander = family.cgroup("bystander")?;
        let busy = |cgroup: &Cgroup| {
            Workload::start(
                cgroup,
                &["duty", "--threads", "1", "--percent", "40", "--seconds", "60"],
            )
        };
        let tasks = vec![busy(&scope)?, busy(&bystander)?];
        let before = settings(&[&parent, bystander.dir(), scope.dir()]);
        ensure!(before.len() >= 3, "nothing to compare: {before:?}");
        Ok(Self {
            scope,
            bystander,
            _tasks: tasks,
            _family: family,
            state: tempfile::tempdir()?,
            before,
        })
    }

    fn journal(&self) -> PathBuf {
        self.state.path().join("leases.jsonl")
    }

    fn order(&self, lease: &str, action: Action) -> Result<Order> {
        order(&self.scope, lease, action)
    }

    fn freeze(&self) -> Result<Order> {
        self.order("lease-1", Action::Freeze)
    }

    fn hold(&self, order: &Order) -> Result<Holder> {
        Holder::start(order, &self.journal())
    }

    fn guarded(&self) -> Result<Guarded> {
        Ok(Guarded::start(options(self.journal())?)?.0)
    }

    fn frozen(&self) -> bool {
        frozen(&self.scope)
    }

    /// Everything but one file of the scope says what it said before, and the bystander works.
    fn others_are_untouched(&self, but: Option<Knob>) -> Result<()> {
        let but = but.map(|knob| self.scope.dir().join(knob.file()));
        for (file, before) in &self.before {
            let now = fs::read_to_string(file)?;
            ensure!(
                Some(file) == but.as_ref() || now == *before,
                "{}: {before:?} became {now:?}",
                file.display()
            );
        }
        let share = share(&self.bystander)?;
        ensure!(share > 0.25, "the bystander has {share:.2} of a CPU instead of 0.4");
        Ok(())
    }

    /// All is as before, and the scope works again.
    fn all_is_back(&self) -> Result<()> {
        self.others_are_untouched(None)?;
        let share = share(&self.scope)?;
        ensure!(share > 0.25, "the scope has {share:.2} of a CPU instead of 0.4");
        Ok(())
    }

    /// Waits until the file says what it said before; the time since `start_ns`.
    fn back(&self, knob: Knob, start_ns: u64, limit: Duration) -> Result<Duration> {
        let file = self.scope.dir().join(knob.file());
        let (_, before) = self
            .before
            .iter()
            .find(|(path, _)| *path == file)
            .context("no such file")?;
        let back = wait::until(limit, || {
            (fs::read_to_string(&file).ok()? == *before).then(|| wait::since(start_ns))
        });
        back.with_context(|| format!("{} is not back after {limit:?}", file.display()))
    }
}

fn order(cgroup: &Cgroup, lease: &str, action: Action) -> Result<Order> {
    let target = Target::new(cgroup.scope(), cgroup.id()?)?;
    let ttl = Ttl::try_from(u64::try_from(TTL.as_millis())?)?;
    Ok(Order::new(
        LeaseId::new(lease)?,
        target,
        action,
        ttl,
        "a contract asks for it",
    )?)
}

fn lease() -> Result<LeaseId> {
    Ok(LeaseId::new("lease-1")?)
}

/// What every file that may be written says, in these cgroups.
fn settings(dirs: &[&Path]) -> Vec<(PathBuf, String)> {
    let knobs = [Knob::CpuMax, Knob::CpuWeight, Knob::MemoryHigh, Knob::Freeze];
    let files = dirs.iter().flat_map(|dir| knobs.map(|knob| dir.join(knob.file())));
    files
        .filter_map(|file| Some((file.clone(), fs::read_to_string(&file).ok()?)))
        .collect()
}

fn says(cgroup: &Cgroup, file: &str) -> Result<String> {
    let text = fs::read_to_string(cgroup.dir().join(file)).with_context(|| format!("reading {file}"))?;
    Ok(text.trim_end().to_owned())
}

/// Whether everything in it stands still, as the kernel says.
fn frozen(cgroup: &Cgroup) -> bool {
    says(cgroup, "cgroup.events").is_ok_and(|text| text.lines().any(|line| line == "frozen 1"))
}

/// CPU time it uses now, seconds per second.
fn share(cgroup: &Cgroup) -> Result<f64> {
    let used_us = || -> Result<f64> {
        let text = says(cgroup, "cpu.stat")?;
        let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
        Ok(used.context("no usage_usec")?.parse()?)
    };
    let (start_ns, before) = (wait::now_ns(), used_us()?);
    thread::sleep(MEASURED);
    Ok((used_us()? - before) / 1e6 / wait::since(start_ns).as_secs_f64())
}

fn alive(pid: i32) -> bool {
    // A process that ended and was not waited for is gone too.
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let state = state.and_then(|stat| stat.rsplit(')').next()?.trim_start().chars().next());
    state.is_some_and(|state| state != 'Z')
}

fn signal(pid: i32, signal: Signal) -> Result<()> {
    Ok(kill(Pid::from_raw(pid), signal)?)
}

/// Whether a controller can be used here; says why a test is skipped.
fn has(controller: &str) -> Result<bool> {
    let text = fs::read_to_string(paths::cgroup2()?.join("cgroup.controllers"))?;
    let has = text.split_whitespace().any(|name| name == controller);
    if !has {
        println!("SKIP: the {controller} controller is not on the v2 hierarchy of this host");
    }
    Ok(has)
}

const CPU_MAX: Action = Action::CpuMax {
    quota_us: 15_000,
    period_us: 100_000,
    used_us_per_s: 400_000,
};

#[test]
fn a_freeze_stops_its_cgroup_and_nobody_else_and_is_undone() -> Result<()> {
    let stage = Stage::set()?;
    let mut guarded = stage.guarded()?;
    let applied = guarded.apply(&stage.freeze()?, Now::read())?;
    assert_eq!((applied.found.as_str(), applied.wrote.as_str()), ("0", "1"));
    ensure!(wait::until_true(SOON, || stage.frozen()));
    stage.others_are_untouched(Some(Knob::Freeze))?;
    guarded.renew(&lease()?, Ttl::try_from(2_000)?, Now::read())?;
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
fn a_holder_that_panics_leaves_nothing() -> Result<()> {
    let stage = Stage::set()?;
    let order = stage.freeze()?;
    let mut guarded = stage.guarded()?;
    let panicked = thread::spawn(move || {
        let applied = guarded.apply(&order, Now::read());
        // Quietly, and with the guard in hand.
        std::panic::resume_unwind(Box::new(applied.is_ok()));
    });
    let payload = panicked.join().expect_err("it panics");
    ensure!(payload.downcast_ref() == Some(&true), "the order was not done");
    stage.all_is_back()
}

#[test]
fn a_holder_that_is_killed_leaves_nothing_within_the_ttl() -> Result<()> {
    let stage = Stage::set()?;
    let mut holder = stage.hold(&stage.freeze()?)?;
    ensure!(wait::until_true(SOON, || stage.frozen()));
    let guard = holder.guard()?;
    let start_ns = wait::now_ns();
    holder.kill()?;
    let took = stage.back(Knob::Freeze, start_ns, TTL)?;
    println!("MATRIX undone after kill -9 of the agent={} ms", took.as_millis());
    stage.all_is_back()?;
    ensure!(wait::until_true(SOON, || !alive(guard)), "the guard is still there");
    // The next one is told, and finds nothing left to do.
    let (_guarded, told) = Guarded::start(options(stage.journal())?)?;
    assert_eq!(endings(&told), [(Why::AgentGone, Ending::Restored)]);
    Ok(())
}

#[test]
fn a_holder_that_is_stopped_leaves_nothing_within_the_ttl_and_is_told() -> Result<()> {
    let stage = Stage::set()?;
    let mut holder = stage.hold(&stage.freeze()?)?;
    ensure!(wait::until_true(SOON, || stage.frozen()));
    let start_ns = wait::now_ns();
    holder.signal(Signal::SIGSTOP)?;
    let took = stage.back(Knob::Freeze, start_ns, TTL + SLACK)?;
    println!(
        "MATRIX undone after SIGSTOP of the agent, ttl 2 s={} ms",
        took.as_millis()
    );
    ensure!(
        took > TTL / 2,
        "a renewal of {:?} before it was stopped held for {took:?} only",
        TTL
    );
    stage.all_is_back()?;
    holder.signal(Signal::SIGCONT)?;
    assert_eq!(holder.lost(SOON)?.0, ActuatorError::Lapsed { lease: lease()? });
    Ok(())
}

#[test]
fn a_guard_that_is_killed_or_told_to_end_leaves_nothing() -> Result<()> {
    for (how, why) in [(Signal::SIGKILL, Why::GuardGone), (Signal::SIGTERM, Why::Ended)] {
        let stage = Stage::set()?;
        let holder = stage.hold(&stage.freeze()?)?;
        ensure!(wait::until_true(SOON, || stage.frozen()));
        let start_ns = wait::now_ns();
        signal(holder.guard()?, how)?;
        let took = stage.back(Knob::Freeze, start_ns, TTL)?;
        println!("MATRIX undone after {how} of the guard={} ms", took.as_millis());
        let (ActuatorError::GuardLost { put_back, .. }, _) = holder.lost(SOON)? else {
            bail!("the holder does not know")
        };
        assert_eq!(endings(&put_back), [(why, Ending::Restored)]);
        stage.all_is_back()?;
    }
    Ok(())
}

#[test]
fn a_guard_that_hangs_is_ended_and_what_it_held_is_put_back() -> Result<()> {
    let stage = Stage::set()?;
    let holder = stage.hold(&stage.freeze()?)?;
    ensure!(wait::until_true(SOON, || stage.frozen()));
    let guard = holder.guard()?;
    signal(guard, Signal::SIGSTOP)?;
    let start_ns = wait::now_ns();
    let (error, took_ms) = holder.lost(SOON * 2)?;
    let ActuatorError::GuardLost { put_back, .. } = error else {
        bail!("{error}")
    };
    assert_eq!(endings(&put_back), [(Why::GuardGone, Ending::Restored)]);
    println!(
        "MATRIX undone after SIGSTOP of the guard={} ms",
        wait::since(start_ns).as_millis()
    );
    ensure!(took_ms < 4_000, "the agent waited for {took_ms} ms");
    ensure!(!alive(guard), "the guard is still there");
    stage.all_is_back()
}

#[test]
fn what_agent_and_guard_left_when_both_died_is_put_back_at_the_next_start() -> Result<()> {
    for by_hand in [false, true] {
        let stage = Stage::set()?;
        let mut holder = stage.hold(&stage.freeze()?)?;
        let guard = holder.guard()?;
        ensure!(wait::until_true(SOON, || stage.frozen()));
        // The guard first, stopped, so that neither sees the other end.
        signal(guard, Signal::SIGSTOP)?;
        holder.kill()?;
        signal(guard, Signal::SIGKILL)?;
        ensure!(wait::until_true(SOON, || !alive(guard)));
        ensure!(stage.frozen(), "nobody is there to undo it");
        if by_hand {
            let (mount, journal) = (paths::cgroup2()?, stage.journal());
            let args = [
                "guard",
                "--put-back",
                "--mount",
                invoke::text(&mount),
                "--journal",
                invoke::text(&journal),
            ];
            let ended = invoke::invoke(&args, SOON)?;
            ensure!(ended.code == Some(code::DONE), "{ended:?}");
            let put_back: PutBack = serde_json::from_value(ended.json()?.remove(0))?;
            assert_eq!(endings(&[put_back]), [(Why::FoundAtStart, Ending::Restored)]);
        } else {
            let (_guarded, told) = Guarded::start(options(stage.journal())?)?;
            assert_eq!(endings(&told), [(Why::FoundAtStart, Ending::Restored)]);
        }
        stage.all_is_back()?;
        let (_guarded, told) = Guarded::start(options(stage.journal())?)?;
        ensure!(told.is_empty(), "told once: {told:?}");
    }
    Ok(())
}

#[test]
fn after_a_reboot_nothing_is_put_back() -> Result<()> {
    let stage = Stage::set()?;
    // A journal of another boot, with a cgroup that somebody else has frozen since.
    let mut cgroups = options(stage.journal())?.cgroups;
    let boot_id = std::mem::replace(&mut cgroups.boot_id, "another boot".into());
    let (mut actuator, _) = CgroupActuator::open(&cgroups, Now::read())?;
    actuator.apply(&stage.freeze()?, Now::read())?;
    drop(actuator);
    cgroups.boot_id = boot_id;
    let (actuator, told) = CgroupActuator::open(&cgroups, Now::read())?;
    assert_eq!(endings(&told), [(Why::FoundAtStart, Ending::Rebooted)]);
    assert_eq!(actuator.next_ns(), None);
    assert_eq!(says(&stage.scope, "cgroup.freeze")?, "1");
    Ok(())
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
    let error = actuator.apply(&late, Now::read()).expect_err("its cgroup is gone");
    ensure!(matches!(error, ActuatorError::Vanished { .. }), "{error}");
    let new = family.cgroup("scope")?;
    fs::write(new.dir().join("cgroup.freeze"), "1")?;
    let error = actuator.apply(&late, Now::read()).expect_err("it is another cgroup");
    ensure!(matches!(error, ActuatorError::Recreated { .. }), "{error}");
    let put_back = actuator.revert(&lease()?, Now::read())?;
    assert_eq!(put_back.ending, Ending::Gone);
    assert_eq!(says(&new, "cgroup.freeze")?, "1");
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
        retry_pct: 20,
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
    if !has("cpu")? {
        refused(
            stage.order("b", CPU_MAX)?,
            &["no cpu.max", "cpu controller", "cgroup_no_v1=cpu"],
        )?;
    }
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

fn endings(put_back: &[PutBack]) -> Vec<(Why, Ending)> {
    put_back.iter().map(|one| (one.why, one.ending.clone())).collect()
}
