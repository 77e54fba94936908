//! The stage of a trial: one agent for all its runs, and what it measured if that is to be kept.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use nix::sys::signal::Signal;

use crate::agent::{Agent, Options};

use super::recording::Recording;

/// Every scope of a trial has this in its path.
const OURS: &str = "sentinel-tests-";
/// The agent looks at an idle host before the first run.
const WARM_UP: Duration = Duration::from_secs(4);

/// What is kept of a trial.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// Where recordings go; none are made without it.
    pub dir: Option<PathBuf>,
}

/// What the agent is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// Changes, about every scope of the host.
    Changes,
    /// Everything at every reading, about scopes of the trial.
    Everything,
}

/// A running agent.
#[derive(Debug)]
pub struct Stage {
    /// The agent.
    pub agent: Agent,
    recording: Option<Recording>,
}

impl Stage {
    /// Starts the agent and lets it warm up; it ends by itself after `limit`.
    ///
    /// # Errors
    /// It does not start or does not stay.
    pub fn open(name: &str, limit: Duration, says: Says, keep: &Keep) -> Result<Self> {
        let recording = keep.dir.as_deref().map(|dir| Recording::new(dir, name)).transpose()?;
        let mut stage = Self::start(limit, says, recording)?;
        stage.agent.warm_up(WARM_UP)?;
        Ok(stage)
    }

    /// Starts an agent that keeps what it measures, without the warm-up.
    ///
    /// # Errors
    /// It does not start.
    pub fn recording(limit: Duration, says: Says, recording: Recording) -> Result<Self> {
        Self::start(limit, says, Some(recording))
    }

    fn start(limit: Duration, says: Says, recording: Option<Recording>) -> Result<Self> {
        let mut options = Options::new()?.duration(limit).arg("--no-journal");
        if says == Says::Everything {
            options = options.arg("--every-tick").only_about(OURS);
        }
        if let Some(recording) = &recording {
            options = options.arg("--record").arg(recording.raw());
        }
        Ok(Self {
            agent: options.start()?,
            recording,
        })
    }

    /// Ends the agent and packs what it measured; where that is, and the beginning of its first reading.
    ///
    /// # Errors
    /// It does not end, or what it measured cannot be written.
    pub fn close(mut self) -> Result<Option<(Recording, u64)>> {
        let ended = self.agent.end(Signal::SIGTERM)?;
        anyhow::ensure!(
            ended.code == Some(0),
            "the agent ended with {}: {:?}",
            ended.ending,
            ended.stderr
        );
        let Some(recording) = self.recording else {
            return Ok(None);
        };
        let begin_ns = recording.pack()?;
        Ok(Some((recording, begin_ns)))
    }
}
