//! Contract: the agent is a good service: it says when it is ready, alive, reloading and ending, takes over a changed
//! configuration, and leaves a sign of life for others.
//!
//! Needs root; the row of the unit needs `systemd-analyze`.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sentinel::{
    act::ActionResult,
    judge::verdict::{Level, Signal as Watched},
    show::heartbeat::{Beat, SCHEMA},
    time::monotonic_ns,
};
use sentinel_tests::{
    agent::{Agent, Options},
    bpf::Objects,
    cgroup::Family,
    paths, wait,
    workload::Workload,
};

const START: Duration = Duration::from_secs(15);
const LIMIT: Duration = Duration::from_secs(20);
/// The most that the unit may leave open, of ten.
const MOST_EXPOSURE: f64 = 2.0;

/// A service manager's end of the socket.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(dir: &Path) -> Result<Self> {
        let path = dir.join("notify");
        let socket = UnixDatagram::bind(&path)?;
        Ok(Self { socket, path })
    }

    /// Starts an agent under it, with a watchdog of so many seconds.
    fn start(&self, options: Options, watchdog_s: u32) -> Result<Agent> {
        let socket = format!("NOTIFY_SOCKET={}", self.path.display());
        let watchdog = format!("WATCHDOG_USEC={}", watchdog_s * 1_000_000);
        options.through(&["env", socket.as_str(), watchdog.as_str()]).start()
    }

    /// What is said within a time, until something has this line.
    fn hear(&self, limit: Duration, line: &str) -> Result<Vec<String>> {
        let limit_ns = u64::try_from(limit.as_nanos())?;
        let (end_ns, mut said) = (monotonic_ns() + limit_ns, Vec::new());
        let mut bytes = [0; 8192];
        while let Some(left) = end_ns.checked_sub(monotonic_ns()).filter(|left| *left > 0) {
            let left = Duration::from_nanos(left).max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(left))?;
            let Ok(length) = self.socket.recv(&mut bytes) else {
                break;
            };
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            said.extend(text.lines().map(str::to_owned));
            if said.iter().any(|said| said == line) {
                break;
            }
        }
        Ok(said)
    }

    fn wait_for(&self, limit: Duration, line: &str) -> Result<Vec<String>> {
        let said = self.hear(limit, line)?;
        ensure!(
            said.iter().any(|said| said == line),
            "no {line} within {limit:?}: {said:?}"
        );
        Ok(said)
    }

    /// Signs of life within a time.
    fn pings(&self, time: Duration) -> Result<usize> {
        let said = self.hear(time, "no such line")?;
        Ok(said.iter().filter(|line| *line == "WATCHDOG=1").count())
    }
}

#[test]
fn the_manager_hears_of_the_first_sample_of_ticks_and_of_the_end() -> Result<()> {
    let options = Options::new()?;
    let manager = Manager::new(options.dir())?;
    let mut agent = manager.start(options, 2)?;
    let said = manager.wait_for(START, "READY=1")?;
    ensure!(said.iter().any(|line| line.starts_with("STATUS=")), "{said:?}");
    let held = Objects::of_process(agent.pid())?;
    ensure!(!held.links.is_empty(), "ready before anything was attached");
    let alive = manager.pings(Duration::from_millis(3500))?;
    ensure!((2..=8).contains(&alive), "{alive} signs of life in 3.5 s");
    // Stopped at any place it is not fed; what was on its way is taken out first.
    agent.signal(Signal::SIGSTOP)?;
    manager.pings(Duration::from_millis(200))?;
    let stopped = manager.pings(Duration::from_secs(4))?;
    agent.signal(Signal::SIGCONT)?;
    ensure!(stopped == 0, "fed {stopped} times while it was stopped");
    manager.wait_for(Duration::from_secs(4), "WATCHDOG=1")?;
    agent.signal(Signal::SIGTERM)?;
    manager.wait_for(Duration::from_secs(4), "STOPPING=1")?;
    ensure!(agent.ended(LIMIT)?.code == Some(0));
    Ok(())
}

#[test]
fn a_watchdog_that_is_more_impatient_than_ticks_is_asked_to_wait() -> Result<()> {
    let options = Options::new()?.config("interval = \"5s\"\n");
    let manager = Manager::new(options.dir())?;
    let mut agent = manager.start(options, 2)?;
    let said = manager.wait_for(START, "READY=1")?;
    ensure!(said.iter().any(|line| line == "WATCHDOG_USEC=15000000"), "{said:?}");
    ensure!(
        agent.stderr().iter().any(|line| line.contains("asked to wait 15s")),
        "{:?}",
        agent.stderr()
    );
    ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
    Ok(())
}

/// Writes the configuration anew and has it read.
fn reload(agent: &mut Agent, toml: &str) -> Result<()> {
    fs::write(agent.dir().join("sentinel.toml"), toml)?;
    agent.signal(Signal::SIGHUP)
}

