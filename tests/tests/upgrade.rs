//! Contract: an agent that is ended and started again misses at most two ticks and keeps what it had learned. A file it cannot use is said
//! once, put aside, and ends nothing; so is a directory in which it cannot write.
//!
//! Needs root and `unshare`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sentinel::{
    judge::verdict::Signal as Watched,
    memory::{Found, SCHEMA},
    show::heartbeat::Beat,
};
use sentinel_tests::{
    agent::{Agent, Options, Seen},
    cgroup::{Cgroup, Family},
    paths,
    process::Process,
    wait,
};
use tempfile::TempDir;

const START: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_secs(10);
/// What the first run learns from.
const LEARNING: Duration = Duration::from_secs(14);

/// A state directory, and what is kept in it.
struct State {
    dir: TempDir,
}

impl State {
    fn new() -> Result<Self> {
        Ok(Self {
            dir: tempfile::tempdir()?,
        })
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("learned/state.json")
    }

    fn aside(&self) -> PathBuf {
        self.dir.path().join("learned/state.json.unknown")
    }

    fn beat(&self) -> PathBuf {
        self.dir.path().join("beat.json")
    }

    /// Puts something where the agent looks.
    fn put(&self, text: &[u8]) -> Result<()> {
        let folder = self.dir.path().join("learned");
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        fs::write(self.file(), text)?;
        Ok(fs::set_permissions(self.file(), fs::Permissions::from_mode(0o600))?)
    }

    fn options(&self) -> Result<Options> {
        let config = format!(
            "interval = \"1s\"\nheartbeat_file = \"{}\"\nstate_dir = \"{}\"\nstate_every = \"1s\"\n",
            self.beat().display(),
            self.dir.path().display()
        );
        Ok(Options::new()?.config(&config).arg("--no-journal"))
    }
}

fn beat(path: &Path) -> Option<Beat> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// How many lines of its log have all of this.
fn said(agent: &Agent, parts: &[&str]) -> usize {
    let all = |line: &String| parts.iter().all(|part| line.contains(part));
    agent.stderr().iter().filter(|line| all(line)).count()
}

fn says(agent: &Agent, parts: &[&str]) -> Result<()> {
    let heard = wait::until_true(START, || said(agent, parts) > 0);
    ensure!(heard, "it does not say {parts:?}: {:#?}", agent.stderr());
    Ok(())
}

/// Something that wakes fifty times a second.
fn load(cgroup: &Cgroup) -> Result<Process> {
    let mut command = cgroup.command("/bin/sh");
    command.args(["-c", "while :; do sleep 0.02; done"]);
    Process::spawn(&mut command)
}

fn is_jitter_of(seen: &Seen, path: &str) -> bool {
    seen.verdict.scope.path == path && seen.verdict.signal == Watched::Jitter
}

/// Samples of the past with which a scope is first compared, and with how much of it measured in this run.
fn first_past(agent: &Agent, path: &str) -> Result<(u64, usize)> {
    let found = agent.find(START, |seen| {
        is_jitter_of(seen, path) && seen.verdict.baseline.is_some()
    });
    let found = found.with_context(|| format!("it is never compared with its past: {:#?}", agent.stderr()))?;
    let before = agent.verdicts().into_iter().filter(|seen| is_jitter_of(seen, path));
    let before = before.take_while(|seen| seen.verdict.baseline.is_none()).count();
    Ok((found.verdict.baseline.map_or(0, |past| past.samples), before))
}

