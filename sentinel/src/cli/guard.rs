//! `sentinel guard`: the process that holds what the agent changes. Hidden, because the agent starts it; a person, or
//! `ExecStopPost=` of a unit, needs `--put-back` at the most.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, exit};
use crate::{
    act::{
        actuator::{
            CgroupOptions, DEFAULT_JOURNAL,
            guard::{GuardError, serve},
            put_back_all,
        },
        message::{PutBack, Why},
    },
    sense::{mount, origin},
    time::Now,
};

/// Options of `guard`.
#[derive(Debug, Args)]
pub struct Options {
    /// Where cgroup v2 is mounted; without it, where it is found
    #[arg(long, value_name = "DIR")]
    mount: Option<PathBuf>,
    /// What was found before each change
    #[arg(long, value_name = "FILE", default_value = DEFAULT_JOURNAL)]
    journal: PathBuf,
    /// Allow cgroups to be frozen
    #[arg(long)]
    allow_freeze: bool,
    /// Put back what an agent and its guard left when both died, say so in JSON lines, and end
    #[arg(long, conflicts_with = "allow_freeze")]
    put_back: bool,
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let cgroups = CgroupOptions {
        mount: match &options.mount {
            Some(mount) => mount.clone(),
            None => mount::find().map_err(Failure::host)?,
        },
        journal: options.journal.clone(),
        boot_id: origin::read().boot_id,
        allow_freeze: options.allow_freeze,
    };
    if !options.put_back {
        return match serve(&cgroups) {
            Ok(()) => Ok(exit::DONE),
            Err(error @ GuardError::NoAgent) => Err(Failure::usage(error)),
            // The agent was told, and says it.
            Err(GuardError::CannotAct(_)) => Ok(exit::HOST),
            Err(error) => Err(error.into()),
        };
    }
    let put_back = put_back_all(&cgroups, Why::FoundAtStart, Now::read()).map_err(Failure::host)?;
    for one in &put_back {
        println!("{}", serde_json::to_string(one)?);
    }
    let all = put_back.iter().all(PutBack::is_over);
    Ok(if all { exit::DONE } else { exit::FAILED })
}
