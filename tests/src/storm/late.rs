//! An agent that comes into a storm: it stands by itself when the agent starts, so no past is known that it could be told
//! from.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    arm::{Arm, options},
    shop::{Gateway, Shop},
};
use crate::{
    bpf::{Objects, wait_gone},
    overload::Setting,
    trial::{figures::cell, report::Bound},
    wait,
};

/// How long the storm has stood by itself when the agent starts, seconds.
const STANDS_S: f64 = 4.0;
/// How long it is watched from then on.
const WATCHED_S: f64 = 20.0;
/// Within which time goodput has to be back: warm-up, the budget, and a full queue that has to drain.
const BACK_S: f64 = 15.0;

/// What came of it. Seconds from the start of the agent.
#[derive(Clone, Debug)]
pub struct Late {
    /// Share of the usual goodput in the storm.
    pub before: f64,
    /// When it took hold of the gateway; `None` when it did not.
    pub held_after_s: Option<f64>,
    /// When goodput was back for good.
    pub back_after_s: Option<f64>,
}

/// One shop, and an agent that starts too late.
///
/// # Errors
/// Something could not be started, there was no storm, or something was left behind in the kernel.
pub fn one(setting: Setting) -> Result<Late> {
    let before = Objects::all()?;
    let setting = Setting {
        after_s: STANDS_S + WATCHED_S,
        ..setting
    };
    let shop = Shop::open(Gateway::Own, setting)?;
    let gateway = shop.gateway().scope();
    let start_ns = shop.ends_ns() + (STANDS_S * 1e9) as u64;
    thread::sleep(Duration::from_nanos(start_ns.saturating_sub(wait::now_ns())));
    let mut agent = options(Arm::Auto, "")?.start()?;
    let held = Objects::of_family(agent.pid())?;
    let (course, began_ns) = shop.finish_beside(|| {
        let of_gateway = |value: &Value| value["schema"] == "sentinel.outcome/1" && value["scope"] == gateway.as_str();
        let lines = agent.stdout().into_iter();
        let outcomes = lines.filter_map(|line| Some((line.at_ns, serde_json::from_str::<Value>(&line.text).ok()?)));
        let mut began = outcomes.filter(|(_, value)| of_gateway(value) && value["result"]["kind"] == "began");
        Ok(began.next().map(|(at_ns, _)| at_ns))
    })?;
    agent.end(Signal::SIGTERM)?;
    wait_gone(&held, &before)?;
    let before = course.goodput(1.0, STANDS_S).unwrap_or(f64::NAN);
    ensure!(
        before < 0.5,
        "the storm did not stand: {before} of the usual was answered"
    );
    Ok(Late {
        before,
        held_after_s: began_ns.map(|at_ns| (at_ns as f64 - start_ns as f64) / 1e9),
        back_after_s: course.back_after_s().map(|after_s| after_s - STANDS_S),
    })
}

impl Late {
    /// One line.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "an agent that starts in a storm that stands ({} of the usual answered) takes hold {} later; goodput is back {} later",
            cell(Some(self.before * 100.0), " %"),
            cell(self.held_after_s, " s"),
            cell(Some(self.back_after_s.unwrap_or(f64::INFINITY)), " s"),
        )
    }

    /// What had to hold.
    #[must_use]
    pub fn bound(&self) -> Bound {
        Bound::new(
            format!("an agent that starts in the middle of a storm: goodput back within {BACK_S} s"),
            cell(Some(self.back_after_s.unwrap_or(f64::INFINITY)), " s"),
            self.held_after_s.is_some() && self.back_after_s.is_some_and(|back_s| back_s <= BACK_S),
        )
    }
}
