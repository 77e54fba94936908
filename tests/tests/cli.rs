//! The command line: help, completions, schemas, checks and exit codes.
//!
//! Needs root.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use sentinel::judge::verdict::{Level, Signal};
use sentinel_tests::{
    agent::Options,
    invoke::{
        code::{DONE, REACHED, USAGE},
        file, invoke, refused, text,
    },
    scene::Scene,
    workload::Workload,
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(15);
const COMMANDS: [&str; 9] = [
    "run",
    "check",
    "replay",
    "judge",
    "record",
    "schema",
    "config",
    "completions",
    "man",
];

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
        "rarity",
        "calibration",
        "velocity_per_s",
        "acceleration_per_s2",
        "forecast",
        "risk",
        "destination",
        "incident",
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
    ensure!(properties.len() == 32, "{:?}", properties.keys());
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
    let mut agent = Options::new()?
        .arg("--every-tick")
        .duration(Duration::from_secs(4))
        .start()?;
    thread::sleep(Duration::from_secs(1));
    let ended = agent.ended(LIMIT)?;
    let check = invoke(&["check"], LIMIT)?;
    ensure!(!ended.stdout.is_empty() && !check.stdout.is_empty(), "{ended:?}");
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
