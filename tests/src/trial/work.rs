//! Ordinary work of a machine: builds, packages, tests, files. Each piece is real programs in a cgroup of its own, on
//! files in a scratch directory; nothing is installed and nothing outside of it is changed.

use std::{ffi::OsString, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{cgroup::Cgroup, process::Process, wait};

/// A piece of work.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Its name, and that of its cgroup.
    pub name: &'static str,
    /// Lines for a shell, in an empty scratch directory. `$JOBS` is the number of CPUs, `$SOURCE` this workspace.
    script: &'static str,
}

/// A full build of the agent with as many jobs as CPUs.
pub const BUILD: Work = Work {
    name: "build",
    script: "cargo build --offline --quiet --jobs $JOBS --manifest-path $SOURCE/Cargo.toml --target-dir target --package sentinel",
};
/// Packages fetched from the distribution, unpacked and brought to disk.
pub const PACKAGES: Work = Work {
    name: "packages",
    script: "apt-get -qq -o APT::Sandbox::User=root download vim-runtime perl-modules-5.36 git python3.11-minimal binutils-common tzdata
mkdir root
for package in *.deb; do dpkg-deb --extract $package root; sync; done",
};
/// Unit tests, built and run.
pub const TESTS: Work = Work {
    name: "tests",
    script: "cargo test --offline --quiet --jobs $JOBS --manifest-path $SOURCE/Cargo.toml --target-dir target --package sentinel --lib",
};
/// A search, an archive, a compression.
pub const FILES: Work = Work {
    name: "files",
    script: "find /usr -xdev -type f -name '*.h' | sort > found
tar --create --file all.tar --ignore-failed-read /usr/share /usr/include 2>/dev/null
gzip --fast --keep all.tar
sha256sum all.tar.gz > sum",
};

/// All of it.
pub const ALL: [Work; 4] = [BUILD, PACKAGES, TESTS, FILES];

/// A piece of work that is being done; dropping it ends it.
#[derive(Debug)]
pub struct Running {
    process: Process,
    _scratch: TempDir,
}

impl Work {
    /// Starts it in a cgroup.
    ///
    /// # Errors
    /// There is no shell or no place for its files.
    pub fn start(&self, cgroup: &Cgroup) -> Result<Running> {
        let scratch = tempfile::tempdir()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a workspace")?;
        let jobs = std::thread::available_parallelism()?.get().to_string();
        let mut command = cgroup.command("/bin/sh");
        // A test that was killed must not leave a build behind: its cgroup is swept.
        command.args(["-ec", self.script]).current_dir(scratch.path());
        command.env("JOBS", OsString::from(jobs)).env("SOURCE", source);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Running {
            process: Process::spawn(&mut command)?,
            _scratch: scratch,
        })
    }
}

impl Running {
    /// Lets it go on for so long; whether it ended well, `None` while it runs.
    ///
    /// # Errors
    /// It could not be waited for.
    pub fn go_on(&mut self, limit: Duration) -> Result<Option<bool>> {
        let ended = wait::until(limit, || self.process.ended().transpose());
        Ok(ended.transpose()?.map(|status| status.success()))
    }
}
