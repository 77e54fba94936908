//! Memory: what the kernel takes for the maps, by CPUs and cgroups, computed by the code that sizes them. The contract
//! `overhead` holds it against what the kernel itself says.

use anyhow::Result;
use clap::Args;
use sentinel::kernel::footprint::{self, MapSize};
use serde_json::json;

use crate::trial::{
    machine::Watch,
    report::{Bound, Report},
};

const CPUS: [u32; 3] = [4, 64, 256];
const CGROUPS: [u32; 3] = [100, 1_000, 10_000];
/// Memory of one counter of each kind for a CPU and a cgroup, and what the shared bank adds on four CPUs.
const MOST_BYTES_EACH: f64 = 800.0;

/// Options of the table.
#[derive(Clone, Debug, Args)]
pub struct Memory {
    /// One more row, for so many CPUs
    #[arg(long)]
    pub cpus: Option<u32>,
}

impl Memory {
    /// Computes.
    ///
    /// # Errors
    /// `/proc/stat` cannot be read.
    pub fn run(&self) -> Result<Report> {
        let watch = Watch::start()?;
        let mib = |cpus, cgroups| {
            let bytes: u64 = footprint::maps(cpus, cgroups).iter().map(MapSize::bytes).sum();
            bytes as f64 / f64::from(1 << 20)
        };
        let rows = CPUS.into_iter().chain(self.cpus);
        let mut heads = vec!["CPUs".to_owned()];
        heads.extend(CGROUPS.map(|cgroups| format!("{cgroups} cgroups, MiB")));
        let mut report = Report {
            trial: "memory: what the kernel takes for the maps; 128 bytes for each socket come on top",
            heads,
            rows: Vec::new(),
            bounds: Vec::new(),
            findings: Vec::new(),
            runs: Vec::new(),
            machine: watch.read()?,
        };
        for cpus in rows {
            let mut row = vec![cpus.to_string()];
            row.extend(CGROUPS.map(|cgroups| format!("{:.1}", mib(cpus, cgroups))));
            report.rows.push(row);
            report
                .runs
                .extend(CGROUPS.map(|cgroups| json!({ "cpus": cpus, "cgroups": cgroups, "mib": mib(cpus, cgroups) })));
        }
        let (cpus, cgroups) = (CPUS[2], CGROUPS[2]);
        let each = mib(cpus, cgroups) * f64::from(1 << 20) / f64::from(cpus) / f64::from(cgroups);
        report.bounds.push(Bound::new(
            format!("at most {MOST_BYTES_EACH} bytes for each CPU and cgroup"),
            format!("{each:.0} bytes"),
            each <= MOST_BYTES_EACH,
        ));
        Ok(report)
    }
}
