//! Contract: who takes a program away from the agent, puts another in its place or keeps it from running is noticed, and what
//! is not seen any more is unknown, not calm.
//!
//! Needs root, `bpftool` and perl. It detaches and replaces links of the agent that it started, and of nobody else.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sentinel::judge::verdict::Level;
use sentinel_tests::{
    agent::{Agent, Options},
    bench::empty::Empty,
    bpf::{self, Objects, bpftool},
    caller::Caller,
    co_tenant::{self, Holder},
    http, wait,
};

const LIMIT: Duration = Duration::from_secs(20);

/// The id of a program of this name that a process has.
fn program_of(held: &Objects, name: &str) -> Result<u64> {
    let programs = bpftool(&["prog", "show"])?;
    let named = programs
        .as_array()
        .context("programs")?
        .iter()
        .filter(|one| one["name"] == name);
    let mut ids = named.filter_map(|one| one["id"].as_u64());
    ids.find(|id| held.programs.contains(id))
        .with_context(|| format!("no program {name}"))
}

/// The id of the link by which a process has a program of this name on a cgroup.
fn link_of(held: &Objects, name: &str) -> Result<u64> {
    let program = program_of(held, name)?;
    let links = bpftool(&["link", "show"])?;
    let mut ours = links
        .as_array()
        .context("links")?
        .iter()
        .filter(|link| link["prog_id"] == program);
    ours.find_map(|link| link["id"].as_u64().filter(|id| held.links.contains(id)))
        .with_context(|| format!("no link of {name}"))
}

/// The agent, quick to notice, with a caller whose storm it has seen. It changes its user: who has may not open any more
/// what tells of its descriptors.
fn watching() -> Result<(Agent, Caller)> {
    let config = "interval = \"100ms\"\nnetwork_interval = \"100ms\"\nuser = \"nobody\"\n";
    let mut agent = Options::new()?.config(config).listen("127.0.0.1:0").start()?;
    agent.warm_up(Duration::from_secs(2))?;
    let caller = Caller::start()?;
    caller.judged(&agent, |level| level >= Level::Watch)?;
    Ok((agent, caller))
}

/// Waits until the agent says a line with both words.
fn says(agent: &Agent, what: &str, why: &str) -> Result<()> {
    let said = |line: &String| line.contains(what) && line.contains(why);
    ensure!(
        wait::until_true(LIMIT, || agent.stderr().iter().any(said)),
        "it did not say `{what}` and `{why}`: {:?}",
        agent.stderr()
    );
    Ok(())
}

/// Waits until the agent lists a sensor among those that do not run, or does not any more: its log is a moment ahead of its page.
fn is_listed(agent: &Agent, sensor: &str, wanted: bool) -> Result<()> {
    let address = agent.address()?;
    let listed = || {
        let state = http::state(address).ok()?;
        let sensors = state["unavailable"].as_array()?;
        Some(sensors.iter().any(|one| one["sensor"] == sensor))
    };
    let held = wait::until_true(LIMIT, || listed() == Some(wanted));
    ensure!(
        held,
        "that {sensor} is listed as one that does not run never was {wanted}"
    );
    Ok(())
}

/// The network sensor is lost, and nothing else is.
fn network_is_unknown(mut agent: Agent, caller: Caller, before: &Objects, held: &Objects, why: &str) -> Result<()> {
    says(&agent, "net does not run any more", why)?;
    caller.judged(&agent, |level| level == Level::Unknown)?;
    is_listed(&agent, "net", true)?;
    // What it still sees it still judges.
    ensure!(!agent.stderr().iter().any(|line| line.contains("sched does not run")));
    drop(caller);
    let ended = agent.end(Signal::SIGTERM)?;
    ensure!(ended.code == Some(0), "{}: {:?}", ended.ending, ended.stderr);
    bpf::wait_gone(held, before)
}

#[test]
fn a_program_that_somebody_detaches_is_said_and_its_signal_is_unknown() -> Result<()> {
    let before = Objects::all()?;
    let (agent, caller) = watching()?;
    let held = Objects::of_process(agent.pid())?;
    bpftool(&["link", "detach", "id", &link_of(&held, "egress")?.to_string()])?;
    network_is_unknown(agent, caller, &before, &held, "`egress` was detached")
}

#[test]
fn a_program_that_somebody_replaces_is_said_and_its_signal_is_unknown() -> Result<()> {
    let before = Objects::all()?;
    let (agent, caller) = watching()?;
    let held = Objects::of_process(agent.pid())?;
    let empty = Empty::attach()?;
    let theirs = Objects::of_process(std::process::id())?;
    co_tenant::replace(link_of(&held, "ingress")?, program_of(&theirs, "ingress")?)?;
    network_is_unknown(agent, caller, &before, &held, "`ingress` was replaced")?;
    drop(empty);
    bpf::wait_gone(&theirs, &before)
}

#[test]
fn a_sampler_that_is_kept_from_running_is_said_and_counted_and_runs_again() -> Result<()> {
    let (mut agent, caller) = watching()?;
    let mut holder = Holder::start(60)?;
    says(
        &agent,
        "sched.run_queue does not run any more",
        "attached but not running",
    )?;
    is_listed(&agent, "sched.run_queue", true)?;
    ensure!(holder.runs()?, "it was noticed too late");
    drop(holder);
    says(&agent, "sched.run_queue runs again", "")?;
    is_listed(&agent, "sched.run_queue", false)?;
    let state = http::state(agent.address()?)?;
    let missed = state["losses"]["run_queue_sample_missed"].as_u64();
    ensure!(missed.is_some_and(|missed| missed > 100), "{}", state["losses"]);
    drop(caller);
    let ended = agent.end(Signal::SIGTERM)?;
    ensure!(ended.code == Some(0), "{}: {:?}", ended.ending, ended.stderr);
    Ok(())
}
