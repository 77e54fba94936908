//! A shop: a proxy in front of a backend under an open-loop load, whose backend can be made to fail.

use anyhow::Result;

use crate::{haproxy::Haproxy, scene::Scene, services::Services, wait, workload::Workload};

/// Longer than any scene.
const SECONDS: &str = "90";
/// Lines of the one backend in the proxy's configuration: it tries the next at once.
const LINES: usize = 4;

/// The services a shop needs in a scene: client, proxy, backend.
pub const SERVICES: [&str; 3] = ["client", "shop", "stock"];

/// A running shop; dropping it closes it.
#[derive(Debug)]
pub struct Shop {
    _client: Workload,
    _proxy: Haproxy,
    backend: Workload,
}

impl Shop {
    /// Opens it in the cgroups of a scene that has its [`SERVICES`].
    ///
    /// # Errors
    /// Something could not be started.
    pub fn open(scene: &Scene, load: &[&str]) -> Result<Self> {
        Self::open_with(scene, load, &[])
    }

    /// The same with more arguments for the backend.
    ///
    /// # Errors
    /// Something could not be started.
    pub fn open_with(scene: &Scene, load: &[&str], backend: &[&str]) -> Result<Self> {
        Self::open_among(&scene.services, load, backend)
    }

    /// The same without a scene.
    ///
    /// # Errors
    /// Something could not be started.
    pub fn open_among(services: &Services, load: &[&str], backend: &[&str]) -> Result<Self> {
        let args = [&["http-backend", "--seconds", SECONDS], backend].concat();
        let backend = Workload::start(services.cgroup("stock"), &args)?;
        let proxy = Haproxy::start(services.cgroup("shop"), &[backend.listen()?; LINES])?;
        let to = proxy.frontend().to_string();
        let args = [&["http-client", "--seconds", SECONDS, "--to", &to], load].concat();
        let client = Workload::start(services.cgroup("client"), &args)?;
        Ok(Self {
            _client: client,
            _proxy: proxy,
            backend,
        })
    }

    /// When the backend was started, `CLOCK_MONOTONIC`, nanoseconds.
    #[must_use]
    pub const fn opened_ns(&self) -> u64 {
        self.backend.onset_ns()
    }

    /// Kills the backend: from now on its port refuses. Returns when that was.
    ///
    /// # Errors
    /// It could not be killed.
    pub fn lose_backend(&mut self) -> Result<u64> {
        let onset_ns = wait::now_ns();
        self.backend.kill()?;
        Ok(onset_ns)
    }
}
