//! `sentinel veto`: asks the running agent what holds, and approves, lifts, applies and arms.

use std::{path::PathBuf, time::Duration};

use anyhow::anyhow;
use clap::{Args, Subcommand, ValueEnum};

use super::{Failure, exit};
use crate::{
    act::{
        action::{LeaseId, Ttl},
        control::{
            Apply, Reply, Request,
            client::{AskError, ask},
            server::DEFAULT_PATH,
        },
    },
    config::{RuleAction, RuleConfig, parse_time},
    show::{encode, leases},
};

/// Options of `veto`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
    /// Socket of the agent
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH, global = true)]
    control: PathBuf,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
enum Command {
    /// Show what holds, what waits for approval, and which rules act
    List {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Carry out a plan that waits
    Approve {
        /// Id of the plan, as in the verdict and in `veto list`
        #[arg(value_name = "ID", value_parser = lease)]
        plan: LeaseId,
    },
    /// Undo an action now, or drop a plan that waits
    Lift {
        /// Id of the lease
        #[arg(value_name = "ID", value_parser = lease)]
        lease: LeaseId,
    },
    /// Do something to a cgroup, for a while
    Apply(Applying),
    /// Let a rule act again that disarmed itself
    Arm {
        /// Name of the rule
        #[arg(value_name = "RULE")]
        rule: String,
    },
}

/// Options of `veto apply`.
#[derive(Debug, Args)]
struct Applying {
    /// cgroup path from the root of the hierarchy, or systemd unit
    #[arg(value_name = "SCOPE")]
    scope: String,
    /// What to do
    #[arg(value_enum, value_name = "ACTION")]
    action: ActionName,
    /// How long it holds if the agent dies, 1s to 1m
    #[arg(long, value_name = "TIME", value_parser = ttl, default_value = "10s")]
    ttl: Ttl,
    /// How long the agent goes on renewing it, up to a day; without it, it holds for one ttl
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    hold: Option<Duration>,
    /// Attempts per second that need no inbound work (retry-budget)
    #[arg(long, value_name = "N", default_value_t = RuleConfig::RESERVE_PER_S, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    reserve_per_s: u32,
    /// Attempts for each request that comes in when all is well (retry-budget), 0 to 100
    #[arg(long, value_name = "RATIO", default_value_t = 1.0)]
    fan_out: f64,
    /// What the scope keeps of what it has or uses, 25 to 99 percent (all other actions)
    #[arg(long, value_name = "PERCENT", default_value_t = RuleConfig::KEEP_PCT, value_parser = clap::value_parser!(u32).range(25..=99))]
    keep: u32,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    reason: String,
}

/// Actions, as they are written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ActionName {
    /// A budget for connection attempts, in the kernel
    RetryBudget,
    /// A share of new connections from outside, in the kernel
    Admission,
    /// cpu.max at a share of the CPU time it uses
    CpuMax,
    /// cpu.weight at a share of the default weight
    CpuWeight,
    /// memory.high at a share of the memory it uses
    MemoryHigh,
    /// Stop every process of it
    Freeze,
}

impl From<ActionName> for RuleAction {
    fn from(name: ActionName) -> Self {
        match name {
            ActionName::RetryBudget => Self::RetryBudget,
            ActionName::Admission => Self::Admission,
            ActionName::CpuMax => Self::CpuMax,
            ActionName::CpuWeight => Self::CpuWeight,
            ActionName::MemoryHigh => Self::MemoryHigh,
            ActionName::Freeze => Self::Freeze,
        }
    }
}

fn lease(text: &str) -> Result<LeaseId, String> {
    LeaseId::new(text).map_err(|error| error.to_string())
}

fn ttl(text: &str) -> Result<Ttl, String> {
    let time = parse_time(text).map_err(|error| error.to_string())?;
    Ttl::try_from(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).map_err(|error| error.to_string())
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let json = matches!(options.command, Command::List { json: true });
    let request = request(&options.command)?;
    let reply = ask(&options.control, &request).map_err(|error| match error {
        AskError::NoAgent(_) | AskError::NotAllowed(_) => Failure::host(error),
        other => Failure::from(other),
    })?;
    match reply {
        Reply::Listed(listed) if json => println!("{}", encode::object(&listed)?),
        Reply::Listed(listed) => print!("{}", leases::table(&listed)),
        Reply::Done { text } => println!("{}", crate::show::escape::line(&text)),
        Reply::Refused { reason } => return Err(Failure::from(anyhow!("{reason}"))),
    }
    Ok(exit::DONE)
}

fn request(command: &Command) -> Result<Request, Failure> {
    Ok(match command {
        Command::List { .. } => Request::List,
        Command::Approve { plan } => Request::Approve { plan: plan.clone() },
        Command::Lift { lease } => Request::Lift { lease: lease.clone() },
        Command::Arm { rule } => Request::Arm { rule: rule.clone() },
        Command::Apply(apply) => {
            if !(0.0..=100.0).contains(&apply.fan_out) {
                let reason = format!("--fan-out is {}, and may be 0 to 100; correct it", apply.fan_out);
                return Err(Failure::usage(anyhow!(reason)));
            }
            Request::Apply(Apply {
                scope: apply.scope.clone(),
                action: apply.action.into(),
                reserve_per_s: apply.reserve_per_s.into(),
                fan_out_milli: Some((apply.fan_out * 1e3).round() as u64),
                keep_pct: apply.keep.into(),
                ttl_ms: apply.ttl,
                for_ms: apply
                    .hold
                    .map_or(0, |hold| u64::try_from(hold.as_millis()).unwrap_or(u64::MAX)),
                reason: apply.reason.clone(),
            })
        }
    })
}
