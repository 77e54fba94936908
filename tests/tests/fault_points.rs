//! Contract: at whatever stage of a reading the agent is killed or halted, what it did to a cgroup is gone within the ttl, nothing
//! stays in the kernel, and one that was halted goes on when it may.
//!
//! Needs root and `bpftool`. The agent here is a build of its own that fails where it is told to; the shipped one cannot.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sentinel::act::outcome::ActionResult;
use sentinel_tests::{
    agent::{Agent, Options},
    asked::{listed, veto},
    bpf::{self, Objects, attached},
    caller::Caller,
    invoke::code::DONE,
    paths, wait,
};

/// The name in the environment by which a fault is asked for.
const VARIABLE: &str = "SENTINEL_FAULT_POINT";
/// All stages of a reading, and that in which what holds is renewed.
const STAGES: [&str; 6] = ["read", "judge", "plan", "observe", "publish", "tend"];
const TTL: Duration = Duration::from_secs(3);
/// Three ticks with something that holds, and what it takes to begin.
const FAULT_WITHIN: Duration = Duration::from_secs(15);
/// Beyond the ttl: the time until a process that waits for a CPU of this host got one.
const SLACK: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(10);

/// An agent that will fail there, once it holds something.
fn failing(stage: &str, signal: Signal) -> Result<Agent> {
    let fault = format!("{VARIABLE}={stage}:{signal}");
    let mut agent = Options::new()?
        .program(Path::new(env!("CARGO_BIN_EXE_sentinel-otlp")))
        .through(&["env", &fault])
        .config("autonomy = \"approve\"\n[veto]\nttl = \"3s\"\n")
        .start()?;
    agent.warm_up(Duration::from_secs(1))?;
    Ok(agent)
}

/// Lets it hold a retry budget on the caller; what agent and helpers then have in the kernel.
fn holding(agent: &Agent, caller: &Caller) -> Result<Objects> {
    let scope = caller.cgroup().scope();
    let applied = veto(agent, &["apply", &scope, "retry-budget", "--ttl", "3s", "--for", "50s"])?;
    ensure!(applied.code == Some(DONE), "{applied:?}");
    let holds = || attached(caller.cgroup().dir()).is_ok_and(|names| names.iter().any(|name| name == "connect4"));
    ensure!(wait::until_true(SOON, holds), "nothing was attached");
    Objects::of_family(agent.pid())
}

/// Nothing is on the cgroup any more.
fn gone(caller: &Caller, within: Duration) -> Result<Duration> {
    let began = wait::now_ns();
    let none = || attached(caller.cgroup().dir()).is_ok_and(|names| names.is_empty());
    ensure!(
        wait::until_true(within, none),
        "{:?} after {within:?}",
        attached(caller.cgroup().dir())?
    );
    Ok(wait::since(began))
}

fn is_halted(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:\tT"))
}

#[test]
fn killed_at_any_stage_it_leaves_nothing() -> Result<()> {
    for stage in STAGES {
        let before = Objects::all()?;
        let caller = Caller::start()?;
        let mut agent = failing(stage, Signal::SIGKILL)?;
        let held = holding(&agent, &caller)?;
        let ended = agent
            .ended(FAULT_WITHIN)
            .with_context(|| format!("no fault at {stage}"))?;
        ensure!(ended.ending == "signal 9", "{stage}: {}", ended.ending);
        println!(
            "{stage}: killed, and its hand is off {:.1?} later",
            gone(&caller, TTL + SLACK)?
        );
        bpf::wait_gone(&held, &before).with_context(|| format!("killed at {stage}"))?;
    }
    Ok(())
}

#[test]
fn halted_at_any_stage_its_hand_comes_off_and_it_goes_on_when_it_may() -> Result<()> {
    for stage in STAGES {
        let before = Objects::all()?;
        let caller = Caller::start()?;
        let mut agent = failing(stage, Signal::SIGSTOP)?;
        let held = holding(&agent, &caller)?;
        let pid = agent.pid();
        ensure!(
            wait::until_true(FAULT_WITHIN, || is_halted(pid)),
            "no fault at {stage}: {:?}",
            agent.stderr()
        );
        println!(
            "{stage}: halted, and its hand is off {:.1?} later",
            gone(&caller, TTL + SLACK)?
        );
        agent.signal(Signal::SIGCONT)?;
        let over = |result: &ActionResult| matches!(result, ActionResult::Ended { .. } | ActionResult::Failed { .. });
        let told = agent.outcome(SOON, |outcome| over(&outcome.result));
        ensure!(
            told.is_some(),
            "{stage}: it does not say what became of its lease: {:?}",
            agent.outcomes()
        );
        ensure!(
            listed(&agent)?.leases.is_empty(),
            "{stage}: it thinks that it holds something"
        );
        let ended = agent.end(Signal::SIGTERM)?;
        ensure!(ended.code == Some(DONE), "{stage}: {} {:?}", ended.ending, ended.stderr);
        bpf::wait_gone(&held, &before).with_context(|| format!("halted at {stage}"))?;
    }
    Ok(())
}

#[test]
fn the_shipped_agent_has_no_such_points() -> Result<()> {
    let holds = |program: &Path| -> Result<bool> {
        let bytes = fs::read(program)?;
        Ok(bytes
            .windows(VARIABLE.len())
            .any(|window| window == VARIABLE.as_bytes()))
    };
    ensure!(
        holds(Path::new(env!("CARGO_BIN_EXE_sentinel-otlp")))?,
        "this question finds nothing"
    );
    ensure!(
        !holds(&paths::sentinel()?)?,
        "the shipped agent can be made to fail by its environment"
    );
    Ok(())
}
