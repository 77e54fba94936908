//! Hooks: what each of sentinel's programs takes per event, above an empty program at the same hook, by the kernel's own
//! count of run times. Rounds with either alternate in one run.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use sentinel::{
    kernel::{Kernel, Options, support},
    sense::price::Prices,
};
use sentinel_common::cost::{OF_MEM, OF_NET, OF_SCHED};
use serde_json::json;

use super::{
    empty::Empty,
    loads::Load,
    peers::Peers,
    run_times::{self, RunTime},
    spread::Spread,
};
use crate::{
    books::Pages,
    paths,
    trial::{
        machine::Watch,
        report::{Bound, Report},
    },
};

/// What is measured: a program, the load that fires it, and how much it may take above an empty one, nanoseconds.
/// Issue 5: "sched_switch <= 30 ns above an empty program, page alloc and free <= 10 ns each, packet in and out <= 75 ns".
const HOOKS: [(&str, Load, Option<f64>); 7] = [
    ("sched_switch", Load::Switches, Some(30.0)),
    ("rss_stat", Load::Pages, None),
    ("ingress", Load::Requests, Some(75.0)),
    ("egress", Load::Requests, Some(75.0)),
    ("ingress", Load::RequestsAcross, Some(75.0)),
    ("egress", Load::RequestsAcross, Some(75.0)),
    ("sock_ops", Load::Connections, None),
];
/// Place of the switch hook in [`HOOKS`].
const SWITCH: usize = 0;
const LOADS: [Load; 5] = [
    Load::Switches,
    Load::Pages,
    Load::Requests,
    Load::RequestsAcross,
    Load::Connections,
];
const SLOTS: u32 = 1024;
/// How often the programs are asked to time some runs: the agent does so at each tick, which a round is too short for.
const ASKED_EVERY: Duration = Duration::from_millis(20);
/// What counting a page that is taken or given back may take. No program runs for a page: these read how many there were.
const PAGE_NS: f64 = 10.0;
const COUNT_PAGES: [&str; 3] = ["sched_switch", "run_queue", "rss_stat"];
/// How far its own measure may lie from the kernel's, as a factor.
const AS_GOOD_AS: f64 = 2.0;

/// A sensor, the load its events are timed under, and its programs that run once for each.
struct Sensor {
    index: usize,
    name: &'static str,
    load: Load,
    programs: &'static [&'static str],
}

const SENSORS: [Sensor; 3] = [
    Sensor {
        index: OF_SCHED,
        name: "a switch",
        load: Load::Switches,
        programs: &["sched_switch"],
    },
    Sensor {
        index: OF_MEM,
        name: "a movement of resident pages",
        load: Load::Pages,
        programs: &["rss_stat"],
    },
    Sensor {
        index: OF_NET,
        name: "a packet",
        load: Load::Requests,
        programs: &["ingress", "egress"],
    },
];

/// Nanoseconds per event, by either.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    own_ns: f64,
    kernel_ns: f64,
}

/// Options of the measurement.
#[derive(Clone, Debug, Args)]
pub struct Hooks {
    /// Rounds with an empty program, and as many with sentinel's
    #[arg(long, default_value_t = 9)]
    pub rounds: usize,
    /// How long each load runs in a round, seconds
    #[arg(long, default_value_t = 0.7)]
    pub seconds: f64,
}

/// Nanoseconds per run, by place in [`HOOKS`]; the runs that were counted.
type Costs = Vec<(f64, u64)>;

