//! A real Prometheus reads the metrics, the shipped rules and the shipped dashboard: every query finds data, and alerts
//! fire in a fault and resolve after it.
//!
//! Needs root, HAProxy and Prometheus.

use std::{collections::BTreeSet, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use sentinel::{judge::verdict::Signal, sense::limits};
use sentinel_tests::{
    agent::Options,
    http, paths,
    prometheus::{DASHBOARD, Prometheus, RULES, check_rules},
    scene::Scene,
    shop::{SERVICES, Shop},
    wait,
    workload::Workload,
};
use serde_json::Value;

const ANY: &str = "127.0.0.1:0";
const SOON: Duration = Duration::from_secs(10);
const LATER: Duration = Duration::from_secs(60);

/// What only a fault of another kind than this test's has, so that its queries may find nothing here.
const OTHER_FAULTS: [&str; 1] = ["sentinel_sensor_unavailable"];

/// Every query of the dashboard, for every host.
fn dashboard() -> Result<Vec<String>> {
    let dashboard: Value = serde_json::from_str(DASHBOARD)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    Ok(targets
        .filter_map(|target| target["expr"].as_str())
        .map(|query| query.replace("$instance", ".*"))
        .collect())
}

/// Every metric that a rule looks at.
fn rules() -> BTreeSet<String> {
    let expressions = RULES.lines().filter(|line| line.trim().starts_with("expr: "));
    expressions.flat_map(names).collect()
}

/// Every metric that a text names.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    words
        .filter(|word| word.starts_with("sentinel_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn rules_pass_promtool_and_name_only_metrics_that_there_are() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("alerts.yml");
    std::fs::write(&file, RULES)?;
    check_rules(&file)?;
    let manual = include_str!("../../docs/METRICS.md");
    for name in names(RULES).into_iter().chain(names(DASHBOARD)) {
        ensure!(
            manual.contains(&format!("`{name}`")),
            "{name} is not in docs/METRICS.md"
        );
    }
    ensure!(rules().len() >= 8 && dashboard()?.len() >= 25, "queries are not found");
    paths::tool("prometheus", "prometheus")?;
    Ok(())
}

#[test]
fn every_query_finds_data_and_alerts_fire_in_a_storm_and_resolve_after_it() -> Result<()> {
    let config = "interval = \"1s\"\nautonomy = \"approve\"\n";
    let mut scene = Scene::start(
        &[&SERVICES[..], &["reports"]].concat(),
        Options::new()?.config(config).listen(ANY),
    )?;
    let mut shop = Shop::open_among(&scene.services, &["--rps", "100"], &[])?;
    let address = scene.agent.address()?;
    http::state(address)?;
    let prometheus = Prometheus::start(address)?;
    scene.warm_up()?;
    thread::sleep(SOON);
    let scope = scene.cgroup("shop").scope();
    let ours = |prometheus: &Prometheus, name: &str| -> Option<bool> {
        let firing = prometheus.firing().ok()?;
        Some(
            firing
                .iter()
                .any(|(alert, about)| alert == name && (about == &scope || about.is_empty())),
        )
    };
    for name in [
        "SentinelVeto",
        "SentinelPlanWaits",
        "SentinelHangs",
        "SentinelMetastable",
    ] {
        ensure!(
            ours(&prometheus, name) == Some(false),
            "{name} fires before anything happened: {:?}",
            prometheus.firing()
        );
    }
    let memory = limits::HostBook::open().read().context("no /proc/meminfo")?;
    // Memory would be exhausted in five minutes; the leak ends long before.
    let pace = memory.available_bytes.context("no MemAvailable")? / 1_000_000 / 300;
    let (pace, most) = (pace.to_string(), (40 * pace).to_string());
    let leak = ["leak", "--mb-per-s", &pace, "--max-mb", &most, "--seconds", "90"];
    let leak = Workload::start(scene.cgroup("reports"), &leak)?;
    let soon = || {
        let firing = prometheus.firing().ok()?;
        firing
            .iter()
            .any(|(alert, _)| alert == "SentinelMemoryExhaustionSoon")
            .then_some(())
    };
    wait::until(LATER, soon).context("SentinelMemoryExhaustionSoon does not fire")?;
    println!(
        "SentinelMemoryExhaustionSoon fires {:.1?} after the leak began",
        wait::since(leak.onset_ns())
    );
    let onset_ns = shop.lose_backend()?;
    for name in ["SentinelVeto", "SentinelPlanWaits"] {
        wait::until(SOON, || ours(&prometheus, name).filter(|fires| *fires))
            .with_context(|| format!("{name} does not fire"))?;
        println!("{name} fires {:.1?} after the backend was lost", wait::since(onset_ns));
    }
    let mut empty = Vec::new();
    let queries = dashboard()?;
    for query in queries.iter().chain(&rules()) {
        let found = prometheus.query(query)?.len();
        println!("{found:>4} series: {query}");
        if found == 0 && !OTHER_FAULTS.iter().any(|metric| query.contains(metric)) {
            empty.push(query.clone());
        }
    }
    ensure!(empty.is_empty(), "no data: {empty:#?}");
    scene.veto("shop", Signal::Amplification, onset_ns, SOON)?;
    drop((shop, leak));
    wait::until(LATER, || ours(&prometheus, "SentinelVeto").filter(|fires| !*fires))
        .context("SentinelVeto does not resolve")?;
    println!("SentinelVeto is resolved");
    let up = prometheus.query("min_over_time(up[1m])")?;
    ensure!(
        up.iter().all(|value| value["value"][1] == "1"),
        "a scrape failed: {up:?}"
    );
    scene.end()?;
    Ok(())
}
