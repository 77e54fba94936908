//! A process that goes through many cgroups, so that each has been on a CPU once. It ends where it began.

use std::{fs, path::PathBuf, thread, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;

use super::{ready, report};

/// Long enough to leave the CPU, which is what the scheduler's sensor counts.
const STAY: Duration = Duration::from_micros(1);

/// One visit to each cgroup of a directory.
#[derive(Debug, Args)]
pub struct Wander {
    /// The directory.
    #[arg(long)]
    through: PathBuf,
    /// Where to go back to.
    #[arg(long)]
    home: PathBuf,
}

impl Wander {
    pub(super) fn run(self) -> Result<()> {
        ready();
        let mut visited = 0_u64;
        for entry in fs::read_dir(&self.through)?.flatten() {
            let file = entry.path().join("cgroup.procs");
            if file.is_file() {
                fs::write(&file, "0").with_context(|| format!("entering by {}", file.display()))?;
                thread::sleep(STAY);
                visited += 1;
            }
        }
        fs::write(self.home.join("cgroup.procs"), "0")?;
        report(json!({ "visited": visited }));
        Ok(())
    }
}
