//! Loads on the CPU.

use std::{hint, thread, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use serde_json::json;

use super::{Deadline, idle, ready, report};
use crate::wait;

/// Stretch of computation between two looks at the clock.
const SPINS: u32 = 20_000;
/// Time in which a share of the CPU is kept.
const PERIOD: Duration = Duration::from_millis(10);

/// Busy tasks.
#[derive(Debug, Args)]
pub struct Spin {
    /// Tasks.
    #[arg(long, default_value_t = 4)]
    threads: usize,
    /// Keep each task on one CPU: task I on CPU I modulo the number of CPUs.
    #[arg(long)]
    pin: bool,
    /// Stop being busy after this time and only stay.
    #[arg(long)]
    work_seconds: Option<f64>,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

impl Spin {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        let work = Deadline::after_seconds(self.work_seconds.unwrap_or(self.seconds).min(self.seconds));
        let cpus = thread::available_parallelism()?.get();
        let tasks: Vec<_> = (0..self.threads)
            .map(|index| {
                let cpu = self.pin.then_some(index % cpus);
                thread::spawn(move || busy_task(cpu, work, end))
            })
            .collect();
        ready();
        thread::sleep(work.left());
        idle(end);
        for task in tasks {
            task.join().ok().context("a busy task panicked")??;
        }
        report(json!({ "threads": self.threads }));
        Ok(())
    }
}

fn busy_task(cpu: Option<usize>, work: Deadline, end: Deadline) -> Result<()> {
    pin(cpu)?;
    while !work.is_over() {
        spin();
    }
    // Stays alive, so that its schedstat can still be read.
    thread::sleep(end.left());
    Ok(())
}

/// Keeps this task on a CPU.
fn pin(cpu: Option<usize>) -> Result<()> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

fn spin() {
    for step in 0..SPINS {
        hint::black_box(step);
    }
}

/// A clean load.
#[derive(Debug, Args)]
pub struct Duty {
    /// Tasks; no more than CPUs, or it is not clean.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Share of one CPU each task takes, percent.
    #[arg(long)]
    percent: u32,
    /// Share after the step, percent.
    #[arg(long, requires = "after_seconds")]
    then_percent: Option<u32>,
    /// When the step comes.
    #[arg(long)]
    after_seconds: Option<f64>,
    /// Keep each task on one CPU.
    #[arg(long)]
    pin: bool,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

impl Duty {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        let step = Deadline::after_seconds(self.after_seconds.unwrap_or(self.seconds));
        let (before, after) = (self.percent, self.then_percent.unwrap_or(self.percent));
        let cpus = thread::available_parallelism()?.get();
        let tasks: Vec<_> = (0..self.threads)
            .map(|index| {
                let cpu = self.pin.then_some(index % cpus);
                thread::spawn(move || duty_task(cpu, before, after, step, end))
            })
            .collect();
        ready();
        for task in tasks {
            task.join().ok().context("a task panicked")??;
        }
        report(json!({ "threads": self.threads }));
        Ok(())
    }
}

fn duty_task(cpu: Option<usize>, before: u32, after: u32, step: Deadline, end: Deadline) -> Result<()> {
    pin(cpu)?;
    while !end.is_over() {
        let percent = if step.is_over() { after } else { before };
        let busy = PERIOD * percent.min(100) / 100;
        let start_ns = wait::now_ns();
        while wait::since(start_ns) < busy {
            spin();
        }
        thread::sleep(PERIOD.saturating_sub(wait::since(start_ns)));
    }
    Ok(())
}

/// An idle bystander.
#[derive(Debug, Args)]
pub struct Sleep {
    /// Time between heartbeats.
    #[arg(long, default_value_t = 500)]
    heartbeat_ms: u64,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

impl Sleep {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        ready();
        let mut heartbeats = 0_u64;
        while !end.is_over() {
            thread::sleep(Duration::from_millis(self.heartbeat_ms).min(end.left()));
            spin();
            heartbeats += 1;
        }
        report(json!({ "heartbeats": heartbeats }));
        Ok(())
    }
}
