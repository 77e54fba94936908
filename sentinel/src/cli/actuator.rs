//! `sentinel actuator`: the process that acts for an agent that has no rights. Hidden, because the agent starts it.

use std::{ffi::OsString, path::PathBuf};

use clap::Args;

use super::{Failure, acting, exit, log::Log, options::Configured, run};
use crate::{
    act::{
        actuator::DEFAULT_JOURNAL,
        privileged::{Serving, agent_on_standard_input, serve},
        runner::HooksHere,
    },
    config::Config,
    kernel::describe,
    privileges::{Files, Keep, Wanted, give_up},
    sense::origin,
};

/// Options of `actuator`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    configured: Configured,
    /// Record of what was found before each change of a cgroup's file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_JOURNAL)]
    journal: PathBuf,
}

/// The command line that starts it for an agent with these options.
pub(super) fn arguments(configured: &Configured, journal: &std::path::Path) -> Vec<OsString> {
    let mut arguments = vec!["actuator".into(), "--journal".into(), journal.into()];
    if let Some(config) = &configured.config {
        arguments.extend(["--config".into(), config.into()]);
    }
    if let Some(interval) = configured.interval {
        arguments.extend(["--interval".into(), format!("{}ms", interval.as_millis()).into()]);
    }
    if let Some(autonomy) = configured.autonomy {
        arguments.extend(["--autonomy".into(), autonomy.name().into()]);
    }
    arguments
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let socket = agent_on_standard_input().map_err(Failure::usage)?;
    let config = options.configured.load()?;
    let _log = Log::start(config.log);
    let given_up = give_up(&wanted(&config)).map_err(Failure::host)?;
    let runtime = run::runtime()?;
    // Threads begin here: they inherit what is left.
    let (hands, done) = acting::hands(&config, &options.journal, &origin::read())?;
    let configured = options.configured.clone();
    let serving = Serving {
        socket,
        standing: given_up.to_string(),
        hands,
        done,
        hooks: HooksHere::new(&config),
        load: Box::new(move || configured.load().map_err(|failure| describe(failure.error.as_ref()))),
    };
    runtime.block_on(serve(serving))?;
    Ok(exit::DONE)
}

/// It stays who it is: the agent was started with what acting takes, and only this process keeps it.
fn wanted(config: &Config) -> Wanted<'static> {
    Wanted {
        keep: Keep::of(config),
        account: None,
        files: Files::default(),
        hand_over: Vec::new(),
        // It reads maps only where it keeps the right to load programs.
        maps_readable: &|| true,
    }
}
