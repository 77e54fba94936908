//! Peers: what the programs of other tools take for each switch of tasks, by the kernel's own count of run times, beside sentinel's.
//! Never judges more than the ratio.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{
    loads::Load,
    run_times,
    spread::Spread,
    tools::{self, Tool},
};
use crate::trial::report::{Bound, Report};

/// Issue 5: "at least 10 times cheaper per scheduling event than the cheapest peer in the table".
const TIMES: f64 = 10.0;

/// Tools that look at the scheduler by programs of their own, with what was found in each round: nanoseconds for each switch.
pub struct Peers {
    measured: Vec<(Tool, Vec<f64>)>,
}

impl Peers {
    /// Those that run here; why others do not is among the findings.
    pub fn able(findings: &mut Vec<String>) -> Self {
        let tools = tools::able(tools::SCHEDULER, findings).into_iter();
        Self {
            measured: tools
                .filter(|tool| tool.name != tools::WITHOUT_PROGRAMS)
                .map(|tool| (tool, Vec::new()))
                .collect(),
        }
    }

    /// One round: each tool by itself. `empty_ns`: what an empty program takes at a switch.
    pub fn round(&mut self, length: Duration, empty_ns: f64) -> Result<()> {
        for (tool, rounds) in &mut self.measured {
            let mut running = tool.start()?;
            let pid = running.child().id();
            let (before, switches) = (run_times::of(pid)?, switches()?);
            Load::Switches.run(length)?;
            let (after, switches) = (run_times::of(pid)?, self::switches()? - switches);
            Tool::end(&mut running)?;
            ensure!(switches > 0, "the kernel counts no switches");
            let ns: f64 = after
                .iter()
                .map(|(id, now)| {
                    let ran = now.since(before.get(id).copied().unwrap_or_default());
                    ran.ns as f64 - ran.count as f64 * empty_ns
                })
                .sum();
            rounds.push(ns / switches as f64);
        }
        Ok(())
    }

    /// Adds what was found, and whether sentinel's `own_ns` is little enough beside it.
    pub fn tell(&self, report: &mut Report, own_ns: &Spread) -> Result<()> {
        let mut cheapest: Option<(&str, Spread)> = None;
        for (tool, rounds) in &self.measured {
            let above = Spread::of(rounds.iter().copied()).context("no rounds")?;
            report.rows.push(
                [tool.name, Load::Switches.name(), "", "", &above.to_string(), ""]
                    .map(str::to_owned)
                    .to_vec(),
            );
            report
                .runs
                .push(json!({ "peer": tool.name, "load": Load::Switches.name(), "above_ns": above }));
            if cheapest.is_none_or(|(_, least)| above.median < least.median) {
                cheapest = Some((tool.name, above));
            }
        }
        if let Some((name, above)) = cheapest {
            let times = above.median / own_ns.median;
            report.bounds.push(Bound::new(
                format!("a switch: at least {TIMES} times cheaper than {name}"),
                format!("{times:.1} times"),
                times >= TIMES,
            ));
        }
        Ok(())
    }
}

/// Switches of tasks on all CPUs since the start of the machine.
fn switches() -> Result<u64> {
    let text = fs::read_to_string("/proc/stat")?;
    let count = text.lines().find_map(|line| line.strip_prefix("ctxt "));
    Ok(count.context("/proc/stat has no ctxt")?.trim().parse()?)
}
