//! nginx from the distribution as the gateway: it passes a failed attempt on to the next server of the list, which here
//! is the same one again.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::{cgroup::Cgroup, lines::Lines, paths, process::Process, wait, workload::port};

const READY_LIMIT: Duration = Duration::from_secs(5);

/// A proxy that runs in a cgroup; dropping it ends it.
#[derive(Debug)]
pub struct Nginx {
    _process: Process,
    listen: SocketAddr,
    _dir: TempDir,
}

impl Nginx {
    /// Starts it in front of a backend, with so many attempts for each request, and waits until it listens.
    ///
    /// # Errors
    /// It is not installed or does not start.
    pub fn start(cgroup: &Cgroup, backend: SocketAddr, tries: u32, timeout_ms: u32) -> Result<Self> {
        let program = paths::tool("nginx", "nginx-light")?;
        let setpriv = paths::tool("setpriv", "util-linux")?;
        let listen = port::free(IpAddr::from(Ipv4Addr::LOCALHOST))?;
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("nginx.conf");
        fs::write(&file, config(dir.path(), listen, backend, tries, timeout_ms))?;
        // A test that was killed takes its proxy with it.
        let mut command = cgroup.command(setpriv);
        command.args(["--pdeathsig", "KILL"]).arg(program);
        command.arg("-p").arg(dir.path()).arg("-c").arg(&file);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let said = Lines::read(process.child().stderr.take().context("nginx has no stderr")?);
        let ready = wait::until_true(READY_LIMIT, || {
            TcpStream::connect(listen).is_ok() || process.ended().is_ok_and(|status| status.is_some())
        });
        if !ready || process.ended()?.is_some() {
            bail!("nginx does not listen on {listen}: {:?}", said.texts());
        }
        Ok(Self {
            _process: process,
            listen,
            _dir: dir,
        })
    }

    /// Where requests go.
    #[must_use]
    pub const fn listen(&self) -> SocketAddr {
        self.listen
    }
}

/// `max_fails=0`: with nginx's default a server that failed once is left out for ten seconds, which is a veto of its own.
fn config(dir: &Path, listen: SocketAddr, backend: SocketAddr, tries: u32, timeout_ms: u32) -> String {
    let servers = format!("        server {backend} max_fails=0;\n").repeat(tries as usize);
    let dir = dir.display();
    format!(
        "daemon off;
master_process off;
worker_processes 1;
pid {dir}/pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    upstream stock {{
{servers}    }}
    server {{
        listen {listen};
        location / {{
            proxy_pass http://stock;
            proxy_connect_timeout {timeout_ms}ms;
            proxy_read_timeout {timeout_ms}ms;
            proxy_next_upstream error timeout http_502 http_503 http_504;
            proxy_next_upstream_tries {tries};
        }}
    }}
}}
"
    )
}
