//! Where the programs under test and the tools of the host are.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

/// The agent: `SENTINEL_BIN`, or `sentinel` beside or above the running test.
///
/// # Errors
/// It has not been built.
pub fn sentinel() -> Result<PathBuf> {
    program("SENTINEL_BIN", "sentinel").context("build it with `cargo build --package sentinel`")
}

/// The workload: `SENTINEL_WORKLOAD_BIN`, or `sentinel-workload` beside or above the running test.
///
/// # Errors
/// It has not been built.
pub fn workload() -> Result<PathBuf> {
    program("SENTINEL_WORKLOAD_BIN", "sentinel-workload")
        .context("build it with `cargo build --package sentinel-tests`")
}

fn program(variable: &str, name: &str) -> Result<PathBuf> {
    if let Some(path) = env::var_os(variable) {
        let path = PathBuf::from(path);
        if !path.is_file() {
            bail!("{variable} names {}, which is not a file", path.display());
        }
        return Ok(path.canonicalize()?);
    }
    let test = env::current_exe()?;
    test.ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("no `{name}` beside or above {}", test.display()))
}

/// A tool of the host, looked up in `PATH` and in the system directories.
///
/// # Errors
/// It is not installed; says which package has it.
pub fn tool(name: &str, package: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("`{name}` is not installed: `apt-get install {package}`"))
}

/// Where cgroup v2 is mounted.
///
/// # Errors
/// It is not mounted.
pub fn cgroup2() -> Result<PathBuf> {
    procfs::process::Process::myself()?
        .mountinfo()?
        .into_iter()
        .find(|mount| mount.fs_type == "cgroup2")
        .map(|mount| mount.mount_point)
        .context("cgroup v2 is not mounted: `mount -t cgroup2 none /sys/fs/cgroup`")
}

/// Where bpffs is, mounted or not.
#[must_use]
pub fn bpffs() -> &'static Path {
    Path::new("/sys/fs/bpf")
}
