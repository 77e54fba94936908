//! However the agent ends, nothing of it stays in the kernel.
//!
//! Needs root and `bpftool`.

use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sentinel_tests::{
    agent::{Agent, Options},
    bpf::{self, Objects},
    wait,
};

/// How long the agent may take until everything is attached.
const START: Duration = Duration::from_secs(10);

/// An agent at work, what it holds, and what there was before.
fn at_work() -> Result<(Agent, Objects, Objects)> {
    let before = Objects::all()?;
    let mut agent = Options::new()?.start()?;
    let at_work = wait::until_true(START, || {
        Objects::of_process(agent.pid()).is_ok_and(|held| !held.links.is_empty() && !held.maps.is_empty())
    });
    agent.warm_up(Duration::from_secs(3))?;
    let held = Objects::of_process(agent.pid())?;
    ensure!(
        at_work && !held.programs.is_empty(),
        "nothing to clean up: {held:?}, {:?}",
        agent.stderr()
    );
    println!(
        "{} programs, {} maps, {} links",
        held.programs.len(),
        held.maps.len(),
        held.links.len()
    );
    Ok((agent, held, before))
}

fn leaves_nothing(signal: Signal) -> Result<()> {
    let (mut agent, held, before) = at_work()?;
    let ended = agent.end(signal)?;
    ensure!(ended.code == Some(0), "{}: {:?}", ended.ending, ended.stderr);
    bpf::wait_gone(&held, &before)
}

#[test]
fn ctrl_c_leaves_nothing_in_the_kernel() -> Result<()> {
    leaves_nothing(Signal::SIGINT)
}

#[test]
fn sigterm_leaves_nothing_in_the_kernel() -> Result<()> {
    leaves_nothing(Signal::SIGTERM)
}

#[test]
fn kill_9_leaves_nothing_in_the_kernel_and_the_next_agent_starts() -> Result<()> {
    let (mut agent, held, before) = at_work()?;
    let ended = agent.end(Signal::SIGKILL)?;
    ensure!(ended.code.is_none(), "{}", ended.ending);
    bpf::wait_gone(&held, &before)?;
    let mut next = Options::new()?.lock(agent.lock()).start()?;
    next.warm_up(Duration::from_secs(3))?;
    ensure!(next.end(Signal::SIGTERM)?.code == Some(0));
    Ok(())
}

#[test]
fn the_end_of_its_duration_leaves_nothing_in_the_kernel() -> Result<()> {
    let before = Objects::all()?;
    let mut agent = Options::new()?.duration(Duration::from_secs(4)).start()?;
    agent.warm_up(Duration::from_secs(2))?;
    let held = Objects::of_process(agent.pid())?;
    ensure!(
        !held.links.is_empty(),
        "nothing to clean up: {held:?}, {:?}",
        agent.stderr()
    );
    let ended = agent.ended(Duration::from_secs(10))?;
    ensure!(ended.code == Some(0), "{}: {:?}", ended.ending, ended.stderr);
    bpf::wait_gone(&held, &before)
}

#[test]
fn an_agent_that_could_not_start_leaves_nothing_in_the_kernel() -> Result<()> {
    let before = Objects::all()?;
    let mut agent = Options::new()?.config("interval = \"1 parsec\"\n").start()?;
    let ended = agent.ended(Duration::from_secs(5))?;
    ensure!(ended.code == Some(2), "{}: {:?}", ended.ending, ended.stderr);
    let left = Objects::all()?.without(&before);
    ensure!(left.pins.is_empty(), "{left:?}");
    Ok(())
}
