//! Contract: the trials measure. A few real runs of each, with the bounds that hold on a machine with other work.
//!
//! Needs root and `haproxy`. The long runs, and the bounds of issue 3, are `cargo xtask trial NAME`.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sentinel_tests::{
    overload::{Overload, SERVICES, Setting},
    paths,
    services::Services,
};
use serde_json::Value;

/// Runs a trial; what it found.
fn trial(args: &[&str]) -> Result<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_sentinel-trial"))
        .env("SENTINEL_BIN", paths::sentinel()?)
        .args(args)
        .arg("--json")
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{args:?} ended with {}: {said}", output.status))
}

fn runs(report: &Value) -> &[Value] {
    report["runs"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn five_storms_are_vetoed_and_timed() -> Result<()> {
    let report = trial(&["storm", "--runs", "5", "--slow-runs", "0", "--past", "1.5"])?;
    ensure!(runs(&report).len() == 5, "{report:#}");
    for run in runs(&report) {
        let seconds = run["seconds"].as_f64().context("a veto")?;
        ensure!(seconds > 0.0 && seconds <= 2.0, "onset to veto: {run}");
        ensure!(run["wrong"].as_array().is_some_and(Vec::is_empty), "{run}");
    }
    ensure!(report["machine"]["cpus"].as_u64() > Some(0), "{report:#}");
    Ok(())
}

#[test]
fn busy_tasks_are_flagged_in_order_of_their_number() -> Result<()> {
    let report = trial(&[
        "run-queue",
        "--runs",
        "1",
        "--minutes",
        "0.05",
        "--length",
        "4",
        "--past",
        "2",
        "--tasks",
        "2,4,16",
    ])?;
    ensure!(runs(&report).len() == 3, "{report:#}");
    for run in runs(&report).iter().filter(|run| run["tasks"].as_u64() > Some(2)) {
        ensure!(run["watch_s"].as_f64().is_some_and(|seconds| seconds <= 5.0), "{run}");
    }
    let ordered = report["bounds"]
        .as_array()
        .and_then(|bounds| bounds.last())
        .context("bounds")?;
    ensure!(ordered["held"] == true, "{ordered}");
    Ok(())
}

#[test]
fn a_short_trigger_leaves_nothing_behind_and_a_long_one_an_overload_that_sustains_itself() -> Result<()> {
    for (trigger_s, down) in [(0.3, false), (2.0, true)] {
        let services = Services::start(&SERVICES, 60)?;
        let setting = Setting {
            past_s: 1.5,
            trigger_s,
            after_s: 2.5,
            ..Setting::default()
        };
        let goodput = Overload::start(&services, setting)?.finish()?;
        let share = goodput.after(1.0, 2.4).context("goodput")?;
        let usual = goodput.before().context("goodput before")?;
        ensure!(
            (usual - setting.rps).abs() < 0.1 * setting.rps,
            "{usual} answers per second"
        );
        ensure!(
            if down { share < 0.1 } else { share > 0.8 },
            "trigger of {trigger_s} s: goodput {share}"
        );
    }
    Ok(())
}
