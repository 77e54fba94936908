//! What happens to a veto when the agent is killed, stopped or started anew in the middle of it.
//!
//! The trigger lasts longer than any of it, so that the gateway would be refused all the time: when its attempts are no
//! longer refused is when everything flows again.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    arm::{Arm, options},
    shop::{Gateway, Shop},
};
use crate::{
    agent::Agent,
    bpf::{Objects, wait_gone},
    cgroup::Cgroup,
    overload::Setting,
    paths,
    trial::{figures::cell, report::Bound},
    wait,
};

/// The default time to live of a lease.
const TTL_S: f64 = 10.0;
/// The clock of the gateway and that of the lease are the same; what is counted in a slice is said at its end.
const SLICE_S: f64 = 0.2;
/// The trigger of a fault.
const TRIGGER_S: f64 = 50.0;
const WARM_UP: Duration = Duration::from_secs(4);
/// How long the first refusal is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the veto has stood when the fault comes.
const STANDS: Duration = Duration::from_secs(2);
/// Nothing is refused for so long: it flows.
const FLOWS_NS: u64 = 1_000_000_000;
/// How long an agent that was started anew is watched.
const AGAIN: Duration = Duration::from_secs(25);

/// What is done to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Killed,
    Stopped,
    StartedAnew,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Fault {
    kind: Kind,
    /// Seconds from the fault until nothing was refused any more; infinite when that never came.
    flows_after_s: f64,
    /// What else was seen.
    seen: String,
    /// Programs on the gateway's `connect` at once, the most that were ever seen after the fault.
    most_attached: usize,
}

/// All three, one after the other.
///
/// # Errors
/// There was no veto to be in the middle of, or something was left behind in the kernel.
pub fn all(setting: Setting) -> Result<Vec<Fault>> {
    [Kind::Killed, Kind::Stopped, Kind::StartedAnew]
        .into_iter()
        .map(|kind| {
            let fault = one(kind, setting)?;
            eprintln!("{}", fault.line());
            Ok(fault)
        })
        .collect()
}

fn one(kind: Kind, setting: Setting) -> Result<Fault> {
    let before = Objects::all()?;
    let lock = tempfile::tempdir()?;
    let mut agent = start(&lock)?;
    agent.warm_up(WARM_UP)?;
    let shop = Shop::open(
        Gateway::Own,
        Setting {
            trigger_s: TRIGGER_S,
            after_s: 1.0,
            ..setting
        },
    )?;
    let limit = PATIENCE + Duration::from_secs_f64(setting.past_s);
    ensure!(
        wait::until_true(limit, || last_denied_ns(&shop) > 0),
        "nothing was refused within {limit:?}: {:?}",
        agent.outcomes()
    );
    std::thread::sleep(STANDS);
    let before_fault = attached(shop.gateway())?;
    ensure!(
        before_fault == 1,
        "{before_fault} programs on the gateway's connect in the middle of a veto"
    );
    let held = Objects::of_family(agent.pid())?;
    let fault_ns = wait::now_ns();
    let signal = if kind == Kind::Stopped {
        Signal::SIGSTOP
    } else {
        Signal::SIGKILL
    };
    ensure!(
        last_denied_ns(&shop) + FLOWS_NS > fault_ns,
        "nothing is refused any more: this is not the middle of a veto"
    );
    agent.signal(signal)?;
    let mut fault = Fault {
        kind,
        flows_after_s: f64::INFINITY,
        seen: String::new(),
        most_attached: 0,
    };
    match kind {
        Kind::Killed => {
            fault.flows_after_s = flows(&shop, fault_ns);
            wait_gone(&held, &before)?;
            fault.seen = "nothing is left in the kernel".into();
        }
        Kind::Stopped => {
            fault.flows_after_s = flows(&shop, fault_ns);
            fault.most_attached = attached(shop.gateway())?;
            agent.signal(Signal::SIGCONT)?;
            let ended = agent.end(Signal::SIGTERM)?;
            wait_gone(&held, &before)?;
            fault.seen = format!("going on, and told to end, it ended with {}", ended.ending);
        }
        Kind::StartedAnew => {
            let started = start(&lock)?;
            wait_gone(&held, &before).or_else(|_| still_alive(&held, &started))?;
            (fault.most_attached, fault.seen) = watch(&started, &shop)?;
            fault.flows_after_s = first_gap(&shop, fault_ns);
            agent = started;
            agent.end(Signal::SIGTERM)?;
        }
    }
    drop(agent);
    drop(shop);
    Ok(fault)
}

