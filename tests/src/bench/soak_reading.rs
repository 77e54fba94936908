//! What the agent takes at a moment of a soak: memory of the process and of its maps and programs in the kernel, descriptors,
//! threads, slots, and what it says of itself. Reads only.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result};
use procfs::process::Process as Proc;
use serde::Serialize;

use super::{soak_churn::Churn, soak_ledger::Ledger};
use crate::{agent::Agent, http, wait};

/// One reading.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reading {
    /// Seconds since cgroups began to come and go.
    pub at_s: f64,
    /// Resident memory, KiB.
    pub resident_kib: u64,
    /// Of it what belongs to no file, KiB.
    pub anonymous_kib: u64,
    /// Memory of its maps and programs, as the kernel tells, bytes.
    pub kernel_bytes: u64,
    /// Descriptors that are open.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
    /// Slots that have an owner.
    pub slots: u64,
    /// The most that had one at a time so far; cgroups of others on the host are among them.
    pub most_slots: u64,
    /// Of those that have one now the ones of cgroups that are gone.
    pub slots_of_dead: u64,
    /// cgroups made so far.
    pub cgroups: u64,
    /// Losses by kind so far.
    pub losses: BTreeMap<String, u64>,
    /// Ticks so far, and those that were late.
    pub ticks: u64,
    /// See `ticks`.
    pub late_ticks: u64,
    /// CPU time so far, seconds.
    pub cpu_s: f64,
}

impl Reading {
    /// Heads of the table.
    pub const HEADS: [&str; 9] = [
        "minute",
        "RSS MiB",
        "of it anonymous",
        "kernel KiB",
        "descriptors",
        "threads",
        "slots (dead, most)",
        "late ticks",
        "CPU s",
    ];

    /// Looks. `start_ns`: when cgroups began to come and go.
    ///
    /// # Errors
    /// The agent is gone or does not answer.
    pub fn take(agent: &Agent, ledger: &Ledger, churn: &Churn, start_ns: u64) -> Result<Self> {
        let process = Proc::new(agent.pid().cast_signed()).context("the agent is gone")?;
        let status = process.status()?;
        // Before the question below, which is a connection and so a descriptor.
        let descriptors = process.fd_count()? as u64;
        let state = http::state(agent.address()?)?;
        let kernel_bytes = in_kernel(agent.pid())?;
        let own = &state["agent"];
        let number = |name: &str| own[name].as_u64().with_context(|| format!("no `{name}` in the state"));
        Ok(Self {
            at_s: wait::since(start_ns).as_secs_f64(),
            resident_kib: status.vmrss.context("the kernel does not tell its memory")?,
            anonymous_kib: status.rssanon.context("the kernel does not tell its memory")?,
            kernel_bytes,
            descriptors,
            threads: status.threads,
            slots: ledger.slots(),
            most_slots: ledger.most_slots(),
            slots_of_dead: ledger.held(churn.gone()),
            cgroups: churn.made(),
            losses: ledger.losses(),
            ticks: number("ticks")?,
            late_ticks: number("late_ticks")?,
            cpu_s: own["own"]["cpu_s"].as_f64().unwrap_or_default(),
        })
    }

    /// Its row of the table.
    #[must_use]
    pub fn row(&self) -> Vec<String> {
        let mib = |kib: u64| format!("{:.2}", kib as f64 / 1024.0);
        vec![
            format!("{:.1}", self.at_s / 60.0),
            mib(self.resident_kib),
            mib(self.anonymous_kib),
            format!("{:.1}", self.kernel_bytes as f64 / 1024.0),
            self.descriptors.to_string(),
            self.threads.to_string(),
            format!("{} ({}, {})", self.slots, self.slots_of_dead, self.most_slots),
            self.late_ticks.to_string(),
            format!("{:.2}", self.cpu_s),
        ]
    }
}

/// Memory of the maps and programs that a process holds, each counted once, bytes.
fn in_kernel(pid: u32) -> Result<u64> {
    let mut held = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))?.flatten() {
        // A descriptor may have been closed meanwhile.
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim().parse::<u64>().ok()
        };
        for kind in ["map_id:", "prog_id:"] {
            // The descriptor of a link names its program too, and no memory.
            if let (Some(id), Some(bytes)) = (field(kind), field("memlock:")) {
                held.insert((kind, id), bytes);
            }
        }
    }
    Ok(held.values().sum())
}
