//! Contract: once it has started, the agent may do no more than it must, and still does its work.
//!
//! Needs root.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sentinel::judge::verdict::Level;
use sentinel_tests::{
    agent::{Agent, Options},
    bpf::{self, Objects},
    caller::Caller,
    invoke::{self, code, invoke, text},
    wait,
};
use serde_json::Value;

/// How long a start may take.
const START: Duration = Duration::from_secs(15);
const LIMIT: Duration = Duration::from_secs(20);

/// The values of one line of `/proc/PID/task/TID/status`, one for each thread.
fn of_threads(pid: u32, line: &str) -> Result<Vec<String>> {
    let mut values = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let status = fs::read_to_string(task.path().join("status"))?;
        let found = status
            .lines()
            .find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
        values.push(found.with_context(|| format!("no {line}"))?.trim().to_owned());
    }
    Ok(values)
}

/// An agent that has said what it gave up, and has read a sample since.
fn started(options: Options) -> Result<Agent> {
    let mut agent = options.start()?;
    let said = wait::until_true(START, || {
        agent
            .stderr()
            .iter()
            .any(|line| line.contains("runs as") && !line.contains("what acts"))
    });
    ensure!(said, "it did not say what it gave up: {:?}", agent.stderr());
    agent.warm_up(Duration::from_secs(2))?;
    Ok(agent)
}

/// The sentence in which it says what it gave up.
fn sentence(agent: &Agent) -> String {
    agent
        .stderr()
        .into_iter()
        .find(|line| line.contains("runs as") && !line.contains("what acts"))
        .unwrap_or_default()
}

fn every_thread_has_given_up(agent: &Agent, uid: &str) -> Result<()> {
    let threads = of_threads(agent.pid(), "Name")?;
    println!("threads {threads:?}: {}", sentence(agent));
    ensure!(
        threads.len() >= 3,
        "journal, stream and page have threads of their own: {threads:?}"
    );
    for set in ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"] {
        let found = of_threads(agent.pid(), set)?;
        ensure!(
            found.iter().all(|bits| u64::from_str_radix(bits, 16) == Ok(0)),
            "{set} {found:?}"
        );
    }
    for (line, wanted) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
        let found = of_threads(agent.pid(), line)?;
        ensure!(found.iter().all(|value| value == wanted), "{line} {found:?}");
    }
    let found = of_threads(agent.pid(), "Uid")?;
    let wanted = [uid; 4].join("\t");
    ensure!(found.iter().all(|uids| *uids == wanted), "Uid {found:?}");
    Ok(())
}

/// A cgroup that comes after the drop is seen, judged and named; then the agent ends and leaves nothing.
fn still_works(mut agent: Agent, before: &Objects) -> Result<()> {
    let held = Objects::of_process(agent.pid())?;
    ensure!(!held.links.is_empty() && !held.maps.is_empty(), "{held:?}");
    let caller = Caller::start()?;
    caller.judged(&agent, |level| level >= Level::Watch)?;
    drop(caller);
    let ended = agent.end(Signal::SIGTERM)?;
    ensure!(ended.code == Some(0), "{}: {:?}", ended.ending, ended.stderr);
    ensure!(
        !ended.stderr.iter().any(|line| line.contains("stays taken")),
        "{:?}",
        ended.stderr
    );
    bpf::wait_gone(&held, before)
}

#[test]
fn every_thread_gives_up_everything_and_a_later_cgroup_is_still_judged() -> Result<()> {
    let before = Objects::all()?;
    let agent = started(Options::new()?.listen("127.0.0.1:0"))?;
    every_thread_has_given_up(&agent, "0")?;
    still_works(agent, &before)
}

#[test]
fn it_becomes_the_user_it_is_told_to() -> Result<()> {
    let before = Objects::all()?;
    let agent = started(Options::new()?.config("user = \"nobody\"\n").listen("127.0.0.1:0"))?;
    every_thread_has_given_up(&agent, "65534")?;
    let groups = of_threads(agent.pid(), "Groups")?;
    ensure!(groups.iter().all(String::is_empty), "supplementary groups {groups:?}");
    still_works(agent, &before)
}

