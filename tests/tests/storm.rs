//! Contract: a storm that never ends by itself ends under `--autonomy auto`, and the bystander notices nothing.
//!
//! One pair of runs, with the bounds that hold on a machine with other work. Needs root. The long runs, the other gateways and
//! the bounds of issue 4 are `cargo xtask storm`.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sentinel_tests::{overload::Setting, paths, storm::late};
use serde_json::Value;

/// Runs a storm; what it found.
fn storm(args: &[&str]) -> Result<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_sentinel-storm"))
        .env("SENTINEL_BIN", paths::sentinel()?)
        .args(args)
        .arg("--json")
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{args:?} ended with {}: {said}", output.status))
}

fn runs<'a>(report: &'a Value, arm: &str) -> Vec<&'a Value> {
    let runs = report["runs"].as_array().map_or(&[][..], Vec::as_slice);
    runs.iter().filter(|run| run["arm"] == arm).collect()
}

#[test]
fn a_storm_that_outlives_its_trigger_ends_under_a_veto_and_not_without_one() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let picture = dir.path().join("storm.svg");
    let svg = picture.to_str().context("a path")?;
    let report = storm(&[
        "--with",
        "auto",
        "--runs",
        "1",
        "--without-runs",
        "1",
        "--without-after",
        "10",
        "--past",
        "5",
        "--after",
        "12",
        "--svg",
        svg,
    ])?;
    let (without, with) = (runs(&report, "observe"), runs(&report, "auto"));
    ensure!(without.len() == 1 && with.len() == 1, "{report:#}");
    ensure!(
        without[0]["back_after_s"].is_null(),
        "it ended by itself: {}",
        without[0]["said"]
    );
    ensure!(without[0]["refused"] == 0, "nobody was to refuse anything");
    let back_s = with[0]["back_after_s"].as_f64().context("goodput is not back")?;
    ensure!(back_s < 8.0, "goodput is back only {back_s} s after the trigger's end");
    let refused_s = with[0]["refused_after_s"].as_f64().context("nothing was refused")?;
    ensure!(
        (0.0..1.0).contains(&refused_s),
        "{refused_s} s from the veto to the first refusal"
    );
    let said = &with[0]["said"];
    ensure!(
        said["began_ns"].as_array().is_some_and(|began| began.len() == 1),
        "one lease: {said}"
    );
    ensure!(said["failures"] == serde_json::json!([]), "{said}");
    ensure!(said["elsewhere"] == serde_json::json!([]), "{said}");
    let bounds = report["bounds"].as_array().context("bounds")?;
    let bystander = bounds
        .iter()
        .find(|bound| bound["what"] == "a bystander keeps 99 % of its goodput");
    ensure!(bystander.context("the bystander")?["held"] == true, "{bounds:#?}");
    let picture = std::fs::read_to_string(picture)?;
    ensure!(picture.starts_with("<svg") && picture.contains("veto"), "no picture");
    Ok(())
}

#[test]
fn an_agent_that_starts_in_the_middle_of_a_storm_ends_it() -> Result<()> {
    let late = late::one(Setting {
        past_s: 4.0,
        seed: Some(1),
        ..Setting::default()
    })?;
    println!("{}", late.line());
    let bound = late.bound();
    ensure!(bound.held, "{}: {}", bound.what, bound.measured);
    Ok(())
}

#[test]
fn a_storm_that_cannot_be_meant_is_refused_before_anything_is_started() -> Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_sentinel-storm"))
        .args(["--parallel", "99"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1) && output.stdout.is_empty(),
        "{output:?}"
    );
    ensure!(said.contains("--parallel is 99: it goes from 1 to 16"), "{said}");
    Ok(())
}