impl Hooks {
    /// Measures.
    ///
    /// # Errors
    /// What kept it from measuring.
    pub fn run(&self) -> Result<Report> {
        let _counting = support::count_run_time()?;
        let watch = Watch::start()?;
        let mut findings = Vec::new();
        let mut peers = Peers::able(&mut findings);
        let (mut empty, mut ours, mut own, mut page) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.rounds.max(1) {
            let costs = self.empty()?;
            peers.round(Duration::from_secs_f64(self.seconds), costs[SWITCH].0)?;
            let (of_programs, by_itself, page_ns) = self.ours(&costs)?;
            empty.push(costs);
            ours.push(of_programs);
            own.push(by_itself);
            page.push(page_ns);
        }
        let mut report = Report {
            trial: "hooks: nanoseconds per event, by the kernel's count of run times",
            heads: ["hook", "load", "empty", "sentinel", "above", "events/round"]
                .map(str::to_owned)
                .to_vec(),
            rows: Vec::new(),
            bounds: Vec::new(),
            findings,
            runs: Vec::new(),
            machine: watch.read()?,
        };
        let mut above = Vec::new();
        for (index, (name, load, most_ns)) in HOOKS.into_iter().enumerate() {
            let of = |costs: &[Costs]| costs.iter().map(|costs| costs[index]).collect::<Vec<_>>();
            above.push(row(&mut report, (name, load, most_ns), &of(&empty), &of(&ours))?);
        }
        let page = Spread::of(page).context("no rounds")?;
        report.bounds.push(Bound::new(
            format!(
                "a page taken or given back: at most {PAGE_NS} ns of all that runs meanwhile, above empty programs"
            ),
            format!("{page} ns"),
            page.median <= PAGE_NS,
        ));
        report
            .runs
            .push(json!({ "event": "a page", "sentinel_ns": page, "bound_ns": PAGE_NS }));
        peers.tell(&mut report, &above[SWITCH])?;
        for (index, sensor) in SENSORS.iter().enumerate() {
            let of_sensor = own.iter().map(|by_sensor| by_sensor[index]);
            judge_own(&mut report, sensor.name, of_sensor)?;
        }
        Ok(report)
    }

    fn empty(&self) -> Result<Costs> {
        let empty = Empty::attach()?;
        self.costs(&empty.ids()?)
    }

    fn ours(&self, empty: &Costs) -> Result<(Costs, [Own; 3], f64)> {
        let kernel = Kernel::open(&Options {
            max_cgroups: SLOTS,
            sched: true,
            mem: true,
            net: true,
            cgroup_root: Some(paths::cgroup2()?),
            debug: false,
        })?;
        let ids = kernel.programs().into_iter().map(|program| (program.name, program.id));
        let ids = ids.collect();
        let costs = self.costs(&ids)?;
        let mut own = [Own::default(); 3];
        for (own, sensor) in own.iter_mut().zip(&SENSORS) {
            *own = self.own(&kernel, sensor, &ids, empty)?;
        }
        Ok((costs, own, self.page(&ids, empty)?))
    }

    /// What a page taken or given back costs, nanoseconds: all programs of the sensors of switches and pages, while there are only pages.
    fn page(&self, ids: &BTreeMap<String, u32>, empty: &Costs) -> Result<f64> {
        let (pages, times) = (Pages::read()?, run_times::own()?);
        Load::Pages.run(Duration::from_secs_f64(self.seconds))?;
        let (pages, after) = (Pages::read()? - pages, run_times::own()?);
        let mut ns = 0.0;
        for program in COUNT_PAGES {
            let id = ids.get(program).with_context(|| format!("{program} is not loaded"))?;
            let of = |times: &BTreeMap<u32, RunTime>| times.get(id).copied().unwrap_or_default();
            let ran = of(&after).since(of(&times));
            // What has no empty one to be held against, the sampler, counts whole.
            let empty_ns = HOOKS
                .iter()
                .position(|hook| hook.0 == program)
                .map_or(0.0, |place| empty[place].0);
            ns += ran
                .per_run_ns()
                .map_or(0.0, |per_run_ns| (per_run_ns - empty_ns) * ran.count as f64);
        }
        let moved = pages.allocated + pages.freed;
        ensure!(moved > 0, "no page was taken");
        Ok(ns / moved as f64)
    }

