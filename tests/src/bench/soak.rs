//! Soak: the real agent for as long as one likes, while cgroups come and go and short connections are made at an even rate.
//! What it takes must stay what it was, no slot may stay with a cgroup that is gone, and what was made must have been counted
//! or be explained by a loss.
//!
//! Here is the order of it. `soak_churn` makes cgroups and connections, `soak_ledger` adds up what the agent says it saw,
//! `soak_reading` looks at what the agent takes, `soak_bounds` says what had to hold. All connections stay on loopback, all
//! cgroups below one directory of the tests; both are gone afterwards. Never judges a signal.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use nix::sys::signal::Signal;
use serde_json::json;

use super::{
    soak_bounds::{Asked, Course, bounds},
    soak_churn::{Churn, Loads},
    soak_ledger::Ledger,
    soak_reading::Reading,
};
use crate::{
    agent::{Agent, Options},
    cgroup::Family,
    crowd::Crowd,
    trial::{machine::Watch, report::Report},
    wait,
};

/// Rows of the table; the JSON has every reading.
const ROWS: usize = 24;
/// Ticks between two looks of the agent for cgroups whose end it did not hear of.
const SWEEP_TICKS: u64 = 60;
/// Ticks after which nothing of a cgroup that is gone may be left: two such looks, and a slot's quarantine.
const FORGOTTEN_TICKS: u64 = 2 * SWEEP_TICKS + 10;
/// Ticks after which what happened is in the books.
const TICKS_TO_TELL: u64 = 3;
/// Time between two looks at the books.
const STEP: Duration = Duration::from_millis(100);
/// cgroups more than there are free slots, to use up the last one.
const CROWD_MORE: usize = 32;
/// How often that is tried.
const FILLS: usize = 3;
/// How much slower than asked a machine may be before this gives up.
const PATIENCE: u32 = 3;
/// And how much longer whatever its length.
const PATIENCE_MORE: Duration = Duration::from_secs(300);

/// Options of the soak.
#[derive(Clone, Debug, Args)]
pub struct Soak {
    /// How long cgroups and connections are made, minutes
    #[arg(long, default_value_t = 60.0)]
    pub minutes: f64,
    /// cgroups to make, enter and destroy
    #[arg(long, default_value_t = 100_000)]
    pub cgroups: u64,
    /// Short connections to make; a fifth of them is refused
    #[arg(long, default_value_t = 1_000_000)]
    pub connections: u64,
    /// Time between two readings, seconds
    #[arg(long, default_value_t = 30.0)]
    pub every: f64,
    /// The agent's tick, milliseconds
    #[arg(long, default_value_t = 1000)]
    pub interval: u64,
    /// cgroups that the agent tells apart
    #[arg(long, default_value_t = 1024)]
    pub slots: u32,
}

impl Soak {
    /// Soaks.
    ///
    /// # Errors
    /// What kept it from going on.
    pub fn run(&self) -> Result<Report> {
        ensure!(
            self.minutes > 0.0 && self.every > 0.0 && self.cgroups > 0 && self.connections >= 10,
            "a soak takes some time, a cgroup and ten connections at least"
        );
        let watch = Watch::start()?;
        let (course, ending) = self.soak()?;
        let (bounds, mut findings) = bounds(&course);
        findings.extend(ending);
        Ok(Report {
            trial: "soak: cgroups come and go, connections are made, and the agent looks on",
            heads: Reading::HEADS.map(str::to_owned).to_vec(),
            rows: rows(&course.readings),
            bounds,
            findings,
            runs: vec![json!({ "options": {
                "minutes": self.minutes, "cgroups": self.cgroups, "connections": self.connections,
                "interval_ms": self.interval, "slots": self.slots,
            }, "course": course })],
            machine: watch.read()?,
        })
    }