#[test]
fn a_restart_misses_at_most_two_ticks_and_keeps_what_was_learned() -> Result<()> {
    let (state, family) = (State::new()?, Family::new()?);
    let cgroup = family.cgroup("steady")?;
    let mut load = load(&cgroup)?;
    let options = || -> Result<Options> { Ok(state.options()?.arg("--every-tick").only_about(&cgroup.scope())) };

    let mut first = options()?.start()?;
    first.warm_up(LEARNING)?;
    let learned = first
        .verdicts()
        .into_iter()
        .rev()
        .find(|seen| is_jitter_of(seen, &cgroup.scope()));
    let learned = learned
        .and_then(|seen| seen.verdict.baseline)
        .context("nothing was learned")?;
    ensure!(first.end(Signal::SIGTERM)?.code == Some(0));
    let last = beat(&state.beat()).context("no heartbeat")?;
    ensure!(last.state == "ended" && last.late_ticks <= 2, "{last:?}");
    let mode = fs::metadata(state.file())?.permissions().mode() & 0o777;
    let kept: Found = serde_json::from_slice(&fs::read(state.file())?)?;
    ensure!(mode == 0o600 && kept.boot_id == last.boot_id, "{mode:o} {kept:?}");
    let folder: Vec<_> = fs::read_dir(state.dir.path().join("learned"))?.flatten().collect();
    ensure!(folder.len() == 1, "{folder:?}");

    let mut second = options()?.start()?;
    let began = wait::until(START, || beat(&state.beat()).filter(|beat| beat.pid != last.pid));
    let began = began.with_context(|| format!("{:#?}", second.stderr()))?;
    // The first beat of the second run may be that of a later tick than its first.
    let first_tick_ns = began.monotonic_ns - (began.ticks - 1) * 1_000_000_000;
    let between_s = (first_tick_ns - last.monotonic_ns) as f64 / 1e9;
    says(&second, &["took over what was learned of", "state.json"])?;
    let (samples, before) = first_past(&second, &cgroup.scope())?;
    println!(
        "{between_s:.2} s between the last tick and the first; {} samples learned, {samples} at the first comparison, {before} verdicts without; {} scopes kept",
        learned.samples,
        kept.scopes.len()
    );
    ensure!(between_s <= 3.5, "{between_s} s: more than two ticks are missing");
    // The rest is what a gap of a few seconds forgets.
    ensure!(
        samples * 10 >= learned.samples * 8 && samples >= 8,
        "{samples} of {}",
        learned.samples
    );
    ensure!(second.end(Signal::SIGTERM)?.code == Some(0));

    // Without the file it begins from nothing: that is what the above is about.
    fs::remove_file(state.file())?;
    let mut third = options()?.start()?;
    let (fresh, _) = first_past(&third, &cgroup.scope())?;
    ensure!(fresh < samples, "{fresh} samples without a memory, {samples} with one");
    ensure!(said(&third, &["took over"]) == 0, "{:#?}", third.stderr());
    ensure!(third.end(Signal::SIGTERM)?.code == Some(0));
    load.kill()?;
    Ok(())
}

/// Starts an agent where this file lies, and expects this to be said once, the file to be kept aside, and a good one in its place.
fn kept_aside(text: &[u8], parts: &[&str]) -> Result<()> {
    let state = State::new()?;
    state.put(text)?;
    let mut agent = state.options()?.start()?;
    let mut message = vec!["state.json", "state.json.unknown"];
    message.extend(parts);
    says(&agent, &message)?;
    ensure!(
        wait::until_true(START, || state.file().exists()),
        "it writes none: {:#?}",
        agent.stderr()
    );
    ensure!(
        fs::read(state.aside())? == text,
        "what was kept aside is not what was found"
    );
    ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
    ensure!(said(&agent, &["state.json"]) == 1, "{:#?}", agent.stderr());
    let _: Found = serde_json::from_slice(&fs::read(state.file())?)?;
    Ok(())
}

#[test]
fn a_file_of_another_version_is_kept_aside_and_the_agent_runs() -> Result<()> {
    let text = br#"{"schema":"sentinel.state/99","everything":"else"}"#;
    kept_aside(text, &["sentinel.state/99", SCHEMA])
}

#[test]
fn a_file_that_is_cut_off_is_kept_aside_and_the_agent_runs() -> Result<()> {
    let text = format!("{{\"schema\":\"{SCHEMA}\",\"version\":\"0.1.0\",\"boot_id\":\"x\",\"scopes\":[\n{{\"kind\":");
    kept_aside(text.as_bytes(), &["is not whole"])
}

#[test]
fn a_file_that_others_may_write_is_not_believed() -> Result<()> {
    let state = State::new()?;
    state.put(b"{}")?;
    fs::set_permissions(state.file(), fs::Permissions::from_mode(0o666))?;
    let mut agent = state.options()?.start()?;
    says(&agent, &["state.json", "mode 666", "not read"])?;
    ensure!(wait::until_true(START, || state.file().exists() && state.aside().exists()));
    ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
    Ok(())
}

/// Starts an agent whose state directory is a file system of 64 KiB of its own, prepared by these commands; `$0` is the directory.
fn on_a_small_disk(state: &State, prepare: &str) -> Result<Agent> {
    let unshare = paths::tool("unshare", "util-linux")?;
    let script = format!(
        "mount -t tmpfs -o size=64k,mode=700 tmpfs \"$0\" && mkdir -m 700 \"$0/learned\" && {{ {prepare}; }} && exec \"$@\""
    );
    let dir = state.dir.path().to_str().context("no UTF-8")?;
    let unshare = unshare.to_str().context("no UTF-8")?.to_owned();
    let config = format!("interval = \"500ms\"\nstate_dir = \"{dir}\"\nstate_every = \"1s\"\n");
    let options = Options::new()?.config(&config).arg("--every-tick").arg("--no-journal");
    options
        .through(&[unshare.as_str(), "--mount", "/bin/sh", "-c", script.as_str(), dir])
        .start()
}