    /// What a sensor's events take by the clock that its programs read themselves, and by the kernel's count in the same time.
    fn own(&self, kernel: &Kernel, sensor: &Sensor, ids: &BTreeMap<String, u32>, empty: &Costs) -> Result<Own> {
        let mut prices = Prices::default();
        prices.learn(kernel.costs());
        let (mut own_ns, before) = (0.0, run_times::own()?);
        thread::scope(|scope| {
            let length = Duration::from_secs_f64(self.seconds);
            let load = scope.spawn(move || sensor.load.run(length));
            while !load.is_finished() {
                kernel.time_some();
                thread::sleep(ASKED_EVERY);
                // The first reading may come before anything was timed.
                own_ns += prices.learn(kernel.costs())[sensor.index].unwrap_or(0.0);
            }
            load.join().map_err(|_| anyhow!("the load panicked"))?
        })?;
        let after = run_times::own()?;
        ensure!(own_ns > 0.0, "{}: sentinel timed no event", sensor.name);
        let (mut kernel_ns, mut counted) = (0.0, 0);
        for program in sensor.programs {
            let place = HOOKS.iter().position(|hook| hook.0 == *program);
            let id = ids.get(*program).with_context(|| format!("{program} is not loaded"))?;
            let of = |times: &BTreeMap<u32, RunTime>| times.get(id).copied().unwrap_or_default();
            let ran = of(&after).since(of(&before));
            let empty_ns = empty[place.with_context(|| format!("{program} has no empty one"))?].0;
            let per_run_ns = ran.per_run_ns().unwrap_or(empty_ns);
            kernel_ns += (per_run_ns - empty_ns) * ran.count as f64;
            counted += ran.count;
        }
        Ok(Own {
            own_ns: own_ns / counted.max(1) as f64,
            kernel_ns: kernel_ns / counted.max(1) as f64,
        })
    }

    /// What the attached programs take, each under its load.
    fn costs(&self, ids: &BTreeMap<String, u32>) -> Result<Costs> {
        let mut costs = vec![(0.0, 0); HOOKS.len()];
        for load in LOADS {
            let before = run_times::own()?;
            load.run(Duration::from_secs_f64(self.seconds))?;
            let after = run_times::own()?;
            for (cost, (name, _, _)) in costs.iter_mut().zip(HOOKS).filter(|(_, hook)| hook.1 == load) {
                let id = ids.get(name).with_context(|| format!("{name} is not loaded"))?;
                let of = |times: &BTreeMap<u32, RunTime>| times.get(id).copied().unwrap_or_default();
                let ran = of(&after).since(of(&before));
                let ns = ran
                    .per_run_ns()
                    .with_context(|| format!("{name} did not run: is it attached, and is run time counted?"))?;
                *cost = (ns, ran.count);
            }
        }
        Ok(costs)
    }
}

/// The governor goes by what the programs say they take.
fn judge_own(report: &mut Report, name: &str, rounds: impl Iterator<Item = Own> + Clone) -> Result<()> {
    let own_ns = Spread::of(rounds.clone().map(|own| own.own_ns)).context("no rounds")?;
    let kernel_ns = Spread::of(rounds.map(|own| own.kernel_ns)).context("no rounds")?;
    let factor = own_ns.median / kernel_ns.median;
    report.bounds.push(Bound::new(
        format!("{name}: by sentinel's own clock between half and twice what it is by the kernel's count"),
        format!("{own_ns} ns against {kernel_ns}"),
        (1.0 / AS_GOOD_AS..=AS_GOOD_AS).contains(&factor),
    ));
    report
        .runs
        .push(json!({ "event": name, "own_ns": own_ns, "kernel_ns": kernel_ns }));
    Ok(())
}

/// Tells of one hook; what its program takes above an empty one.
fn row(
    report: &mut Report,
    (name, load, most_ns): (&'static str, Load, Option<f64>),
    empty: &[(f64, u64)],
    ours: &[(f64, u64)],
) -> Result<Spread> {
    let of = |costs: &[(f64, u64)]| Spread::of(costs.iter().map(|cost| cost.0)).context("no rounds");
    // Each round against the empty one right before it.
    let pairs = empty.iter().zip(ours);
    let above = Spread::of(pairs.map(|(empty, ours)| ours.0 - empty.0)).context("no rounds")?;
    let (empty_ns, ours_ns) = (of(empty)?, of(ours)?);
    let events = Spread::of(ours.iter().map(|cost| cost.1 as f64)).context("no rounds")?;
    report.rows.push(vec![
        name.to_owned(),
        load.name().to_owned(),
        empty_ns.to_string(),
        ours_ns.to_string(),
        above.to_string(),
        format!("{:.0}", events.median),
    ]);
    report.runs.push(json!({
        "hook": name, "load": load.name(), "empty_ns": empty_ns, "sentinel_ns": ours_ns, "above_ns": above,
        "events_per_round": events.median, "bound_ns": most_ns,
    }));
    if let Some(most_ns) = most_ns {
        report.bounds.push(Bound::new(
            format!("{name}, {}: at most {most_ns} ns above an empty program", load.name()),
            format!("{:.1} ns", above.median),
            above.median <= most_ns,
        ));
    }
    Ok(above)
}
