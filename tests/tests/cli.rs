//! The command line: what it accepts, and one clear sentence with the right exit code for what it does not.
//!
//! Needs root, `setpriv` and `unshare`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal as Kill;
use sentinel::judge::verdict::{Level, Signal};
use sentinel_tests::{
    agent::{Ended, Options, finish, invoke},
    bpf::Objects,
    paths,
    scene::Scene,
    workload::Workload,
};
use serde_json::Value;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(15);
/// Done.
const DONE: i32 = 0;
/// Failed while running.
const FAILED: i32 = 1;
/// Bad usage or configuration.
const USAGE: i32 = 2;
/// This host cannot.
const CANNOT: i32 = 3;
/// The level of `--fail-on` was reached.
const REACHED: i32 = 4;
const COMMANDS: [&str; 8] = [
    "run",
    "check",
    "replay",
    "record",
    "schema",
    "config",
    "completions",
    "man",
];

/// A refusal: one sentence that says these, nothing on stdout, and this code.
fn refused(ended: &Ended, code: i32, says: &[&str]) -> Result<()> {
    ensure!(
        ended.code == Some(code),
        "{} instead of exit code {code}: {:?}",
        ended.ending,
        ended.stderr
    );
    let sentence = ended.sentence()?;
    println!("exit {code}: {sentence}");
    ensure!(ended.stdout.is_empty(), "{:?}", ended.stdout);
    for part in says {
        ensure!(
            sentence.to_lowercase().contains(&part.to_lowercase()),
            "says nothing of {part:?}: {sentence}"
        );
    }
    Ok(())
}

fn with_config(toml: &str) -> Result<Ended> {
    Options::new()?.config(toml).start()?.ended(LIMIT)
}

fn file(name: &str, content: &[u8]) -> Result<(TempDir, PathBuf)> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join(name);
    fs::write(&path, content)?;
    Ok((dir, path))
}

fn text(path: &Path) -> &str {
    path.to_str()
        .unwrap_or_else(|| unreachable!("temporary paths are UTF-8"))
}

#[test]
fn an_unknown_key_is_named_with_its_line() -> Result<()> {
    refused(
        &with_config("interval = \"1s\"\nintervall = \"1s\"\n")?,
        USAGE,
        &["sentinel.toml:2", "intervall"],
    )?;
    refused(
        &with_config("[jitter]\nsigmas = 2.0\n")?,
        USAGE,
        &["sentinel.toml:2", "sigmas"],
    )
}

#[test]
fn a_wrong_unit_is_named_with_its_line() -> Result<()> {
    refused(
        &with_config("\ninterval = \"5 parsecs\"\n")?,
        USAGE,
        &["sentinel.toml:2", "interval", "parsecs"],
    )?;
    refused(&with_config("interval = 5\n")?, USAGE, &["sentinel.toml:1", "interval"])
}

#[test]
fn a_negative_duration_is_refused_in_the_file_and_on_the_command_line() -> Result<()> {
    refused(
        &with_config("interval = \"-1s\"\n")?,
        USAGE,
        &["sentinel.toml:1", "interval"],
    )?;
    refused(&invoke(&["run", "--duration=-5s"], LIMIT)?, USAGE, &["duration", "-5s"])?;
    refused(&invoke(&["run", "--interval=-1s"], LIMIT)?, USAGE, &["interval", "-1s"])
}

#[test]
fn a_config_that_cannot_be_read_is_named() -> Result<()> {
    let missing = "/nonexistent/sentinel.toml";
    refused(
        &invoke(&["run", "--config", missing, "--duration", "1s"], LIMIT)?,
        USAGE,
        &[missing],
    )?;
    let dir = tempfile::tempdir()?;
    refused(
        &invoke(&["run", "--config", text(dir.path()), "--duration", "1s"], LIMIT)?,
        USAGE,
        &["directory"],
    )?;
    let (_dir, path) = file("binary.toml", &[0xff, 0xfe, 0, 1])?;
    refused(
        &invoke(&["run", "--config", text(&path), "--duration", "1s"], LIMIT)?,
        USAGE,
        &["binary.toml"],
    )
}

#[test]
fn an_unknown_command_option_or_value_is_refused() -> Result<()> {
    refused(&invoke(&["fly"], LIMIT)?, USAGE, &["fly"])?;
    refused(&invoke(&["run", "--fast"], LIMIT)?, USAGE, &["--fast"])?;
    refused(&invoke(&["run", "--output", "morse"], LIMIT)?, USAGE, &["morse"])?;
    refused(&invoke(&["run", "--autonomy", "godlike"], LIMIT)?, USAGE, &["godlike"])?;
    refused(&invoke(&["schema", "nothing"], LIMIT)?, USAGE, &["nothing"])
}

