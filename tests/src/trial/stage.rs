//! The stage of a trial: one agent for all its runs, and what it measured if that is to be kept.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use flate2::{Compression, write::GzEncoder};
use nix::sys::signal::Signal;

use crate::agent::{Agent, Options};

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
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    raw: PathBuf,
    packed: PathBuf,
}

impl Stage {
    /// Starts the agent and lets it warm up; it ends by itself after `limit`.
    ///
    /// # Errors
    /// It does not start or does not stay.
    pub fn open(name: &str, limit: Duration, says: Says, keep: &Keep) -> Result<Self> {
        let mut stage = Self::open_cold(name, limit, says, keep)?;
        stage.agent.warm_up(WARM_UP)?;
        Ok(stage)
    }

    /// The same without the warm-up.
    ///
    /// # Errors
    /// It does not start.
    pub fn open_cold(name: &str, limit: Duration, says: Says, keep: &Keep) -> Result<Self> {
        let mut options = Options::new()?.duration(limit).arg("--no-journal");
        if says == Says::Everything {
            options = options.arg("--every-tick").only_about(OURS);
        }
        let kept = keep.dir.as_deref().map(|dir| Kept::new(dir, name)).transpose()?;
        if let Some(kept) = &kept {
            options = options.arg("--record").arg(&kept.raw);
        }
        Ok(Self {
            agent: options.start()?,
            kept,
        })
    }

    /// Ends the agent and packs what it measured.
    ///
    /// # Errors
    /// It does not end, or what it measured cannot be written.
    pub fn close(mut self) -> Result<()> {
        let ended = self.agent.end(Signal::SIGTERM)?;
        anyhow::ensure!(
            ended.code == Some(0),
            "the agent ended with {}: {:?}",
            ended.ending,
            ended.stderr
        );
        self.kept.map_or(Ok(()), |kept| kept.pack())
    }
}

impl Kept {
    fn new(dir: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("the directory {}", dir.display()))?;
        let raw = dir.join(format!("{name}.jsonl"));
        // The agent does not write over a recording.
        let _ = fs::remove_file(&raw);
        Ok(Self {
            packed: dir.join(format!("{name}.jsonl.gz")),
            raw,
        })
    }

    fn pack(&self) -> Result<()> {
        let mut from = File::open(&self.raw).with_context(|| format!("reading {}", self.raw.display()))?;
        let to = File::create(&self.packed).with_context(|| format!("writing {}", self.packed.display()))?;
        let mut packer = GzEncoder::new(to, Compression::best());
        io::copy(&mut from, &mut packer)?;
        packer.finish()?;
        Ok(fs::remove_file(&self.raw)?)
    }
}
