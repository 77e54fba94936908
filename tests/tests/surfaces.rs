//! Every surface says the same, and a surface that fails takes nothing from the others.
//!
//! Needs root, `systemd-journald` and `journalctl`.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal as Kill;
use sentinel::judge::verdict::{Level, Signal};
use sentinel_tests::{agent::Options, invoke::Ended, journald::House, scene::Scene, wait, workload::Workload};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(3);
const LIMIT: Duration = Duration::from_secs(10);
const SPIN: [&str; 5] = ["spin", "--threads", "6", "--seconds", "60"];

/// Busy tasks until their veto, then a little longer.
fn fault(scene: &mut Scene) -> Result<()> {
    let spin = Workload::start(scene.cgroup("busy"), &SPIN)?;
    scene.veto("busy", Signal::Jitter, spin.onset_ns(), SOON)?;
    thread::sleep(SOON);
    Ok(())
}

/// Verdicts in the journal by id, with all their fields.
fn journalled(house: &House) -> Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    for entry in house.entries()? {
        let Some(text) = entry["SENTINEL_VERDICT"].as_str() else {
            continue;
        };
        let verdict: Value = serde_json::from_str(text)?;
        let id = verdict["id"].as_str().context("a verdict has an id")?.to_owned();
        ensure!(
            found.insert(id.clone(), entry).is_none(),
            "{id} is in the journal twice"
        );
    }
    Ok(found)
}

/// Waits until every verdict on stdout is in the journal, letter by letter.
fn same(house: &House, ended: &Ended) -> Result<BTreeMap<String, Value>> {
    let lines = verdict_lines(ended)?;
    let complete = || journalled(house).ok().filter(|found| found.len() >= lines.len());
    let found = wait::until(LIMIT, complete).context("the journal lacks verdicts")?;
    ensure!(
        found.len() == lines.len(),
        "{} in the journal, {} on stdout",
        found.len(),
        lines.len()
    );
    for (id, line) in &lines {
        let entry = found.get(id).with_context(|| format!("{id} is not in the journal"))?;
        ensure!(entry["SENTINEL_VERDICT"] == line.as_str(), "{line}\n{entry}");
    }
    Ok(found)
}

fn verdict_lines(ended: &Ended) -> Result<BTreeMap<String, String>> {
    let mut lines = BTreeMap::new();
    for (line, json) in ended.stdout.iter().zip(ended.json()?) {
        if json["schema"] == "sentinel.verdict/1" {
            lines.insert(json["id"].as_str().context("no id")?.to_owned(), line.clone());
        }
    }
    ensure!(!lines.is_empty(), "no verdict on stdout; stderr: {:?}", ended.stderr);
    Ok(lines)
}

/// Lines on stderr about the journal.
fn about_journal(ended: &Ended) -> Vec<&String> {
    ended.stderr.iter().filter(|line| line.contains("journal")).collect()
}

/// stdout is complete: sequence numbers from 1 on without a gap.
fn intact(ended: &Ended) -> Result<()> {
    let verdicts = ended
        .json()?
        .into_iter()
        .filter(|json| json["schema"] == "sentinel.verdict/1");
    for (expected, verdict) in (1_u64..).zip(verdicts) {
        ensure!(
            verdict["seq"] == expected,
            "verdict {expected} is missing before {verdict}"
        );
    }
    Ok(())
}

#[test]
fn a_verdict_in_the_journal_equals_the_line_on_stdout() -> Result<()> {
    let mut house = House::new()?;
    house.start()?;
    let mut scene = Scene::start(&["busy"], Options::new()?.through(&house.through()))?;
    scene.warm_up()?;
    fault(&mut scene)?;
    let ended = scene.end()?;
    intact(&ended)?;
    let found = same(&house, &ended)?;
    ensure!(about_journal(&ended).is_empty(), "{:?}", ended.stderr);
    for entry in found.values() {
        let verdict: Value = serde_json::from_str(entry["SENTINEL_VERDICT"].as_str().context("no verdict")?)?;
        ensure!(entry["SYSLOG_IDENTIFIER"] == "sentinel", "{entry}");
        ensure!(entry["SENTINEL_SIGNAL"] == verdict["signal"], "{entry}");
        ensure!(entry["SENTINEL_LEVEL"] == verdict["level"], "{entry}");
        ensure!(entry["SENTINEL_CAUSE"] == verdict["cause"], "{entry}");
        ensure!(entry["MESSAGE"] == verdict["summary"], "{entry}");
        ensure!(entry["MESSAGE_ID"].as_str().is_some_and(|id| id.len() == 32), "{entry}");
        let error = entry["PRIORITY"] == "3";
        ensure!(error == (verdict["level"] == "veto"), "{entry}");
    }
    Ok(())
}

