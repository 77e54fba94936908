//! `sentinel top` as a person has it: in a terminal (tmux), with keys, beside a live agent on the running kernel.
//!
//! Needs root and tmux.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sentinel_tests::{
    agent::{Agent, Options},
    cgroup::Family,
    invoke::{self, code},
    paths, wait,
    workload::{Workload, port::Closed},
};
use tempfile::TempDir;

/// A storm must show within this time after its first attempt.
const SHOWS: Duration = Duration::from_secs(2);
/// How long something that comes at once may take on a busy host.
const SOON: Duration = Duration::from_secs(5);
/// Bytes per second that a screen which only goes on may cost over ssh.
const BYTES_PER_S: u64 = 2048;

/// A terminal with a shell in it. Dropping it ends both.
struct Terminal {
    dir: TempDir,
}

impl Terminal {
    fn open(columns: u32, lines: u32) -> Result<Self> {
        let terminal = Self {
            dir: tempfile::tempdir()?,
        };
        let size = [columns.to_string(), lines.to_string()];
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "-u",
            "new-session",
            "-d",
            "-x",
            &size[0],
            "-y",
            &size[1],
            "env PS1='> ' TERM=screen-256color sh",
        ])?;
        terminal.shows(SOON, |screen| screen.contains('>'))?;
        Ok(terminal)
    }

    fn tmux(&self, args: &[&str]) -> Result<String> {
        let socket = self.dir.path().join("tmux.sock");
        let output = Command::new("tmux").arg("-S").arg(socket).args(args).output()?;
        ensure!(
            output.status.success(),
            "tmux {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What is on it.
    fn screen(&self) -> Result<String> {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until it shows something; the screen that did.
    fn shows(&self, limit: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let mut last = String::new();
        let found = wait::until(limit, || {
            last = self.screen().ok()?;
            wanted(&last).then(|| last.clone())
        });
        found.with_context(|| format!("it does not show within {limit:?}:\n{last}"))
    }

    fn press(&self, key: &str) -> Result<()> {
        self.tmux(&["send-keys", key]).map(drop)
    }

    fn line(&self, text: &str) -> Result<()> {
        self.tmux(&["send-keys", "-l", text])?;
        self.press("Enter")
    }

    /// The state of the terminal: its settings as the shell sees them, cursor and screen in use as tmux does.
    fn state(&self, name: &str) -> Result<(String, String)> {
        let file = self.dir.path().join(name);
        self.line(&format!("stty -a > {}", file.display()))?;
        let settings = wait::until(SOON, || fs::read_to_string(&file).ok().filter(|text| !text.is_empty()));
        let seen = self.tmux(&[
            "display-message",
            "-p",
            "#{cursor_flag} #{alternate_on} #{mouse_any_flag}",
        ])?;
        Ok((settings.context("the shell does not answer")?, seen.trim().to_owned()))
    }

    /// Bytes that were written to it in a time.
    fn bytes(&self, time: Duration) -> Result<u64> {
        let file = self.dir.path().join("bytes");
        self.tmux(&["pipe-pane", &format!("cat > {}", file.display())])?;
        std::thread::sleep(time);
        self.tmux(&["pipe-pane"])?;
        Ok(fs::metadata(&file)?.len())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

/// The agent that top shows, in `approve`, with one rule for the storms of these cgroups.
fn agent(family: &Family) -> Result<Agent> {
    let config = format!(
        "interval = \"1s\"\nautonomy = \"approve\"\n[[rule]]\nname = \"storm\"\ncauses = [\"retry_storm\"]\n\
         level = \"veto\"\nscope = \"{}/**\"\naction = \"retry_budget\"\n",
        family.scope()
    );
    let options = Options::new()?.config(&config);
    let listen = format!("unix:{}", options.dir().join("web.sock").display());
    let mut agent = options.listen(&listen).arg("--no-journal").start()?;
    agent.warm_up(Duration::from_secs(4))?;
    Ok(agent)
}

/// The command that shows it.
fn top(dir: &Path) -> Result<String> {
    Ok(format!(
        "{} top --at unix:{} --control {}",
        paths::sentinel()?.display(),
        dir.join("web.sock").display(),
        dir.join("control.sock").display()
    ))
}

/// The seconds behind `words` on a screen.
fn seconds_after(screen: &str, words: &str) -> Option<u64> {
    let (_, rest) = screen.split_once(words)?;
    rest.trim_start().split(' ').next()?.parse().ok()
}

/// Process id of the `sentinel top` that runs with these arguments.
fn pid_of(arguments: &str) -> Option<i32> {
    let processes = fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|process| {
        let line = fs::read(process.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let pid = process.file_name().to_str()?.parse().ok()?;
        (line.contains(" top ") && line.contains(arguments)).then_some(pid)
    })
}

#[test]
fn a_storm_shows_is_approved_counts_down_and_is_lifted_by_keys_and_the_terminal_is_as_it_was() -> Result<()> {
    let family = Family::new()?;
    let (storm, bystander) = (family.cgroup("stormy")?, family.cgroup("bystander")?);
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let server = Workload::start(&bystander, &["tcp-server", "--seconds", "60"])?;
    let listen = server.listen()?.to_string();
    let agent = agent(&family)?;
    let terminal = Terminal::open(80, 24)?;
    let before = terminal.state("before")?;
    terminal.line(&top(agent.dir())?)?;
    terminal.shows(SOON, |screen| {
        screen.contains("sentinel on") && screen.contains("approve")
    })?;

    let spared = ["attempts", "--to", &listen, "--per-s", "20", "--seconds", "20"];
    let spared = Workload::start(&bystander, &spared)?;
    let closed = Closed::take(loopback)?;
    let to = closed.address().to_string();
    let attempts = Workload::start(&storm, &["attempts", "--to", &to, "--per-s", "200", "--seconds", "40"])?;
    let alarmed = |screen: &str| {
        screen
            .lines()
            .any(|line| line.contains("stormy") && (line.contains("watch") || line.contains("veto")))
    };
    terminal.shows(SOON, alarmed)?;
    let took = wait::since(attempts.onset_ns());
    println!("shown {} ms after its first attempt", took.as_millis());
    ensure!(took <= SHOWS, "it took {took:?}");

    let screen = terminal.shows(SOON, |screen| screen.contains("dropped in"))?;
    ensure!(screen.contains("retry storm"), "no cause:\n{screen}");
    terminal.press("a")?;
    terminal.shows(SOON, |screen| {
        screen.contains("approve retry_budget on") && screen.contains("y/n")
    })?;
    terminal.press("n")?;
    terminal.shows(SOON, |screen| screen.contains("nothing was done"))?;
    ensure!(
        !terminal.screen()?.contains("lapses in"),
        "it was asked, and answered no"
    );
    terminal.press("a")?;
    terminal.shows(SOON, |screen| screen.contains("y/n"))?;
    terminal.press("y")?;
    let screen = terminal.shows(SOON, |screen| {
        screen.contains("lapses in") && screen.contains("refused")
    })?;
    ensure!(screen.contains("holds retry budget stormy"), "{screen}");
    ensure!(!screen.contains("holds retry budget bystander"), "{screen}");
    ensure!(
        seconds_after(&screen, "lapses in").is_some_and(|left| (1..=10).contains(&left)),
        "{screen}"
    );
    let cost = terminal.bytes(Duration::from_secs(4))? / 4;
    println!("{cost} bytes per second");
    ensure!((1..=BYTES_PER_S).contains(&cost), "{cost} bytes per second");

    terminal.press("l")?;
    terminal.shows(SOON, |screen| screen.contains("lift retry_budget on"))?;
    terminal.press("y")?;
    terminal.shows(SOON, |screen| {
        screen.contains("is lifted") && !screen.contains("lapses in")
    })?;

    // One by hand that nobody renews: its seconds go down to its end.
    let control = agent.dir().join("control.sock");
    let args = [
        "veto",
        "apply",
        &storm.scope(),
        "retry-budget",
        "--ttl",
        "5s",
        "--control",
        invoke::text(&control),
    ];
    let applied = invoke::invoke(&args, SOON)?;
    ensure!(applied.code == Some(code::DONE), "{applied:?}");
    terminal.shows(SOON, |screen| screen.contains("lapses in"))?;
    let mut seen: Vec<u64> = Vec::new();
    let gone = wait::until_true(Duration::from_secs(9), || {
        let screen = terminal.screen().unwrap_or_default();
        match seconds_after(&screen, "lapses in") {
            Some(left) if seen.last() != Some(&left) => seen.push(left),
            _ => {}
        }
        !screen.contains("lapses in")
    });
    ensure!(gone, "it is still shown: {seen:?}");
    ensure!(
        seen.len() >= 3 && seen.is_sorted_by(|a, b| a > b),
        "no countdown: {seen:?}"
    );

    let report = spared.event("report", Duration::from_secs(30))?;
    ensure!(
        report["ends"]
            .as_object()
            .is_some_and(|ends| ends.keys().all(|end| end == "ok")),
        "the bystander was refused: {report}"
    );
    terminal.press("q")?;
    terminal.shows(SOON, |screen| screen.trim_end().ends_with('>'))?;
    let after = terminal.state("after")?;
    assert_eq!(before, after, "the terminal is not as it was");
    ensure!(!terminal.screen()?.contains("Enter details"), "something is left on it");
    Ok(())
}

#[test]
fn where_no_agent_runs_it_watches_by_itself_and_a_signal_gives_the_terminal_back() -> Result<()> {
    let family = Family::new()?;
    let busy = family.cgroup("busy")?;
    let _load = Workload::start(&busy, &["duty", "--threads", "1", "--percent", "20", "--seconds", "60"])?;
    let terminal = Terminal::open(100, 30)?;
    let dir = tempfile::tempdir()?;
    let (config, lock) = (dir.path().join("sentinel.toml"), dir.path().join("lock"));
    fs::write(
        &config,
        format!(
            "interval = \"500ms\"\nlisten = \"unix:{}\"\n",
            dir.path().join("web.sock").display()
        ),
    )?;
    let arguments = format!("--config {} --lock {}", config.display(), lock.display());
    let before = terminal.state("before")?;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        terminal.line(&format!(
            "{} top {arguments}; echo code $?",
            paths::sentinel()?.display()
        ))?;
        let shown = |screen: &str| screen.contains("no agent · observe") && screen.contains("busy");
        terminal.shows(Duration::from_secs(10), shown)?;
        let pid = wait::until(SOON, || pid_of(&arguments)).context("it does not run")?;
        let locked = fs::read_to_string(&lock)?;
        ensure!(
            locked.starts_with(&pid.to_string()),
            "it does not hold the lock: {locked:?}"
        );
        kill(Pid::from_raw(pid), signal)?;
        terminal.shows(SOON, |screen| screen.contains("code 0"))?;
        let after = terminal.state(signal.as_str())?;
        assert_eq!(before, after, "after {signal} the terminal is not as it was");
        terminal.line("clear")?;
        terminal.shows(SOON, |screen| !screen.contains("code 0"))?;
    }
    Ok(())
}

#[test]
fn an_agent_that_goes_and_comes_back_is_told_of_and_shown_again() -> Result<()> {
    let family = Family::new()?;
    let mut first = agent(&family)?;
    // The second agent must be where the first one was.
    let place: PathBuf = tempfile::tempdir()?.keep();
    let link = |dir: &Path| -> Result<()> {
        for name in ["web.sock", "control.sock"] {
            let _ = fs::remove_file(place.join(name));
            std::os::unix::fs::symlink(dir.join(name), place.join(name))?;
        }
        Ok(())
    };
    link(first.dir())?;
    let terminal = Terminal::open(100, 30)?;
    terminal.line(&top(&place)?)?;
    terminal.shows(SOON, |screen| screen.contains("sentinel on"))?;
    first.end(Signal::SIGTERM)?;
    terminal.shows(SOON, |screen| screen.contains("no agent answers"))?;
    terminal.shows(Duration::from_secs(8), |screen| screen.contains("NO NEWS FOR"))?;
    let second = agent(&family)?;
    link(second.dir())?;
    terminal.shows(SOON, |screen| {
        !screen.contains("no agent answers") && !screen.contains("NO NEWS")
    })?;
    terminal.press("q")?;
    terminal.shows(SOON, |screen| screen.trim_end().ends_with('>'))?;
    fs::remove_dir_all(place)?;
    Ok(())
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() -> Result<()> {
    let ended = invoke::invoke(&["top"], SOON)?;
    if ended.code != Some(code::USAGE) {
        bail!("{ended:?}");
    }
    ensure!(ended.stderr.join(" ").contains("sentinel status"), "{ended:?}");
    Ok(())
}
