//! Many cgroups in which nothing happens any more: each was entered once, so that sentinel knows it.

use std::{path::PathBuf, process::Command, process::Stdio, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    cgroup::{Cgroup, Family},
    paths,
    process::Process,
};

/// Moving a task takes the kernel about a millisecond.
const LIMIT: Duration = Duration::from_secs(150);

/// cgroups; they go with this value.
#[derive(Debug)]
pub struct Crowd {
    _cgroups: Vec<Cgroup>,
    dir: PathBuf,
    home: PathBuf,
    _family: Family,
}

impl Crowd {
    /// Makes so many.
    ///
    /// # Errors
    /// cgroup v2 is not mounted or not writable.
    pub fn new(count: usize) -> Result<Self> {
        let family = Family::new()?;
        let cgroups = (0..count)
            .map(|number| family.cgroup(&format!("crowd-{number}")))
            .collect::<Result<Vec<_>>>()?;
        let mount = paths::cgroup2()?;
        Ok(Self {
            dir: mount.join(family.scope().trim_start_matches('/')),
            home: mount,
            _cgroups: cgroups,
            _family: family,
        })
    }

    /// Lets a task run in each.
    ///
    /// # Errors
    /// The task says why.
    pub fn visit(&self) -> Result<()> {
        let mut command = Command::new(paths::workload()?);
        command
            .arg("wander")
            .arg("--through")
            .arg(&self.dir)
            .arg("--home")
            .arg(&self.home);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let status = Process::spawn(&mut command)?.wait(LIMIT)?;
        ensure!(status.success(), "the cgroups could not be entered: {status}");
        Ok(())
    }
}
