//! A stand-in for the agent: orders one action through a guard and renews it, so that it can be killed or stopped.

use std::{path::PathBuf, thread, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use sentinel::{
    act::{
        action::{Order, Ttl},
        actuator::{Actuator as _, CgroupOptions, GuardOptions, Guarded},
    },
    sense::origin,
    time::Now,
};
use serde_json::json;

use super::{Deadline, report};
use crate::paths;

/// Holds one order.
#[derive(Debug, Args)]
pub struct Hold {
    /// What to do, as JSON.
    #[arg(long)]
    order: String,
    /// Where to write down what was found.
    #[arg(long)]
    journal: PathBuf,
    /// Time between renewals.
    #[arg(long, default_value_t = 0.3)]
    renew_seconds: f64,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

impl Hold {
    pub(super) fn run(self) -> Result<()> {
        let order: Order = serde_json::from_str(&self.order).context("--order")?;
        let end = Deadline::after_seconds(self.seconds);
        let (mut guarded, put_back) = Guarded::start(options(self.journal)?)?;
        let applied = guarded.apply(&order, Now::read())?;
        println!(
            "{}",
            json!({ "event": "ready", "guard": guarded.pid(), "applied": applied, "put_back": put_back })
        );
        while !end.is_over() {
            thread::sleep(Duration::from_secs_f64(self.renew_seconds).min(end.left()));
            if let Err(error) = guarded.renew(order.lease(), order.ttl(), Now::read()) {
                println!("{}", json!({ "event": "lost", "error": error }));
                break;
            }
        }
        drop(guarded);
        report(json!({ "ttl_ms": Ttl::ms(order.ttl()) }));
        Ok(())
    }
}

/// How a contract starts a guard: with the agent under test, allowed to freeze.
///
/// # Errors
/// The agent was not built, or cgroup v2 is not mounted.
pub fn options(journal: PathBuf) -> Result<GuardOptions> {
    Ok(GuardOptions {
        program: paths::sentinel()?,
        cgroups: CgroupOptions {
            mount: paths::cgroup2()?,
            journal,
            boot_id: origin::read().boot_id,
            allow_freeze: true,
        },
    })
}
