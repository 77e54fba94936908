//! Contract: who takes a program away from the agent is noticed, and what is not seen any more is unknown, not calm.
//!
//! Needs root and `bpftool`. It detaches links of the agent that it started, and of nobody else.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sentinel::judge::verdict::Level;
use sentinel_tests::{
    agent::Options,
    bpf::{self, Objects, bpftool},
    caller::Caller,
    http, wait,
};
const LIMIT: Duration = Duration::from_secs(20);

/// The id of the link by which a process has a program of this name on a cgroup.
fn link_of(held: &Objects, program: &str) -> Result<u64> {
    let programs = bpftool(&["prog", "show"])?;
    let named: Vec<u64> = programs
        .as_array()
        .context("programs")?
        .iter()
        .filter(|one| one["name"] == program)
        .filter_map(|one| one["id"].as_u64())
        .filter(|id| held.programs.contains(id))
        .collect();
    let links = bpftool(&["link", "show"])?;
    let link = links.as_array().context("links")?.iter().find(|link| {
        let ours = link["id"].as_u64().is_some_and(|id| held.links.contains(&id));
        ours && link["prog_id"].as_u64().is_some_and(|id| named.contains(&id))
    });
    link.and_then(|link| link["id"].as_u64())
        .with_context(|| format!("no link of {program}"))
}

#[test]
fn a_program_that_somebody_detaches_is_said_and_its_signal_is_unknown() -> Result<()> {
    let before = Objects::all()?;
    // Who has changed its user may not open any more what tells of its descriptors.
    let config = "interval = \"100ms\"\nnetwork_interval = \"100ms\"\nuser = \"nobody\"\n";
    let mut agent = Options::new()?.config(config).listen("127.0.0.1:0").start()?;
    agent.warm_up(Duration::from_secs(2))?;
    let caller = Caller::start()?;
    caller.judged(&agent, |level| level >= Level::Watch)?;
    let held = Objects::of_process(agent.pid())?;
    let link = link_of(&held, "egress")?.to_string();
    bpftool(&["link", "detach", "id", &link])?;
    let said = |line: &String| line.contains("net does not run any more") && line.contains("egress");
    ensure!(
        wait::until_true(LIMIT, || agent.stderr().iter().any(said)),
        "it did not notice: {:?}",
        agent.stderr()
    );
    caller.judged(&agent, |level| level == Level::Unknown)?;
    let state = http::state(agent.address()?)?;
    let sensors = state["unavailable"].as_array().cloned().unwrap_or_default();
    ensure!(sensors.iter().any(|one| one["sensor"] == "net"), "{sensors:?}");
    // What it still sees it still judges.
    ensure!(!agent.stderr().iter().any(|line| line.contains("sched does not run")));

    drop(caller);
    let ended = agent.end(Signal::SIGTERM)?;
    ensure!(ended.code == Some(0), "{}: {:?}", ended.ending, ended.stderr);
    bpf::wait_gone(&held, &before)
}
