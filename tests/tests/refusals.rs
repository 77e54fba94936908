//! Bad input and a host that lacks something: one clear sentence, the right exit code, no panic, nothing attached.
//!
//! Needs root, `setpriv` and `unshare`.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal as Kill;
use sentinel_tests::{
    agent::Options,
    bpf::Objects,
    invoke::{
        Ended, as_nobody,
        code::{CANNOT, DONE, FAILED, USAGE},
        file, finish, invoke, refused, text,
    },
    paths,
};

const LIMIT: Duration = Duration::from_secs(15);

fn with_config(toml: &str) -> Result<Ended> {
    Options::new()?.exactly(toml).start()?.ended(LIMIT)
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
    let mut command = as_nobody(dir.path())?;
    command
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
    let refusals = [
        with_config("interval = \"-1s\"\n")?,
        without("mount --bind \"$0\" /sys/kernel/btf")?,
    ];
    ensure!(refusals.iter().all(|ended| ended.code != Some(DONE)), "{refusals:?}");
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
