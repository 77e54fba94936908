//! However its holder ends, nothing that was done to a cgroup stays, and without a written record nothing is done.
//!
//! Needs root. Freezing works on every host with cgroup v2; one test needs its cpu controller there.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sentinel::{
    act::{
        actuator::{Actuator as _, ActuatorError, CgroupActuator, Guarded, JournalError, Knob},
        message::{Ending, PutBack, Why},
    },
    time::Now,
};
use sentinel_tests::{
    invoke::{self, code},
    paths,
    stage::{CPU_MAX, Stage, TTL, alive, endings, has, lease, says},
    wait,
    workload::hold::options,
};

/// Beyond a deadline: the time until a process that waits for a CPU of this host got one.
const SLACK: Duration = Duration::from_millis(500);
/// How long something that comes at once may take.
const SOON: Duration = Duration::from_secs(5);

fn signal(pid: i32, signal: Signal) -> Result<()> {
    Ok(kill(Pid::from_raw(pid), signal)?)
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
    assert_eq!(holder.lost(SOON)?, ActuatorError::Lapsed { lease: lease()? });
    Ok(())
}

#[test]
fn a_quota_goes_with_its_holder() -> Result<()> {
    if !has("cpu")? {
        return Ok(());
    }
    for how in [Signal::SIGKILL, Signal::SIGSTOP] {
        let stage = Stage::set()?;
        let mut holder = stage.hold(&stage.order("lease-1", CPU_MAX)?)?;
        assert_eq!(says(&stage.scope, "cpu.max")?, "15000 100000");
        let start_ns = wait::now_ns();
        holder.signal(how)?;
        let took = stage.back(Knob::CpuMax, start_ns, TTL + SLACK)?;
        println!(
            "MATRIX cpu.max undone after {how} of the agent, ttl 2 s={} ms",
            took.as_millis()
        );
        stage.all_is_back()?;
    }
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
        let ActuatorError::GuardLost { put_back, .. } = holder.lost(SOON)? else {
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
    let took = stage.back(Knob::Freeze, start_ns, TTL)?;
    println!(
        "MATRIX undone after SIGSTOP of the guard, ttl 2 s={} ms",
        took.as_millis()
    );
    let ActuatorError::GuardLost { put_back, .. } = holder.lost(SOON)? else {
        bail!("the holder does not know")
    };
    assert_eq!(endings(&put_back), [(Why::GuardGone, Ending::Restored)]);
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

/// A small file system on memory, gone with its guard.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let options = Some("size=64k,mode=700");
        mount(Some("none"), dir.path(), Some("tmpfs"), MsFlags::empty(), options)?;
        Ok(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn make_read_only(&self) -> Result<()> {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        Ok(mount(None::<&str>, self.path(), None::<&str>, flags, None::<&str>)?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = umount2(self.path(), MntFlags::MNT_DETACH) {
            eprintln!("{} is still mounted: {error}", self.path().display());
        }
    }
}

#[test]
fn without_a_written_record_nothing_is_done() -> Result<()> {
    let stage = Stage::set()?;
    let disk = Disk::new()?;
    let journal = disk.path().join("leases.jsonl");
    let mut guarded = Guarded::start(options(journal.clone())?)?.0;
    // What is left of the disk goes to a file of somebody else.
    let filled = fs::write(disk.path().join("big"), vec![b'x'; 1 << 20]);
    ensure!(filled.is_err(), "the disk is not full");
    let error = guarded
        .apply(&stage.freeze()?, Now::read())
        .err()
        .context("it was done")?;
    println!("{error}");
    ensure!(
        matches!(error, ActuatorError::Journal(JournalError::NotWritten { .. })),
        "{error}"
    );
    ensure!(fs::read_to_string(&journal)?.is_empty(), "half a record is left");
    stage.all_is_back()?;
    // With room again it is done, by the same guard.
    fs::remove_file(disk.path().join("big"))?;
    guarded.apply(&stage.freeze()?, Now::read())?;
    assert_eq!(fs::read_to_string(&journal)?.lines().count(), 1);
    drop(guarded);
    stage.all_is_back()?;
    disk.make_read_only()?;
    let error = Guarded::start(options(journal)?).err().context("it started")?;
    println!("{error}");
    ensure!(
        matches!(error, ActuatorError::Journal(JournalError::Unusable { .. })),
        "{error}"
    );
    Ok(())
}

#[test]
fn with_a_journal_that_is_not_understood_nothing_is_done() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let journal = dir.path().join("leases.jsonl");
    for (text, says) in [
        ("[Unit]\n", "line 1, is no record of a lease"),
        ("{\"schema\":\"sentinel.lease/9\"}\n", "sentinel.lease/9"),
    ] {
        fs::write(&journal, text)?;
        let error = Guarded::start(options(journal.clone())?).err().context("it started")?;
        println!("{error}");
        ensure!(error.to_string().contains(says), "{error}");
        assert_eq!(fs::read_to_string(&journal)?, text);
    }
    Ok(())
}
