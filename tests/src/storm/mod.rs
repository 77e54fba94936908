//! The cliff: a storm that never ends by itself, and the same storm under a veto.
//!
//! Each file owns one thing: [`shop`] the processes, [`arm`] the agent and who takes hold, [`run`] many runs side by side,
//! [`course`] what was measured, [`table`] the figures and bounds, [`picture`] the drawing, [`faults`] what happens to the
//! agent in the middle of a veto. Whatever is started lives in cgroups of its own and is gone afterwards.

pub mod arm;
pub mod course;
pub mod faults;
pub mod late;
pub mod nginx;
pub mod picture;
pub mod run;
pub mod shop;
pub mod table;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use self::{
    arm::Arm,
    run::{Plan, Run},
    shop::Gateway,
};
use crate::{
    overload::{Setting, Trigger},
    trial::{
        machine::Watch,
        report::{Bound, Report},
    },
};

/// How long a storm has to go on by itself after its trigger to count as one that never ends, seconds.
pub const NEVER_S: f64 = 60.0;

/// A storm without sentinel and with it, side by side: goodput, attempts, bystander; exit code 1 when a bound is broken.
#[derive(Clone, Debug, Parser)]
#[command(name = "sentinel-storm", bin_name = "cargo xtask storm")]
pub struct Cli {
    /// Runs with sentinel
    #[arg(long, default_value_t = 12)]
    pub runs: usize,
    /// Runs without; a quarter of the others, and at least as many as run side by side, when not given
    #[arg(long)]
    pub without_runs: Option<usize>,
    /// Shops side by side under one agent, each a storm of its own
    #[arg(long, default_value_t = 4)]
    pub parallel: usize,
    /// The program between client and backend
    #[arg(long, value_enum, default_value_t = Gateway::Own)]
    pub gateway: Gateway,
    /// Who takes hold: the agent (`auto`), or this program at the agent's first veto (`by-hand`)
    #[arg(long, value_enum, default_value_t = Arm::Auto)]
    pub with: Arm,
    /// How long the trigger lasts, seconds
    #[arg(long, default_value_t = 5.0)]
    pub trigger_seconds: f64,
    /// Load during the trigger, times the usual
    #[arg(long, default_value_t = 3.0)]
    pub trigger_factor: f64,
    /// Quiet time before it, seconds; up to one second more, so that runs fall differently between ticks
    #[arg(long, default_value_t = 6.0)]
    pub past: f64,
    /// How long a run with sentinel is watched after the trigger, seconds
    #[arg(long, default_value_t = 12.0)]
    pub after: f64,
    /// How long a run without is watched
    #[arg(long, default_value_t = NEVER_S + 2.0)]
    pub without_after: f64,
    /// More lines for the agent's configuration, such as `network_interval = "100ms"`, in both arms; rules begin with `[[rule]]`
    #[arg(long, value_name = "TOML", default_value = "")]
    pub config: String,
    /// Also kill, stop and restart the agent in the middle of a veto
    #[arg(long)]
    pub faults: bool,
    /// Only that
    #[arg(long, conflicts_with_all = ["svg", "runs", "without_runs"])]
    pub only_faults: bool,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub json: bool,
    /// Draw goodput, attempts and alpha over time into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

impl Cli {
    /// Runs everything and prints the report; true when every bound held.
    ///
    /// # Errors
    /// What kept it from measuring.
    pub fn run(&self) -> Result<bool> {
        self.check()?;
        let watch = Watch::start()?;
        let (without, with) = if self.only_faults {
            (Vec::new(), Vec::new())
        } else {
            (self.without()?, self.with_sentinel()?)
        };
        let mut bounds = Vec::new();
        if !self.only_faults {
            bounds.extend(table::bounds(&without, &with));
        }
        let mut findings = table::findings(&with);
        if self.faults || self.only_faults {
            let faults = faults::all(self.setting(0))?;
            findings.extend(faults.iter().map(faults::Fault::line));
            bounds.extend(faults.into_iter().flat_map(faults::Fault::bounds));
            let late = late::one(self.setting(0))?;
            findings.push(late.line());
            bounds.push(late.bound());
        }
        if let Some(file) = &self.svg {
            let svg = picture::svg(&without, &with, &self.setting(0))?;
            fs::write(file, svg).with_context(|| format!("writing {}", file.display()))?;
        }
        let report = self.report(&without, &with, bounds, findings, &watch)?;
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            println!("{report}");
        }
        Ok(report.held())
    }