#[test]
fn above_observe_the_agent_has_nothing_either_and_what_acts_keeps_what_that_takes() -> Result<()> {
    let before = Objects::all()?;
    let config = "autonomy = \"auto\"\nuser = \"nobody\"\n";
    let agent = started(Options::new()?.config(config).listen("127.0.0.1:0"))?;
    every_thread_has_given_up(&agent, "65534")?;
    let acts = agent.actuator().context("nothing acts")?;
    let says = || {
        agent
            .stderr()
            .into_iter()
            .find(|line| line.contains("what acts runs as"))
    };
    let said = wait::until(LIMIT, says).with_context(|| format!("{:?}", agent.stderr()))?;
    println!("{said}");
    for part in ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF", "retry budgets", "guard"] {
        ensure!(said.contains(part), "says nothing of {part}: {said}");
    }
    let wanted = 1_u64 << 12 | 1 << 38 | 1 << 39;
    for set in ["CapEff", "CapPrm"] {
        let found = of_threads(acts, set)?;
        ensure!(
            found.iter().all(|bits| u64::from_str_radix(bits, 16) == Ok(wanted)),
            "{set} {found:?}"
        );
    }
    let told = invoke(&["check", "--self", "--json", "--lock", text(agent.lock())], LIMIT)?.json()?;
    let commands: Vec<_> = told.iter().map(|one| (&one["command"], &one["pid"])).collect();
    ensure!(
        told.len() == 2
            && told[0]["command"] == "run"
            && told[0]["effective"] == serde_json::json!([])
            && told[1]["command"] == "actuator"
            && told[1]["pid"] == acts,
        "{commands:?}"
    );
    still_works(agent, &before)?;
    ensure!(
        wait::until_true(LIMIT, || !fs::exists(format!("/proc/{acts}")).unwrap_or(true)),
        "what acts outlives its agent"
    );
    Ok(())
}

#[test]
fn what_acts_is_not_for_persons() -> Result<()> {
    invoke::refused(
        &invoke(&["actuator"], LIMIT)?,
        code::USAGE,
        &["sentinel actuator", "sentinel run"],
    )
}

#[test]
fn in_observe_there_is_nothing_that_acts() -> Result<()> {
    let mut agent = started(Options::new()?)?;
    ensure!(agent.actuator().is_none());
    ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
    Ok(())
}

#[test]
fn an_unknown_user_is_refused_before_anything_is_loaded() -> Result<()> {
    let (_dir, file) = invoke::file("sentinel.toml", b"user = \"nobody-of-that-name\"\n")?;
    let ended = invoke(&["run", "--config", text(&file)], LIMIT)?;
    invoke::refused(&ended, code::USAGE, &["sentinel.toml:1", "user", "getent passwd"])
}

#[test]
fn check_self_tells_what_the_kernel_tells() -> Result<()> {
    let mut agent = started(Options::new()?.config("user = \"nobody\"\n"))?;
    let lock = agent.lock().to_owned();
    let of = |args: &[&str]| invoke(&[&["check", "--self", "--lock", text(&lock)], args].concat(), LIMIT);
    let json = of(&["--json"])?;
    ensure!(json.code == Some(code::DONE), "{json:?}");
    let told: Value = json.json()?.into_iter().next().context("nothing was said")?;
    println!("{told}");
    let held = Objects::of_process(agent.pid())?;
    ensure!(told["pid"] == agent.pid() && told["uid"] == 65534, "{told}");
    ensure!(
        told["effective"] == serde_json::json!([]) && told["bounding"] == serde_json::json!([]),
        "{told}"
    );
    ensure!(
        told["no_new_privs"] == true && told["seccomp"] == 2 && told["differing"] == 0,
        "{told}"
    );
    ensure!(
        told["held"]["links"] == held.links.len() && told["held"]["programs"].as_u64() > Some(0),
        "{told}"
    );
    let table = of(&[])?.stdout.join("\n");
    println!("{table}");
    ensure!(table.contains("uid 65534") && table.contains("seccomp"), "{table}");
    ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
    // The file of the lock is still there, and names a process that holds it no more.
    invoke::refused(&of(&[])?, code::CANNOT, &["no agent holds", "sentinel run"])
}
