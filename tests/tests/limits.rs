//! Contract: limits of the system are named when they keep the agent from starting, and outlived when they are met later.

use std::{fs, net::TcpStream, process::Command, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use sentinel::judge::verdict::Signal;
use sentinel_tests::{
    agent::{Agent, Options},
    crowd::Crowd,
    http,
    invoke::{code::CANNOT, refused},
    paths,
    scene::Scene,
    wait,
    workload::Workload,
};

const SOON: Duration = Duration::from_secs(5);
/// More connections than descriptors that are left.
const CONNECTIONS: usize = 40;
const LEFT: u64 = 8;
/// How many cgroups come at once, and how long the agent may take to know them.
const CROWD: usize = 10_000;
const KNOWN_WITHIN: Duration = Duration::from_secs(10);

/// Through a shell that sets a limit of open files first.
fn with_files(limit: &str) -> Result<Options> {
    let script = format!("ulimit {limit} && exec \"$@\"");
    Ok(Options::new()?.through(&["/bin/sh", "-c", &script, "sh"]))
}

/// The soft and the hard limit of open files of a process.
fn limits(pid: u32) -> Result<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = text.lines().find(|line| line.starts_with("Max open files"));
    let mut numbers = line.context("no such limit")?.split_whitespace().skip(3);
    let mut next = || {
        numbers
            .next()
            .and_then(|number| number.parse().ok())
            .context("no number")
    };
    Ok((next()?, next()?))
}

/// A number of the served state.
fn count(agent: &Agent, place: &str) -> Result<u64> {
    let state = http::state(agent.address()?)?;
    state
        .pointer(place)
        .and_then(serde_json::Value::as_u64)
        .with_context(|| format!("no {place}"))
}

#[test]
fn too_few_open_files_are_named_before_anything_is_loaded() -> Result<()> {
    let ended = with_files("-n 128")?.start()?.ended(SOON)?;
    refused(&ended, CANNOT, &["128 files", "256", "LimitNOFILE="])
}

#[test]
fn a_soft_limit_of_open_files_is_raised_to_what_the_hard_one_allows() -> Result<()> {
    let mut agent = with_files("-Sn 64")?.start()?;
    agent.warm_up(Duration::from_secs(2))?;
    let (soft, hard) = limits(agent.pid())?;
    ensure!(soft == hard.min(1024), "{soft} of {hard}");
    Ok(())
}

#[test]
fn an_agent_whose_files_run_out_misses_no_tick_and_serves_again_when_there_are_some() -> Result<()> {
    let mut agent = Options::new()?.listen("127.0.0.1:0").start()?;
    agent.warm_up(Duration::from_secs(2))?;
    let address = agent.address()?;
    let before = count(&agent, "/agent/ticks")?;
    let open = fs::read_dir(format!("/proc/{}/fd", agent.pid()))?.count() as u64;
    let status = Command::new(paths::tool("prlimit", "util-linux")?)
        .args([
            "--pid",
            &agent.pid().to_string(),
            &format!("--nofile={0}:{0}", open + LEFT),
        ])
        .status()?;
    ensure!(status.success());
    let used = procfs::process::Process::new(agent.pid().cast_signed())?;
    let ticks_of_cpu = || used.stat().map(|stat| stat.utime + stat.stime);
    let cpu = ticks_of_cpu()?;
    // The kernel completes all of them; the agent can accept the first few.
    let held: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| http::connect(address))
        .collect::<Result<_>>()?;
    thread::sleep(SOON);
    let spent = (ticks_of_cpu()? - cpu) as f64 / procfs::ticks_per_second() as f64;
    ensure!(spent < 0.5, "{spent} s of CPU time in {SOON:?}: it spins");
    drop(held);
    let ticks = count(&agent, "/agent/ticks")?;
    println!(
        "open files: {open}, {LEFT} left, {CONNECTIONS} connections, {} ticks, {spent} s of CPU",
        ticks - before
    );
    ensure!(ticks - before >= SOON.as_secs(), "{before}, then {ticks} ticks");
    ensure!(count(&agent, "/agent/late_ticks")? == 0);
    Ok(())
}

#[test]
fn ten_thousand_cgroups_at_once_are_known_soon_and_a_fault_among_them_is_named_in_time() -> Result<()> {
    let options = Options::new()?
        .config("interval = \"1s\"\nmax_cgroups = 16384\n")
        .listen("127.0.0.1:0");
    let mut scene = Scene::start(&["busy"], options)?;
    scene.warm_up()?;
    let known = |agent: &Agent| -> Result<u64> {
        Ok(
            http::state(agent.address()?)?["scopes"].as_array().map_or(0, Vec::len) as u64
                + count(agent, "/rest/scopes")?,
        )
    };
    let (before, late) = (known(&scene.agent)?, count(&scene.agent, "/agent/late_ticks")?);
    let crowd = Crowd::new(CROWD)?;
    let onset_ns = wait::now_ns();
    crowd.visit()?;
    let visited = wait::since(onset_ns);
    // Those of tests before this one go meanwhile: only the crowd is sure to be there.
    let all = || known(&scene.agent).is_ok_and(|now| now >= CROWD as u64);
    ensure!(
        wait::until_true(KNOWN_WITHIN, all),
        "{} scopes are known, and {CROWD} of the crowd alone should be",
        known(&scene.agent)?
    );
    let after = wait::since(onset_ns) - visited;
    let state = http::state(scene.agent.address()?)?;
    ensure!(state["losses"].get("no_free_slot").is_none(), "{}", state["losses"]);
    let spin = Workload::start(scene.cgroup("busy"), &["spin", "--threads", "6", "--seconds", "10"])?;
    scene.veto("busy", Signal::Jitter, spin.onset_ns(), SOON)?;
    let late = count(&scene.agent, "/agent/late_ticks")? - late;
    println!("{CROWD} cgroups entered within {visited:.1?}, known {after:.1?} later, {late} late ticks");
    ensure!(late <= 2, "{late} late ticks");
    drop(crowd);
    let gone = || known(&scene.agent).is_ok_and(|now| now < before + 100);
    ensure!(
        wait::until_true(KNOWN_WITHIN * 3, gone),
        "{} are still known",
        known(&scene.agent)?
    );
    scene.only(&[("busy", Signal::Jitter)])?;
    scene.bystander_is_nominal()
}