    /// The run itself: its course, and what there is to say about its end.
    fn soak(&self) -> Result<(Course, Vec<String>)> {
        let length = Duration::try_from_secs_f64(self.minutes * 60.0).context("minutes")?;
        let limit = length * PATIENCE + PATIENCE_MORE;
        let family = Family::new()?;
        let (mut agent, ledger) = self.start(limit)?;
        let mut loads = Loads::start(&family, self.connections, length, limit)?;
        let mut churn = Churn::new(&family, loads.clients()?);
        let readings = self.churn(&mut agent, &ledger, &mut churn, length)?;
        let made = loads.end(limit)?;
        let churned = churn.end()?;
        let mut dead = churned.ids;
        dead.extend(loads.ids()?);
        // Nothing of it has a task any more after this: the agent only has to notice.
        drop(loads);
        let dead = &dead;
        let (ended_ns, ticks) = (wait::now_ns(), ledger.ticks());
        self.pass_ticks(&mut agent, &ledger, ended_ns)?;
        while ledger.held(dead) > 0 && ledger.ticks() < ticks + FORGOTTEN_TICKS {
            agent.warm_up(STEP)?;
        }
        let (left, forgotten_after_ticks) = (ledger.held(dead), ledger.ticks() - ticks);
        let books = ledger.of(&(dead - &churned.fleeting));
        let fleeting = ledger.of(&churned.fleeting);
        let stayed = &churned.born - &churned.fleeting;
        let of_stayed = ledger.of(&stayed);
        let usable = self.fill(&mut agent, &ledger)?;
        let ended = agent.end(Signal::SIGTERM)?;
        ensure!(
            ended.code == Some(0),
            "the agent ended with {}: {:?}",
            ended.ending,
            ended.stderr
        );
        let samples = ledger.end()?;
        let course = Course {
            readings,
            asked: Asked {
                cgroups: self.cgroups,
                connections: self.connections,
                slots: self.slots,
                warm_up_s: warm_up(length).as_secs_f64(),
            },
            cgroups: dead.len() as u64,
            entered: (dead.len() - churned.fleeting.len()) as u64,
            seen: books.seen,
            unseen_born: (stayed.len() as u64).saturating_sub(of_stayed.seen),
            named: books.named,
            made,
            counted: books.counted,
            other: books.other,
            losses: books.losses,
            slots_left: left,
            slots_usable: usable,
        };
        let ending = vec![
            format!("the last slot of a cgroup that was gone was free after {forgotten_after_ticks} ticks"),
            format!(
                "{} cgroups ended with a process that was born in them",
                churned.born.len()
            ),
            format!(
                "of {} cgroups whose only process ended at once {} had a slot",
                churned.fleeting.len(),
                fleeting.seen
            ),
            format!("the agent wrote down {samples} samples, and all of them were read"),
        ];
        Ok((course, ending))
    }

    /// Starts the agent, and what reads along.
    fn start(&self, limit: Duration) -> Result<(Agent, Ledger)> {
        let options = Options::new()?;
        let recording = options.dir().join("soak.jsonl");
        let (interval, slots) = (self.interval, self.slots);
        let network = interval.min(200);
        let agent = options
            .config(&format!(
                "interval = \"{interval}ms\"\nnetwork_interval = \"{network}ms\"\nmax_cgroups = {slots}\n"
            ))
            .arg("--no-journal")
            .arg("--record")
            .arg(&recording)
            // Verdicts are not what this is about, and hours of them would fill the memory of who reads.
            .only_about("nothing that it says")
            .listen("127.0.0.1:0")
            .duration(limit * 2)
            .start()?;
        agent.address()?;
        let ledger = Ledger::follow(&recording)?;
        Ok((agent, ledger))
    }

    /// Makes cgroups at an even rate until all are made, and looks at the agent meanwhile.
    fn churn(&self, agent: &mut Agent, ledger: &Ledger, churn: &mut Churn, length: Duration) -> Result<Vec<Reading>> {
        let start_ns = wait::now_ns();
        let due = |number: u64| length.mul_f64(number as f64 / self.cgroups as f64);
        let mut readings = vec![Reading::take(agent, ledger, churn, start_ns)?];
        for number in 0..self.cgroups {
            let early = due(number).saturating_sub(wait::since(start_ns));
            thread::sleep(early);
            churn.step(number)?;
            if wait::since(start_ns).as_secs_f64() >= readings.len() as f64 * self.every {
                agent.warm_up(Duration::ZERO)?;
                readings.push(Reading::take(agent, ledger, churn, start_ns)?);
            }
        }
        thread::sleep(length.saturating_sub(wait::since(start_ns)));
        readings.push(Reading::take(agent, ledger, churn, start_ns)?);
        Ok(readings)
    }

    /// Waits until what happened before `from_ns` is in the books.
    fn pass_ticks(&self, agent: &mut Agent, ledger: &Ledger, from_ns: u64) -> Result<()> {
        let until_ns = from_ns + TICKS_TO_TELL * self.interval * 1_000_000;
        while ledger.at_ns() < until_ns {
            agent.warm_up(STEP)?;
        }
        Ok(())
    }

    /// Makes more cgroups than there are free slots, all at once; how many slots were handed out in the end. One that was lost
    /// on the way would be missing here, however often it is tried: others, whose cgroups come and go too, can spoil it once.
    fn fill(&self, agent: &mut Agent, ledger: &Ledger) -> Result<u64> {
        let all = u64::from(self.slots);
        let mut most = 0;
        for _ in 0..FILLS {
            ledger.forget_most();
            let free = all.saturating_sub(ledger.slots()) as usize;
            let crowd = Crowd::new(free + CROWD_MORE)?;
            crowd.visit()?;
            self.pass_ticks(agent, ledger, wait::now_ns())?;
            most = ledger.most_slots().max(most);
            if most >= all {
                break;
            }
        }
        Ok(most)
    }
}

/// Until then what a process takes may still grow: what is kept by scope is made for as many as there are at a time, and
/// minutes of them.
fn warm_up(length: Duration) -> Duration {
    (length / 3).min(Duration::from_secs(600))
}

fn rows(readings: &[Reading]) -> Vec<Vec<String>> {
    let each = readings.len().div_ceil(ROWS).max(1);
    let last = readings.len().saturating_sub(1);
    let shown = readings
        .iter()
        .enumerate()
        .filter(|(index, _)| index % each == 0 || *index == last);
    shown.map(|(_, reading)| reading.row()).collect()
}
