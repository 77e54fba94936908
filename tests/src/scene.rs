//! The scene of a fault: services in cgroups of their own, an idle bystander, and the agent that watches.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use nix::sys::signal::Signal as Kill;
use sentinel::judge::verdict::{Cause, Level, Signal};

use crate::{
    agent::{Agent, Options, Seen},
    cgroup::Cgroup,
    invoke::Ended,
    services::Services,
};

/// How long the agent watches before anything happens.
pub const WARM_UP: Duration = Duration::from_secs(10);
/// How long a verdict is waited for, beyond what is asked of it, so that a failure can say how late it was.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than any scene.
const SECONDS: u32 = 120;

/// Services, each with a past: a heartbeat that began before the agent did.
#[derive(Debug)]
pub struct Scene {
    /// The running agent.
    pub agent: Agent,
    /// Who is watched.
    pub services: Services,
}

impl Scene {
    /// Starts services of these names, the `bystander`, and an agent.
    ///
    /// # Errors
    /// Something could not be started.
    pub fn start(services: &[&'static str], options: Options) -> Result<Self> {
        let services = Services::start(services, SECONDS)?;
        Ok(Self {
            agent: options.start()?,
            services,
        })
    }

    /// Lets the agent see the services as they are.
    ///
    /// # Errors
    /// The agent ended, or called an idle service sick.
    pub fn warm_up(&mut self) -> Result<()> {
        self.agent.warm_up(WARM_UP)?;
        match self.vetoes().first() {
            None => Ok(()),
            Some(seen) => bail!("a veto before anything happened: {}", seen.line),
        }
    }

    /// The cgroup of a service.
    ///
    /// # Panics
    /// The scene has no service of this name.
    #[must_use]
    pub fn cgroup(&self, name: &str) -> &Cgroup {
        self.services.cgroup(name)
    }

    /// Waits for the veto of a signal on a service and holds it against the clock.
    ///
    /// # Errors
    /// It did not come, or not in time.
    pub fn veto(&self, name: &str, signal: Signal, onset_ns: u64, within: Duration) -> Result<Seen> {
        let scope = self.cgroup(name).scope();
        let wanted = |seen: &Seen| {
            seen.verdict.level == Level::Veto && seen.verdict.signal == signal && seen.verdict.scope.path == scope
        };
        let Some(seen) = self.agent.find(within + PATIENCE, wanted) else {
            bail!(
                "no {} veto about {scope}; the agent said {:#?}",
                signal.name(),
                self.said()
            );
        };
        ensure!(seen.at_ns >= onset_ns, "the veto came before the fault: {}", seen.line);
        let after = Duration::from_nanos(seen.at_ns - onset_ns);
        println!(
            "{name}: {} veto after {after:.1?}, cause {}",
            signal.name(),
            seen.verdict.cause.name()
        );
        ensure!(
            after <= within,
            "{name}: {} veto {after:?} after onset, not within {within:?}",
            signal.name()
        );
        Ok(seen)
    }

    /// Every veto about a service of this scene so far.
    #[must_use]
    pub fn vetoes(&self) -> Vec<Seen> {
        self.ours()
            .into_iter()
            .filter(|seen| seen.verdict.level == Level::Veto)
            .collect()
    }

    /// Nobody but these was given a veto, for these signals only. That others starve while busy tasks hold the CPU is
    /// the truth and not an accusation.
    ///
    /// # Errors
    /// Somebody else was.
    pub fn only(&self, guilty: &[(&str, Signal)]) -> Result<()> {
        let known = |seen: &Seen| {
            let verdict = &seen.verdict;
            let named = |(name, signal): &(&str, Signal)| {
                *signal == verdict.signal && self.cgroup(name).scope() == verdict.scope.path
            };
            verdict.cause == Cause::Starved || guilty.iter().any(named)
        };
        match self.vetoes().into_iter().find(|seen| !known(seen)) {
            None => Ok(()),
            Some(seen) => bail!("an innocent service was given a veto: {}", seen.line),
        }
    }

    /// No verdict above nominal was given about the bystander.
    ///
    /// # Errors
    /// One was.
    pub fn bystander_is_nominal(&self) -> Result<()> {
        let scope = self.cgroup("bystander").scope();
        let raised = |seen: &Seen| seen.verdict.scope.path == scope && seen.verdict.level >= Level::Watch;
        match self.agent.verdicts().into_iter().find(raised) {
            None => Ok(()),
            Some(seen) => bail!("the bystander did nothing: {}", seen.line),
        }
    }

    /// Ends the agent.
    ///
    /// # Errors
    /// It does not end well.
    pub fn end(&mut self) -> Result<Ended> {
        let ended = self.agent.end(Kill::SIGTERM)?;
        ensure!(
            ended.code == Some(0),
            "the agent ended with {}: {:?}",
            ended.ending,
            ended.stderr
        );
        Ok(ended)
    }

    fn ours(&self) -> Vec<Seen> {
        let scopes = self.services.scopes();
        let verdicts = self.agent.verdicts().into_iter();
        verdicts
            .filter(|seen| scopes.contains(&seen.verdict.scope.path))
            .collect()
    }

    fn said(&self) -> Vec<String> {
        let summary = |seen: Seen| {
            let verdict = seen.verdict;
            format!(
                "{} {} {}: {}",
                verdict.scope.path,
                verdict.signal.name(),
                verdict.level.name(),
                verdict.summary
            )
        };
        self.ours()
            .into_iter()
            .map(summary)
            .chain(self.agent.stderr())
            .collect()
    }
}