/// It says once that it cannot write, and goes on for seconds in which it tries again.
fn goes_on(agent: &mut Agent, reason: &str) -> Result<()> {
    says(agent, &["state.json cannot be written", reason])?;
    let from = agent.said();
    agent.warm_up(Duration::from_secs(4))?;
    ensure!(!agent.verdicts_since(from).is_empty(), "it does not go on");
    ensure!(said(agent, &["cannot be written"]) == 1, "{:#?}", agent.stderr());
    Ok(())
}

#[test]
fn a_directory_that_is_read_only_is_said_once_and_the_agent_goes_on() -> Result<()> {
    let state = State::new()?;
    let mut agent = on_a_small_disk(&state, "mount -o remount,ro \"$0\"")?;
    goes_on(&mut agent, "Read-only")?;
    ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
    Ok(())
}

#[test]
fn a_full_disk_is_said_once_loses_nothing_and_is_written_to_again_when_there_is_room() -> Result<()> {
    let state = State::new()?;
    // An old file that was good, from long before: it is not taken over, and must not be lost for a new one that finds no room.
    let prepare = "printf '{\"schema\":\"sentinel.learned/1\",\"boot_id\":\"b\",\"taken\":{\"unix_ms\":1,\"monotonic_ns\":1},\"scopes\":[]}' \
                   > \"$0/learned/state.json\"; chmod 600 \"$0/learned/state.json\"; cat /dev/zero > \"$0/full\" 2>/dev/null || true";
    let mut agent = on_a_small_disk(&state, prepare)?;
    goes_on(&mut agent, "No space")?;
    let inside = Path::new("/proc").join(agent.pid().to_string()).join("root");
    let inside = inside.join(state.dir.path().strip_prefix("/")?);
    let file = inside.join("learned/state.json");
    let taken = |file: &Path| {
        Some(
            serde_json::from_slice::<Found>(&fs::read(file).ok()?)
                .ok()?
                .taken
                .unix_ms,
        )
    };
    ensure!(taken(&file) == Some(1), "the old file is gone");
    fs::remove_file(inside.join("full"))?;
    says(&agent, &["is written again"])?;
    ensure!(wait::until_true(LIMIT, || taken(&file).is_some_and(|taken| taken > 1)));
    ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
    Ok(())
}

#[test]
fn a_recorded_run_begins_from_nothing_and_replay_and_judge_read_no_state() -> Result<()> {
    let state = State::new()?;
    state.put(br#"{"schema":"sentinel.state/99"}"#)?;
    let recording = state.dir.path().join("recording.jsonl");
    let mut agent = state.options()?.arg("--record").arg(&recording).start()?;
    says(&agent, &["a recorded run begins from nothing"])?;
    agent.warm_up(Duration::from_secs(3))?;
    ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
    let replayed = Command::new(paths::sentinel()?)
        .args(["replay", "--output", "json"])
        .arg(&recording)
        .env("STATE_DIRECTORY", state.dir.path())
        .output()?;
    ensure!(replayed.status.success(), "{replayed:?}");
    ensure!(state.file().exists() && !state.aside().exists(), "it was touched");
    Ok(())
}

#[test]
fn the_directory_of_the_service_manager_is_used_where_none_is_configured() -> Result<()> {
    let state = State::new()?;
    let name = format!("STATE_DIRECTORY={}", state.dir.path().display());
    let options = Options::new()?.config("state_every = \"1s\"\n").arg("--no-journal");
    let mut agent = options.through(&["env", name.as_str()]).start()?;
    ensure!(
        wait::until_true(START, || state.file().exists()),
        "{:#?}",
        agent.stderr()
    );
    ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
    Ok(())
}

#[test]
fn an_agent_that_becomes_another_user_still_writes_below_a_directory_of_root() -> Result<()> {
    let state = State::new()?;
    let config = format!(
        "user = \"nobody\"\nstate_dir = \"{}\"\nstate_every = \"1s\"\n",
        state.dir.path().display()
    );
    for takes_over in [false, true] {
        let options = Options::new()?.config(&config).arg("--no-journal");
        // A directory that only root may pass through, as that of a unit with `User=root`.
        fs::set_permissions(state.dir.path(), fs::Permissions::from_mode(0o700))?;
        let mut agent = options.start()?;
        agent.warm_up(Duration::from_secs(7))?;
        ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
        ensure!(said(&agent, &["runs as nobody"]) == 1, "{:#?}", agent.stderr());
        ensure!(
            (said(&agent, &["took over"]) == 1) == takes_over,
            "{:#?}",
            agent.stderr()
        );
        ensure!(said(&agent, &["cannot be"]) == 0, "{:#?}", agent.stderr());
        let nobody = nix::unistd::User::from_name("nobody")?.context("no nobody")?;
        ensure!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(state.file())?) == nobody.uid.as_raw());
    }
    Ok(())
}