fn start(lock: &TempDir) -> Result<Agent> {
    options(Arm::Auto, "")?.lock(&lock.path().join("lock")).start()
}

/// Nothing of the first agent is left but what the second one holds too.
fn still_alive(held: &Objects, second: &Agent) -> Result<()> {
    let own = Objects::of_family(second.pid())?;
    let left = held.common(&Objects::all()?).without(&own);
    ensure!(left.programs.is_empty() && left.links.is_empty(), "orphans: {left:?}");
    Ok(())
}

/// Watches the second agent: the most programs on the gateway's `connect` at once, and what it did.
fn watch(agent: &Agent, shop: &Shop) -> Result<(usize, String)> {
    let (start_ns, mut most) = (wait::now_ns(), 0);
    while wait::since(start_ns) < AGAIN {
        most = most.max(attached(shop.gateway())?);
        std::thread::sleep(Duration::from_millis(200));
    }
    let gateway = shop.gateway().scope();
    let lines = agent.stdout();
    let of_gateway = |value: &Value| value["schema"] == "sentinel.outcome/1" && value["scope"] == gateway.as_str();
    let began = lines
        .iter()
        .filter_map(|line| Some((line.at_ns, serde_json::from_str::<Value>(&line.text).ok()?)))
        .find(|(_, value)| of_gateway(value) && value["result"]["kind"] == "began");
    let seen = began.map_or_else(
        || format!("the second agent took no hold in {} s", AGAIN.as_secs()),
        |(at_ns, _)| {
            format!(
                "the second agent took hold {:.1} s later",
                at_ns.saturating_sub(start_ns) as f64 / 1e9
            )
        },
    );
    Ok((most, seen))
}

/// When the gateway's last attempt was refused so far, nanoseconds; 0 when none was.
fn last_denied_ns(shop: &Shop) -> u64 {
    shop.attempts().last().map_or(0, |slice| slice.last_denied_ns)
}

/// Seconds from the fault to the last refusal, once nothing was refused for a while.
fn flows(shop: &Shop, fault_ns: u64) -> f64 {
    let limit = Duration::from_secs_f64(2.0 * TTL_S);
    wait::until(limit, || {
        let last_ns = last_denied_ns(shop).max(fault_ns);
        (wait::now_ns() > last_ns + FLOWS_NS).then(|| (last_ns - fault_ns) as f64 / 1e9)
    })
    .unwrap_or(f64::INFINITY)
}

/// Seconds from the fault to the first slice in which nothing was refused.
fn first_gap(shop: &Shop, fault_ns: u64) -> f64 {
    let gap = shop
        .attempts()
        .into_iter()
        .find(|slice| slice.monotonic_ns > fault_ns && slice.attempts > 0 && slice.denied == 0);
    gap.map_or(f64::INFINITY, |slice| (slice.monotonic_ns - fault_ns) as f64 / 1e9)
}

/// Programs attached to the `connect` of a cgroup.
fn attached(cgroup: &Cgroup) -> Result<usize> {
    let bpftool = paths::tool("bpftool", "bpftool")?;
    let output = Command::new(bpftool)
        .args(["cgroup", "show"])
        .arg(cgroup.dir())
        .arg("--json")
        .output()?;
    let listed: Vec<Value> = match output.stdout.trim_ascii() {
        // It says nothing where there is none.
        [] => Vec::new(),
        text => serde_json::from_slice(text).context("bpftool cgroup show")?,
    };
    Ok(listed.iter().filter(|program| program["name"] == "connect4").count())
}

impl Fault {
    /// One line.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "agent {}: everything flows {} later; {}",
            self.kind.name(),
            cell(Some(self.flows_after_s), " s"),
            self.seen
        )
    }

    /// What had to hold.
    #[must_use]
    pub fn bounds(self) -> Vec<Bound> {
        let name = self.kind.name();
        let mut bounds = vec![Bound::new(
            format!("agent {name} in the middle of a veto: everything flows within the ttl of {TTL_S} s"),
            cell(Some(self.flows_after_s), " s"),
            self.flows_after_s <= TTL_S + SLICE_S,
        )];
        if self.kind == Kind::StartedAnew {
            bounds.push(Bound::new(
                "and there is never a second veto beside it",
                format!("{} program on connect at most; {}", self.most_attached, self.seen),
                self.most_attached <= 1,
            ));
        }
        bounds
    }
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Stopped => "stopped",
            Self::StartedAnew => "killed and started anew",
        }
    }
}