    /// What cannot be meant is said before anything is started.
    fn check(&self) -> Result<()> {
        ensure!(
            (1..=16).contains(&self.parallel),
            "--parallel is {}: it goes from 1 to 16 shops side by side",
            self.parallel
        );
        ensure!(
            self.runs >= 1 || self.only_faults,
            "--runs is 0: at least one run with sentinel is needed"
        );
        // A p99 beside two shops is another one than beside ten: like is compared with like.
        ensure!(
            self.without_runs.is_none_or(|runs| runs >= self.side_by_side()) || self.only_faults,
            "--without-runs is {}, and {} run side by side with sentinel: as many as that are needed to compare the bystander",
            self.without_runs.unwrap_or_default(),
            self.side_by_side()
        );
        ensure!(
            self.with != Arm::Observe,
            "--with observe is the arm without: choose auto or by-hand"
        );
        for (name, value, least) in [
            ("--trigger-seconds", self.trigger_seconds, 0.1),
            ("--past", self.past, 3.0),
            ("--after", self.after, 8.0),
            ("--without-after", self.without_after, 8.0),
        ] {
            ensure!(
                value.is_finite() && value >= least && value <= 600.0,
                "{name} is {value}: it goes from {least} to 600 seconds"
            );
        }
        ensure!(
            self.trigger_factor.is_finite() && (1.0..=10.0).contains(&self.trigger_factor),
            "--trigger-factor is {}: it goes from 1 to 10",
            self.trigger_factor
        );
        Ok(())
    }

    /// The storm of one run: requests come at random times, from another seed in each.
    fn setting(&self, index: u64) -> Setting {
        Setting {
            trigger: Trigger::Load(self.trigger_factor),
            trigger_s: self.trigger_seconds,
            past_s: self.past,
            after_s: self.after,
            seed: Some(index),
            ..Setting::default()
        }
    }

    /// Shops of the arm with sentinel at once.
    fn side_by_side(&self) -> usize {
        self.parallel.min(self.runs)
    }

    fn without(&self) -> Result<Vec<Run>> {
        let runs = self
            .without_runs
            .unwrap_or_else(|| self.runs.div_ceil(4).max(2).max(self.side_by_side()));
        self.many(Arm::Observe, runs, self.without_after)
    }

    fn with_sentinel(&self) -> Result<Vec<Run>> {
        self.many(self.with, self.runs, self.after)
    }

    fn many(&self, arm: Arm, runs: usize, after_s: f64) -> Result<Vec<Run>> {
        let settings = (0..runs as u64).map(|index| Setting {
            after_s,
            ..self.setting(index)
        });
        run::many(&Plan {
            arm,
            gateway: self.gateway,
            parallel: self.parallel,
            settings: settings.collect(),
            config: self.config.clone(),
        })
    }

    fn report(
        &self,
        without: &[Run],
        with: &[Run],
        bounds: Vec<Bound>,
        findings: Vec<String>,
        watch: &Watch,
    ) -> Result<Report> {
        Ok(Report {
            trial: "storm",
            heads: table::HEADS.map(str::to_owned).to_vec(),
            rows: [without, with].into_iter().filter_map(table::row).collect(),
            bounds,
            findings,
            runs: without.iter().chain(with).map(Run::json).collect(),
            machine: watch.read()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (args, said) in [
            (["--parallel", "0"], "--parallel is 0"),
            (["--runs", "0"], "--runs is 0"),
            (["--with", "observe"], "--with observe"),
            (["--trigger-factor", "99"], "--trigger-factor is 99"),
            (["--after", "1"], "--after is 1"),
            (["--without-runs", "3"], "--without-runs is 3, and 4 run side by side"),
        ] {
            let cli = Cli::parse_from([["sentinel-storm"].as_slice(), args.as_slice()].concat());
            let error = cli.run().expect_err("it cannot be meant").to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