#[test]
fn without_root_the_agent_says_what_it_needs() -> Result<()> {
    // The build directory need not be readable for others.
    let dir = tempfile::tempdir()?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777))?;
    let program = dir.path().join("sentinel");
    fs::copy(paths::sentinel()?, &program)?;
    let mut command = Command::new(paths::tool("setpriv", "util-linux")?);
    command.args([
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "--inh-caps=-all",
    ]);
    command
        .arg(&program)
        .args(["run", "--duration", "2s", "--lock"])
        .arg(dir.path().join("lock"));
    refused(&finish(&mut command, LIMIT)?, CANNOT, &["root"])
}

/// Runs the agent in a mount namespace of its own, after a line of the shell that takes something away.
fn without(line: &str) -> Result<Ended> {
    let dir = tempfile::tempdir()?;
    let empty = dir.path().join("empty");
    fs::create_dir(&empty)?;
    let lock = dir.path().join("lock");
    let program = paths::sentinel()?;
    let mut command = Command::new(paths::tool("unshare", "util-linux")?);
    let script = format!("{line} && exec \"$1\" run --duration 2s --output json --lock \"$2\"");
    command
        .args(["--mount", "/bin/sh", "-c", &script])
        .arg(&empty)
        .arg(program)
        .arg(lock);
    finish(&mut command, LIMIT)
}

#[test]
fn without_btf_the_agent_says_so() -> Result<()> {
    refused(&without("mount --bind \"$0\" /sys/kernel/btf")?, CANNOT, &["BTF"])
}

#[test]
fn without_cgroup_v2_the_agent_says_so() -> Result<()> {
    let mount = paths::cgroup2()?;
    refused(
        &without(&format!("umount -l {}", mount.display()))?,
        CANNOT,
        &["cgroup"],
    )
}

#[test]
fn nothing_is_left_attached_by_a_refusal() -> Result<()> {
    let before = Objects::all()?;
    with_config("interval = \"-1s\"\n")?;
    without("mount --bind \"$0\" /sys/kernel/btf")?;
    ensure!(Objects::all()?.without(&before).pins.is_empty());
    Ok(())
}

#[test]
fn a_second_instance_is_told_who_is_first() -> Result<()> {
    let mut first = Options::new()?.start()?;
    first.warm_up(Duration::from_secs(3))?;
    let pid = first.pid().to_string();
    let second = Options::new()?.lock(first.lock()).start()?.ended(LIMIT)?;
    refused(&second, FAILED, &["another", &pid])?;
    ensure!(first.end(Kill::SIGTERM)?.code == Some(DONE), "the first goes on");
    Ok(())
}

#[test]
fn a_foreign_file_is_no_recording() -> Result<()> {
    let (_dir, path) = file("holiday.jpg", b"\xff\xd8\xff\xe0 not a recording")?;
    refused(&invoke(&["replay", text(&path)], LIMIT)?, FAILED, &["holiday.jpg"])?;
    let (_dir, path) = file("other.json", b"{\"schema\":\"other/1\"}\n")?;
    refused(&invoke(&["replay", text(&path)], LIMIT)?, FAILED, &["other.json"])?;
    let (_dir, path) = file("empty", b"")?;
    refused(&invoke(&["replay", text(&path)], LIMIT)?, FAILED, &["empty"])?;
    refused(
        &invoke(&["replay", "/nonexistent/recording"], LIMIT)?,
        FAILED,
        &["/nonexistent/recording"],
    )
}

#[test]
fn a_level_that_was_asked_to_fail_on_is_an_exit_code_of_its_own() -> Result<()> {
    let options = Options::new()?
        .arg("--fail-on")
        .arg("veto")
        .duration(Duration::from_secs(30));
    let mut scene = Scene::start(&["busy"], options)?;
    scene.warm_up()?;
    let _spin = Workload::start(scene.cgroup("busy"), &["spin", "--threads", "6", "--seconds", "40"])?;
    let ended = scene.agent.ended(Duration::from_secs(40))?;
    ensure!(ended.code == Some(REACHED), "{}: {:?}", ended.ending, ended.stderr);
    let verdicts = scene.agent.verdicts();
    ensure!(
        verdicts
            .iter()
            .any(|seen| seen.verdict.level == Level::Veto && seen.verdict.signal == Signal::Jitter)
    );
    Ok(())
}