#[test]
fn an_absent_journald_is_reported_once_and_stdout_is_intact() -> Result<()> {
    let house = House::new()?;
    let mut scene = Scene::start(&["busy"], Options::new()?.through(&house.through()))?;
    scene.warm_up()?;
    fault(&mut scene)?;
    let ended = scene.end()?;
    intact(&ended)?;
    ensure!(about_journal(&ended).len() == 1, "{:?}", ended.stderr);
    ensure!(ended.late_ticks()? == 0, "{:?}", ended.stderr);
    Ok(())
}

#[test]
fn a_restarted_journald_gets_every_verdict_and_its_absence_is_reported_once() -> Result<()> {
    let mut house = House::new()?;
    house.start()?;
    let mut scene = Scene::start(&["busy"], Options::new()?.through(&house.through()))?;
    scene.warm_up()?;
    house.stop()?;
    fault(&mut scene)?;
    house.start()?;
    thread::sleep(SOON);
    let ended = scene.end()?;
    intact(&ended)?;
    same(&house, &ended)?;
    let reports = about_journal(&ended);
    ensure!(
        (1..=2).contains(&reports.len()),
        "once that it is gone, once that it is back: {:?}",
        ended.stderr
    );
    ensure!(ended.late_ticks()? == 0, "{:?}", ended.stderr);
    Ok(())
}

#[test]
fn a_journald_that_takes_nothing_delays_no_tick_and_takes_nothing_from_stdout() -> Result<()> {
    let mut house = House::new()?;
    house.start()?;
    // Enough verdicts to fill the socket of a journald that stands still.
    let options = Options::new()?
        .config("interval = \"100ms\"\nnetwork_interval = \"100ms\"\n")
        .arg("--every-tick");
    let mut scene = Scene::start(&["busy", "one", "two", "three"], options.through(&house.through()))?;
    scene.agent.warm_up(SOON)?;
    house.signal(Kill::SIGSTOP)?;
    scene.agent.warm_up(LIMIT)?;
    let stood = scene.agent.verdicts().len();
    house.signal(Kill::SIGCONT)?;
    scene.agent.warm_up(SOON)?;
    let ended = scene.end()?;
    println!("{stood} verdicts while journald stood still, {:?}", ended.stderr);
    ensure!(stood > 1000, "{stood} verdicts fill no socket");
    intact(&ended)?;
    ensure!(ended.late_ticks()? == 0, "{:?}", ended.stderr);
    ensure!(about_journal(&ended).len() <= 2, "{:?}", ended.stderr);
    Ok(())
}

#[test]
fn a_reader_that_leaves_ends_the_agent_without_a_panic() -> Result<()> {
    let program = sentinel_tests::paths::sentinel()?;
    let dir = tempfile::tempdir()?;
    let line = format!(
        "{} run --output json --every-tick --duration 5s --lock {}/lock | head -n 1",
        program.display(),
        dir.path().display()
    );
    let mut command = std::process::Command::new("/bin/sh");
    let ended = sentinel_tests::invoke::finish(command.args(["-c", &line]), Duration::from_secs(15))?;
    ensure!(ended.stdout.len() == 1, "{ended:?}");
    ensure!(
        !ended.stderr.iter().any(|line| line.contains("panicked")),
        "{:?}",
        ended.stderr
    );
    Ok(())
}

#[test]
fn only_changes_of_level_are_said_unless_every_tick_is_asked_for() -> Result<()> {
    let mut scene = Scene::start(&["busy"], Options::new()?)?;
    scene.warm_up()?;
    fault(&mut scene)?;
    scene.end()?;
    let verdicts = scene.agent.verdicts();
    ensure!(verdicts.iter().any(|seen| seen.verdict.level == Level::Veto));
    for seen in verdicts {
        ensure!(seen.verdict.level != seen.verdict.previous, "no change: {}", seen.line);
    }
    Ok(())
}
