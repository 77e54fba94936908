//! HAProxy from the distribution, retrying as it is often set up: on every failure, on another server each time.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::{cgroup::Cgroup, lines::Lines, paths, process::Process, wait, workload::port};

const READY_LIMIT: Duration = Duration::from_secs(5);
/// Time after which an attempt is given up.
const TIMEOUT_MS: u32 = 100;
/// Retries of one request; HAProxy's own default.
pub const RETRIES: u32 = 3;

/// A proxy that runs in a cgroup; dropping it ends it.
#[derive(Debug)]
pub struct Haproxy {
    _process: Process,
    frontend: SocketAddr,
    _dir: TempDir,
}

impl Haproxy {
    /// Starts it in front of these backends and waits until it listens. One backend may be given several times: HAProxy
    /// waits a second before it tries the same server again, but not before it tries the next.
    ///
    /// # Errors
    /// It is not installed or does not start.
    pub fn start(cgroup: &Cgroup, backends: &[SocketAddr]) -> Result<Self> {
        Self::start_with(cgroup, backends, TIMEOUT_MS)
    }

    /// The same with another time after which an attempt is given up, milliseconds.
    ///
    /// # Errors
    /// It is not installed or does not start.
    pub fn start_with(cgroup: &Cgroup, backends: &[SocketAddr], timeout_ms: u32) -> Result<Self> {
        let program = paths::tool("haproxy", "haproxy")?;
        let setpriv = paths::tool("setpriv", "util-linux")?;
        let frontend = port::free(IpAddr::from(Ipv4Addr::LOCALHOST))?;
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("haproxy.cfg");
        fs::write(&file, config(frontend, backends, timeout_ms))?;
        // A test that was killed takes its proxy with it. `-db`: in the foreground, one process.
        let mut command = cgroup.command(setpriv);
        command
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .arg("-db")
            .arg("-f")
            .arg(&file);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let said = Lines::read(process.child().stderr.take().context("haproxy has no stderr")?);
        let ready = wait::until_true(READY_LIMIT, || {
            TcpStream::connect(frontend).is_ok() || process.ended().is_ok_and(|status| status.is_some())
        });
        if !ready || process.ended()?.is_some() {
            bail!("haproxy does not listen on {frontend}: {:?}", said.texts());
        }
        Ok(Self {
            _process: process,
            frontend,
            _dir: dir,
        })
    }

    /// Where requests go.
    #[must_use]
    pub const fn frontend(&self) -> SocketAddr {
        self.frontend
    }
}

fn config(frontend: SocketAddr, backends: &[SocketAddr], timeout_ms: u32) -> String {
    let mut text = format!(
        "global
    maxconn 512
    nbthread 1
defaults
    mode http
    timeout connect {timeout_ms}ms
    timeout client 5s
    timeout server {timeout_ms}ms
    timeout queue 1s
    retries {RETRIES}
    option redispatch 1
    retry-on all-retryable-errors
frontend shop
    bind {frontend}
    default_backend stock
backend stock
    balance roundrobin
"
    );
    for (index, backend) in backends.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    server stock{index} {backend}");
    }
    text
}