#[test]
fn help_names_every_command() -> Result<()> {
    let help = invoke(&["--help"], LIMIT)?;
    ensure!(help.code == Some(DONE) && help.stderr.is_empty(), "{help:?}");
    let help = help.stdout.join("\n");
    for command in COMMANDS {
        ensure!(help.contains(&format!("\n  {command} ")), "no {command} in\n{help}");
        let own = invoke(&[command, "--help"], LIMIT)?;
        ensure!(
            own.code == Some(DONE) && !own.stdout.is_empty(),
            "{command} --help: {own:?}"
        );
    }
    let version = invoke(&["--version"], LIMIT)?;
    ensure!(
        version.code == Some(DONE) && version.stdout[0].starts_with("sentinel "),
        "{version:?}"
    );
    Ok(())
}

#[test]
fn completions_come_for_every_shell_and_a_manual_as_roff() -> Result<()> {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = invoke(&["completions", shell], LIMIT)?;
        ensure!(
            ended.code == Some(DONE) && ended.stderr.is_empty(),
            "{shell}: {ended:?}"
        );
        ensure!(
            ended.stdout.iter().any(|line| line.contains("replay")),
            "{shell} knows no replay"
        );
    }
    let man = invoke(&["man"], LIMIT)?;
    ensure!(
        man.code == Some(DONE) && man.stdout.iter().any(|line| line.starts_with(".TH sentinel 1")),
        "{man:?}"
    );
    Ok(())
}

#[test]
fn the_schema_of_a_verdict_names_every_field_of_a_verdict() -> Result<()> {
    let ended = invoke(&["schema", "verdict"], LIMIT)?;
    ensure!(ended.code == Some(DONE), "{ended:?}");
    let schema: Value = serde_json::from_str(&ended.stdout.join("\n"))?;
    let properties = schema["properties"].as_object().context("no properties")?;
    for field in [
        "schema",
        "id",
        "seq",
        "time",
        "boot_id",
        "monotonic_ns",
        "host",
        "scope",
        "signal",
        "level",
        "previous",
        "cause",
        "phase",
        "value",
        "unit",
        "baseline",
        "sigma",
        "velocity_per_s",
        "acceleration_per_s2",
        "forecast",
        "features",
        "window_ms",
        "coverage",
        "lost",
        "autonomy",
        "plan",
        "summary",
    ] {
        ensure!(properties.contains_key(field), "no {field} in {schema:#}");
    }
    ensure!(properties.len() == 27, "{:?}", properties.keys());
    Ok(())
}

#[test]
fn check_says_what_this_host_offers_to_people_and_to_programs() -> Result<()> {
    let people = invoke(&["check"], LIMIT)?;
    ensure!(people.code == Some(DONE) && people.stdout.len() > 3, "{people:?}");
    let programs = invoke(&["check", "--json"], LIMIT)?;
    ensure!(programs.code == Some(DONE), "{programs:?}");
    let _: Value = serde_json::from_str(&programs.stdout.join("\n"))?;
    Ok(())
}

#[test]
fn config_check_and_show_need_no_root_and_agree_with_run() -> Result<()> {
    let (_dir, good) = file("good.toml", b"interval = \"2s\"\n")?;
    let (_dir, bad) = file("bad.toml", b"interval = \"-2s\"\n")?;
    ensure!(invoke(&["config", "check", "--config", text(&good)], LIMIT)?.code == Some(DONE));
    refused(
        &invoke(&["config", "check", "--config", text(&bad)], LIMIT)?,
        USAGE,
        &["bad.toml:1", "interval"],
    )?;
    let shown = invoke(&["config", "show", "--config", text(&good)], LIMIT)?;
    ensure!(shown.code == Some(DONE), "{shown:?}");
    ensure!(
        shown
            .stdout
            .iter()
            .any(|line| line.contains("interval") && line.contains("2s")),
        "{shown:?}"
    );
    Ok(())
}

#[test]
fn nothing_is_coloured_where_nobody_looks() -> Result<()> {
    let mut agent = Options::new()?.duration(Duration::from_secs(4)).start()?;
    thread::sleep(Duration::from_secs(1));
    let ended = agent.ended(LIMIT)?;
    let check = invoke(&["check"], LIMIT)?;
    for line in ended
        .stdout
        .iter()
        .chain(&ended.stderr)
        .chain(&check.stdout)
        .chain(&check.stderr)
    {
        ensure!(!line.contains('\u{1b}'), "{line:?}");
    }
    Ok(())
}
