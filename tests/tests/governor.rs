//! Contract: sentinel knows what it costs and keeps to its budget: it leaves something out in the declared order, says so in a
//! verdict about itself and on every surface, and takes it up again when it may.
//!
//! Needs root and `bpftool`.

use std::{fs, mem::offset_of, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal as Posix;
use sentinel::{
    judge::verdict::{Cause, Level, Signal},
    kernel::{Kernel, Options as KernelOptions},
    sense::{Source as _, live::Live, mount, sample::ScopeKind},
    time::Now,
};
use sentinel_common::{cost::OF_NET, sched::CpuState};
use sentinel_tests::{
    agent::{Agent, Options, Seen},
    bpf::{Objects, bpftool},
    cgroup::{Cgroup, Family},
    http, wait,
    workload::Workload,
};
use serde_json::Value;

/// Ten seconds before anything is judged, and some to average.
const LIMIT: Duration = Duration::from_secs(45);
/// What is left out is tried again half a minute after it was, or after what was left out later came back: readings may be that.
const PAUSE: Duration = Duration::from_secs(120);

fn about_itself(seen: &Seen) -> bool {
    seen.verdict.signal == Signal::Cost
}

/// Whether the verdict lists what is left out.
fn without(seen: &Seen, step: &str) -> bool {
    seen.verdict.features.contains_key(&format!("without_{step}"))
}

fn metrics(agent: &Agent) -> Result<String> {
    Ok(http::get(agent.address()?, "/metrics")?.body)
}

/// Loads of pages and of packets, for long enough.
fn loads(scope: &Cgroup) -> Result<[Workload; 3]> {
    let pages = Workload::start(scope, &["pages", "--seconds", "180"])?;
    let server = Workload::start(scope, &["http-backend", "--seconds", "180"])?;
    let to = server.listen()?.to_string();
    let client = Workload::start(scope, &["http-client", "--to", &to, "--rps", "500", "--seconds", "180"])?;
    Ok([pages, server, client])
}

fn reload(agent: &mut Agent, toml: &str) -> Result<()> {
    fs::write(agent.dir().join("sentinel.toml"), toml)?;
    agent.signal(Posix::SIGHUP)
}

#[test]
fn a_budget_is_held_by_leaving_out_what_was_declared_and_what_was_left_out_comes_back() -> Result<()> {
    let family = Family::new()?;
    let scope = family.cgroup("load")?;
    let _loads = loads(&scope)?;
    let tight = "cost_budget = 0.01\n";
    let mut agent = Options::new()?.config(tight).listen("127.0.0.1:0").start()?;

    let all = |seen: &Seen| {
        about_itself(seen)
            && ["readings", "pages", "packets"]
                .into_iter()
                .all(|step| without(seen, step))
    };
    let last = agent.find(LIMIT, all).with_context(|| {
        let said = agent.verdicts();
        let own = said.iter().filter(|seen| about_itself(seen));
        let own: Vec<_> = own
            .map(|seen| (&seen.verdict.summary, &seen.verdict.features))
            .collect();
        format!("not all is left out: {own:#?}, {:?}", agent.stderr())
    })?;
    let verdict = &last.verdict;
    assert_eq!(
        (verdict.scope.kind, verdict.level, verdict.cause),
        (ScopeKind::Agent, Level::Watch, Cause::OverBudget)
    );
    assert!(verdict.plan.is_empty() && verdict.unit == "%");
    let verdicts = agent.verdicts();
    let first = verdicts.iter().find(|seen| about_itself(seen)).context("a first one")?;
    let programs = ["sched", "mem", "net"].map(|sensor| format!("{sensor}_programs_share"));
    ensure!(
        programs
            .iter()
            .all(|name| first.verdict.features.get(name).is_some_and(|share| *share > 0.0)),
        "what the programs cost was measured: {:?}",
        first.verdict.features
    );

    // Both sensors say why they do not run, what they would have measured is unknown, and the switches go on.
    let address = agent.address()?;
    let state = || http::state(address);
    let left_out = |state: &Value, sensor: &str| {
        let listed = state["unavailable"].as_array().into_iter().flatten();
        listed.into_iter().any(|one| {
            one["sensor"] == sensor
                && one["reason"]
                    .as_str()
                    .is_some_and(|reason| reason.contains("cost_budget"))
        })
    };
    let told = |state: &Value| {
        let rates = &state["host"]["rates"];
        left_out(state, "mem")
            && left_out(state, "net")
            && rates["packets_per_s"].is_null()
            && rates["waiting_ms_per_s"].is_number()
    };
    ensure!(
        wait::until_true(LIMIT, || state().is_ok_and(|state| told(&state))),
        "{}",
        state()?
    );
    assert_eq!(http::series(&metrics(&agent)?, "sentinel_left_out"), Some(3.0));
    let share = http::series(&metrics(&agent)?, "sentinel_programs_cpu_ratio{sensor=\"net\"}");
    assert_eq!(share, None, "a share of what does not run");

    // Packets are not counted, whoever reads.
    let before = runs_of_packets(&agent)?;
    ensure!(before > 0, "none was counted before either");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(runs_of_packets(&agent)?, before, "packets are still counted");

    // Another budget holds from the next tick on, and what was left out last comes back first.
    let said = agent.said();
    reload(&mut agent, "cost_budget = 100.0\n")?;
    let back = |seen: &Seen| about_itself(seen) && !without(seen, "packets") && without(seen, "pages");
    agent
        .find_since(said, PAUSE, back)
        .with_context(|| format!("packets do not come back within {PAUSE:?}"))?;
    let counts =
        |state: &Value| !left_out(state, "net") && state["host"]["rates"]["packets_per_s"].as_f64() > Some(100.0);
    ensure!(
        wait::until_true(LIMIT, || state().is_ok_and(|state| counts(&state))),
        "{}",
        state()?
    );
    ensure!(agent.end(Posix::SIGTERM)?.code == Some(0));
    Ok(())
}

#[test]
fn the_switch_hook_costs_what_it_takes_where_it_only_attributes_for_others() -> Result<()> {
    let root = mount::find()?;
    let kernel = Kernel::open(&KernelOptions {
        max_cgroups: 64,
        sched: false,
        mem: true,
        net: false,
        cgroup_root: Some(root.clone()),
        debug: false,
    })?;
    let mut live = Live::new(kernel, root);
    let known = wait::until_true(LIMIT, || {
        live.read(Now::read(), true);
        let shares = live.program_shares();
        shares.sched > Some(0.0) && shares.mem.is_some()
    });
    ensure!(known, "{:?}", live.program_shares());
    ensure!(live.program_shares().net.is_none(), "a sensor that does not run");
    Ok(())
}

/// Runs of the programs of packets, as they count them.
fn runs_of_packets(agent: &Agent) -> Result<u64> {
    let held = Objects::of_process(agent.pid())?;
    let maps = bpftool(&["map", "show"])?;
    let named = maps
        .as_array()
        .context("maps")?
        .iter()
        .filter(|one| one["name"] == "CPU_STATE");
    let id = named
        .filter_map(|one| one["id"].as_u64())
        .find(|id| held.maps.contains(id))
        .context("no map CPU_STATE")?;
    let entries = bpftool(&["map", "dump", "id", &id.to_string()])?;
    let entries = entries.as_array().context("entries")?;
    let at = offset_of!(CpuState, events) + OF_NET * size_of::<u32>();
    let bytes = |entry: &Value| -> Option<u64> {
        let value = entry["value"].as_array()?.get(at..at + size_of::<u32>())?;
        let hex = |byte: &Value| u8::from_str_radix(byte.as_str()?.trim_start_matches("0x"), 16).ok();
        let bytes: Vec<u8> = value.iter().filter_map(hex).collect();
        Some(u32::from_le_bytes(bytes.try_into().ok()?).into())
    };
    entries
        .iter()
        .map(bytes)
        .sum::<Option<u64>>()
        .context("a count that cannot be read")
}
