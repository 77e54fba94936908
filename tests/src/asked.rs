//! What a person asks of a running agent about actions, over its control socket.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use sentinel::act::control::Listed;

use crate::{
    agent::Agent,
    invoke::{Ended, invoke, text},
};

const LIMIT: Duration = Duration::from_secs(15);

/// The control socket of an agent.
#[must_use]
pub fn control(agent: &Agent) -> PathBuf {
    agent.dir().join("control.sock")
}

/// `sentinel veto` with these arguments.
///
/// # Errors
/// It did not end in time.
pub fn veto(agent: &Agent, args: &[&str]) -> Result<Ended> {
    let socket = control(agent);
    let mut all = vec!["veto"];
    all.extend(args);
    all.extend(["--control", text(&socket)]);
    invoke(&all, LIMIT)
}

/// What holds, and what waits.
///
/// # Errors
/// The agent does not answer.
pub fn listed(agent: &Agent) -> Result<Listed> {
    let ended = veto(agent, &["list", "--json"])?;
    let line = ended.stdout.first().with_context(|| format!("{ended:?}"))?;
    Ok(serde_json::from_str(line)?)
}
