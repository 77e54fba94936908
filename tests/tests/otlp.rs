//! A collector gets the numbers of the state and the records of standard output, and can be slow, away and back without
//! delaying anything. With the agent that is built with the feature `otlp`.
//!
//! Needs root.

use std::{
    fs::{self, Permissions},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal as Kill;
use sentinel::{judge::verdict::Signal, show::state::Document};
use sentinel_tests::{
    agent::{Agent, Options},
    collector::{Collector, as_text},
    http::{self, Viewer},
    invoke::{self, code, refused},
    scene::Scene,
    surfaces::agree,
    wait,
    workload::Workload,
};

const LIMIT: Duration = Duration::from_secs(15);
const ANY: &str = "127.0.0.1:0";

/// The agent with this configuration, that exports its metrics at this interval.
fn agent(config: &str, endpoint: SocketAddr, interval: &str) -> Result<Options> {
    let config = format!("{config}\n[otlp]\nendpoint = \"http://{endpoint}\"\ninterval = \"{interval}\"\n");
    Ok(Options::new()?
        .program(Path::new(env!("CARGO_BIN_EXE_sentinel-otlp")))
        .config(&config)
        .listen(ANY)
        .arg("--no-journal"))
}

/// A port where nobody listens.
fn nobody() -> Result<SocketAddr> {
    Ok(TcpListener::bind(ANY)?.local_addr()?)
}

/// Verdicts and outcomes, as one collector got them.
fn records(collector: &Collector) -> Vec<String> {
    let mut records = collector.logs("sentinel.verdict");
    records.extend(collector.logs("sentinel.outcome"));
    records
}

/// What the state says of the surface for records.
fn surface(agent: &Agent) -> Result<(u64, bool)> {
    let document: Document = serde_json::from_value(http::state(agent.address()?)?)?;
    let mut surfaces = document.agent.surfaces.iter();
    let found = surfaces.find(|surface| surface.name == "otlp logs");
    let found = found.with_context(|| format!("{:?}", document.agent.surfaces))?;
    Ok((found.lost, found.unwell.is_some()))
}

#[test]
fn a_collector_gets_the_numbers_of_the_state_and_the_records_of_standard_output() -> Result<()> {
    let collector = Collector::start(ANY.parse()?)?;
    // A place that the agent may not read any more once it has given up its rights, and that is root's alone.
    let dir = tempfile::tempdir()?;
    let key = dir.path().join("key");
    fs::write(&key, "api-key: 0123\n")?;
    fs::set_permissions(&key, Permissions::from_mode(0o600))?;
    let options = agent(
        "interval = \"1s\"",
        collector.address(),
        &format!("1s\"\nheaders_file = \"{}", key.display()),
    )?;
    let mut scene = Scene::start(&["busy"], options)?;
    let viewer = Viewer::start(scene.agent.address()?, "")?;
    scene.warm_up()?;
    let spin = Workload::start(scene.cgroup("busy"), &["spin", "--threads", "6", "--seconds", "60"])?;
    let veto = scene.veto("busy", Signal::Jitter, spin.onset_ns(), Duration::from_secs(5))?;
    thread::sleep(Duration::from_secs(3));
    let ended = scene.end()?;
    ensure!(collector.unfit().is_empty(), "{:?}", collector.unfit());
    let keys = collector.keys();
    ensure!(
        keys.len() >= collector.metrics().len() && keys.iter().all(|key| key == "0123"),
        "{keys:?}"
    );

    let sent = records(&collector);
    ensure!(
        sent.contains(&veto.line),
        "the veto is not among {} records",
        sent.len()
    );
    ensure!(
        sent == ended.stdout,
        "standard output says something else: {} and {}",
        sent.len(),
        ended.stdout.len()
    );

    let events = viewer.events();
    let states = events.iter().filter(|event| event.name == "state");
    let documents: Vec<Document> = states
        .map(|event| Ok(serde_json::from_str(&event.data)?))
        .collect::<Result<_>>()?;
    let exports = collector.metrics();
    let (mut compared, mut signals) = (0, 0);
    for export in &exports {
        let (text, unix_ms) = as_text(export)?;
        let Some(document) = documents.iter().find(|document| document.unix_ms == unix_ms) else {
            continue;
        };
        signals += agree(document, &text).with_context(|| format!("the export of {}", document.time))?;
        ensure!(
            http::series(&text, "sentinel_ticks_total") == Some(document.agent.ticks as f64),
            "{text}"
        );
        compared += 1;
    }
    println!(
        "{} records, {compared} of {} exports and {signals} signals in them are the same",
        sent.len(),
        exports.len()
    );
    ensure!(
        compared >= 10 && compared + 3 >= exports.len(),
        "{compared} of {}",
        exports.len()
    );
    Ok(())
}

#[test]
fn a_collector_that_is_away_or_hangs_delays_no_tick_and_gets_what_waited_when_it_answers() -> Result<()> {
    let address = nobody()?;
    let mut scene = Scene::start(&["busy"], agent("interval = \"1s\"", address, "2s")?)?;
    scene.warm_up()?;
    let spin = Workload::start(scene.cgroup("busy"), &["spin", "--threads", "6", "--seconds", "60"])?;
    scene.veto("busy", Signal::Jitter, spin.onset_ns(), Duration::from_secs(5))?;
    let away = wait::until(LIMIT, || surface(&scene.agent).ok().filter(|(_, unwell)| *unwell));
    ensure!(
        away.is_some_and(|(lost, _)| lost == 0),
        "the state does not say that nobody is there: {away:?}"
    );
    let collector = Collector::start(address)?;
    collector.hang(true);
    scene.agent.warm_up(Duration::from_secs(8))?;
    ensure!(surface(&scene.agent)?.1, "a collector that hangs is called well");
    ensure!(collector.metrics().is_empty(), "it answered");
    collector.hang(false);
    let back = wait::until(Duration::from_secs(30), || {
        surface(&scene.agent)
            .ok()
            .filter(|(_, unwell)| !*unwell && !records(&collector).is_empty())
    });
    let (lost, _) = back.context("the state does not say that it is back")?;
    ensure!(lost == 0, "{lost} records are lost although they fit");
    scene.agent.warm_up(Duration::from_secs(2))?;
    drop(spin);
    let ended = scene.end()?;
    ensure!(ended.late_ticks()? == 0, "{:?}", ended.stderr);
    let sent = records(&collector);
    println!(
        "{} records and {} exports arrived after the collector was away and hung",
        sent.len(),
        collector.metrics().len()
    );
    ensure!(
        sent == ended.stdout,
        "{} records of {} lines",
        sent.len(),
        ended.stdout.len()
    );
    for said in ["otlp logs: the collector at", "otlp logs works again; 0 records"] {
        let times = ended.stderr.iter().filter(|line| line.contains(said)).count();
        ensure!(times == 1, "{said} {times} times: {:?}", ended.stderr);
    }
    let ticks: Vec<f64> = collector
        .metrics()
        .iter()
        .map(|export| http::series(&as_text(export)?.0, "sentinel_ticks_total").context("no ticks"))
        .collect::<Result<_>>()?;
    ensure!(
        ticks.windows(2).all(|pair| pair[1] == pair[0] + 2.0),
        "an export is missing: {ticks:?}"
    );
    Ok(())
}

#[test]
fn what_does_not_fit_while_a_collector_is_away_is_dropped_counted_and_shown() -> Result<()> {
    let mut agent = agent("interval = \"100ms\"\nnetwork_interval = \"100ms\"", nobody()?, "1s")?
        .arg("--every-tick")
        .start()?;
    let full = wait::until(Duration::from_secs(60), || {
        surface(&agent).ok().filter(|(lost, _)| *lost > 0)
    });
    ensure!(full.is_some(), "nothing is dropped: {:?}", surface(&agent));
    let metrics = http::get(agent.address()?, "/metrics")?.body;
    let lost = http::series(&metrics, "sentinel_surface_lost_records_total{surface=\"otlp logs\"}");
    ensure!(lost.is_some_and(|lost| lost > 0.0), "{metrics}");
    let status = invoke::invoke(&["status", "--at", &agent.address()?.to_string()], LIMIT)?;
    ensure!(status.stdout.concat().contains("otlp logs"), "{:?}", status.stdout);
    let ended = agent.end(Kill::SIGTERM)?;
    ensure!(!ended.stdout.is_empty());
    println!("{} lines were said while nobody took them", ended.stdout.len());
    Ok(())
}

#[test]
fn a_build_without_the_export_says_so_and_how_to_get_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("sentinel.toml");
    std::fs::write(&file, "[otlp]\nendpoint = \"http://127.0.0.1:4318\"\n")?;
    let said = invoke::invoke(&["config", "check", "--config", &file.display().to_string()], LIMIT)?;
    refused(
        &said,
        code::USAGE,
        &["sentinel.toml:2", "otlp.endpoint", "built without", "--features otlp"],
    )
}