#[test]
fn a_bad_file_keeps_what_was_in_force_and_says_why() -> Result<()> {
    let options = Options::new()?;
    let manager = Manager::new(options.dir())?;
    let mut agent = manager.start(options, 60)?;
    manager.wait_for(START, "READY=1")?;
    reload(&mut agent, "interval = \"1s\"\nintervall = 3\n")?;
    let said = manager.wait_for(LIMIT, "READY=1")?;
    ensure!(said.iter().any(|line| line == "RELOADING=1"), "{said:?}");
    ensure!(said.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{said:?}");
    let outcome = agent
        .outcome(LIMIT, |outcome| outcome.action == "reload")
        .context("no surface says so")?;
    println!("{outcome:?}");
    let ActionResult::Failed { reason } = outcome.result else {
        anyhow::bail!("{:?}", outcome.result)
    };
    ensure!(
        reason.contains("sentinel.toml:2") && reason.contains("stays"),
        "{reason}"
    );
    let logged = agent.stderr().into_iter().find(|line| line.contains("not taken over"));
    ensure!(
        logged.is_some_and(|line| line.contains("sentinel.toml:2")),
        "{:?}",
        agent.stderr()
    );
    manager
        .wait_for(Duration::from_secs(40), "WATCHDOG=1")
        .context("it ticks no more")?;
    ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
    Ok(())
}

#[test]
fn a_good_file_is_in_force_at_once_and_what_needs_a_restart_is_named() -> Result<()> {
    let deaf = "[jitter]\nfloor_ms_per_s = 1000000.0\n";
    let hook = "[[hook]]\nname = \"late\"\ncommand = [\"/bin/true\"]\nsignals = [\"jitter\"]\nlevel = \"watch\"\n";
    let mut agent = Options::new()?.config(deaf).start()?;
    agent.warm_up(Duration::from_secs(4))?;
    let family = Family::new()?;
    let cgroup = family.cgroup("busy")?;
    let _load = Workload::start(&cgroup, &["spin", "--threads", "8", "--seconds", "60"])?;
    let scope = cgroup.scope();
    let alarmed = |seen: &sentinel_tests::agent::Seen| {
        seen.verdict.scope.path == scope && seen.verdict.signal == Watched::Jitter && seen.verdict.level >= Level::Watch
    };
    let early = agent.find(Duration::from_secs(6), alarmed);
    ensure!(early.is_none(), "the threshold keeps it silent: {early:?}");
    reload(
        &mut agent,
        &format!("max_cgroups = 77\nlog = \"debug\"\n{hook}[jitter]\nfloor_ms_per_s = 50.0\n"),
    )?;
    let outcome = agent
        .outcome(LIMIT, |outcome| outcome.action == "reload")
        .context("no surface says so")?;
    let ActionResult::Began { detail } = outcome.result else {
        anyhow::bail!("{:?}", outcome.result)
    };
    println!("{detail}");
    for part in [
        "jitter.floor_ms_per_s = 50",
        "log = debug",
        "hook late",
        "restart the agent for max_cgroups",
    ] {
        ensure!(detail.contains(part), "nothing of {part}: {detail}");
    }
    let seen = agent
        .find(LIMIT, alarmed)
        .context("the new threshold is not in force")?;
    let planned = seen.verdict.plan.iter().any(|plan| plan.action == "hook:late");
    ensure!(planned, "the new hook is not planned: {:?}", seen.verdict.plan);
    ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
    Ok(())
}

fn beat(path: &Path) -> Option<Beat> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[test]
fn the_heartbeat_goes_on_with_ticks_and_stops_with_them() -> Result<()> {
    let options = Options::new()?;
    let path = options.dir().join("heartbeat.json");
    let config = format!("interval = \"500ms\"\nheartbeat_file = \"{}\"\n", path.display());
    let mut agent = options.config(&config).start()?;
    ensure!(
        wait::until_true(START, || beat(&path).is_some()),
        "{:?}",
        agent.stderr()
    );
    let first = beat(&path).context("it is gone")?;
    println!("{first:?}");
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    ensure!(
        first.schema == SCHEMA && first.state == "running" && first.interval_ms == 500,
        "{first:?}"
    );
    ensure!(first.pid == agent.pid() && first.boot_id == boot_id.trim(), "{first:?}");
    let goes_on = wait::until_true(LIMIT, || beat(&path).is_some_and(|beat| beat.ticks >= first.ticks + 2));
    ensure!(goes_on, "{:?}", beat(&path));
    agent.signal(Signal::SIGSTOP)?;
    std::thread::sleep(Duration::from_millis(300));
    let stopped = beat(&path);
    std::thread::sleep(Duration::from_secs(3));
    let later = beat(&path);
    agent.signal(Signal::SIGCONT)?;
    ensure!(stopped == later, "{stopped:?} {later:?}");
    ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
    Ok(())
}

#[test]
fn the_last_heartbeat_says_that_the_agent_ended() -> Result<()> {
    let options = Options::new()?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("heartbeat.json");
    let mut agent = options
        .config(&format!("heartbeat_file = \"{}\"\n", path.display()))
        .start()?;
    ensure!(
        wait::until_true(START, || beat(&path).is_some()),
        "{:?}",
        agent.stderr()
    );
    ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
    ensure!(
        beat(&path).is_some_and(|beat| beat.state == "ended"),
        "{:?}",
        beat(&path)
    );
    let left: Vec<_> = fs::read_dir(dir.path())?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    ensure!(left == ["heartbeat.json"], "{left:?}");
    Ok(())
}

#[test]
fn the_unit_leaves_little_open() -> Result<()> {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/sentinel.service")
        .canonicalize()?;
    let Ok(analyze) = paths::tool("systemd-analyze", "systemd") else {
        println!("skipped: there is no systemd-analyze on this host; install systemd");
        return Ok(());
    };
    let output = Command::new(analyze)
        .args(["security", "--offline=true", "--no-pager"])
        .arg(&unit)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("offline") {
        println!("skipped: this systemd-analyze is older than 250 and cannot look at a file");
        return Ok(());
    }
    let overall = said
        .lines()
        .find(|line| line.contains("Overall exposure level"))
        .context("no overall level")?;
    println!("{overall}");
    let level = overall.rsplit(": ").next().and_then(|rest| rest.split(' ').next());
    let level: f64 = level.context("no figure")?.parse()?;
    ensure!(level <= MOST_EXPOSURE, "{overall}\n{said}");
    Ok(())
}
