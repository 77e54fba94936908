//! A client that keeps calling a closed port, in a cgroup of its own: a scope that the agent judges within seconds.

use std::time::Duration;

use anyhow::{Context as _, Result};
use sentinel::judge::verdict::{Level, Signal};

use crate::{
    agent::{Agent, Seen},
    cgroup::{Cgroup, Family},
    workload::Workload,
};

/// How long a verdict about it may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The client; dropping it ends it, and removes its cgroup.
#[derive(Debug)]
pub struct Caller {
    _load: Workload,
    cgroup: Cgroup,
    _family: Family,
}

impl Caller {
    /// Starts it, for a minute.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start() -> Result<Self> {
        let family = Family::new()?;
        let cgroup = family.cgroup("caller")?;
        let calls = ["attempts", "--to", "127.0.0.1:9", "--per-s", "200", "--seconds", "60"];
        Ok(Self {
            _load: Workload::start(&cgroup, &calls)?,
            cgroup,
            _family: family,
        })
    }

    /// Where it runs.
    #[must_use]
    pub const fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Waits for a verdict about its calls with a level that is wanted.
    ///
    /// # Errors
    /// It did not come in time.
    pub fn judged(&self, agent: &Agent, wanted: impl Fn(Level) -> bool) -> Result<Seen> {
        let scope = self.cgroup.scope();
        let about = |seen: &Seen| {
            let verdict = &seen.verdict;
            verdict.scope.path == scope && verdict.signal == Signal::Amplification && wanted(verdict.level)
        };
        agent
            .find(LIMIT, about)
            .with_context(|| format!("no such verdict about {scope}; the agent said {:?}", agent.stderr()))
    }
}
