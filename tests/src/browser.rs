//! A browser without a screen, driven through its own driver; gone with its guard.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{paths, process::Process, wait};

const LIMIT: Duration = Duration::from_secs(20);

/// A browser with one window.
pub struct Browser {
    client: Option<Client>,
    runtime: Runtime,
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts one with a window of this size, for a reader who likes it `dark` or `light`.
    ///
    /// # Errors
    /// Chromium or its driver is not there, or does not start.
    pub fn start(width: u32, height: u32, scheme: &str) -> Result<Self> {
        let driver = paths::tool("chromedriver", "chromium-driver")?;
        let chromium = paths::tool("chromium", "chromium")?;
        let profile = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(driver);
        command
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.env("HOME", profile.path());
        let process = Process::spawn(&mut command)?;
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &format!("--window-size={width},{height}"),
            &format!("--user-data-dir={}", profile.path().join("profile").display()),
            // 0 is dark.
            &format!("--blink-settings=preferredColorScheme={}", u8::from(scheme != "dark")),
        ];
        let options = json!({"binary": chromium, "args": args});
        let mut capabilities = serde_json::Map::new();
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({"browser": "ALL"}));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let url = format!("http://127.0.0.1:{port}");
        let connect = || {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities.clone());
            runtime.block_on(builder.connect(&url)).ok()
        };
        let client = wait::until(LIMIT, connect).context("the browser does not start")?;
        runtime.block_on(client.set_window_size(width, height))?;
        Ok(Self {
            client: Some(client),
            runtime,
            _driver: process,
            _profile: profile,
        })
    }

    /// Opens the page of an agent.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&self, address: SocketAddr) -> Result<()> {
        Ok(self
            .runtime
            .block_on(self.client()?.goto(&format!("http://{address}/")))?)
    }

    /// What a script returns.
    ///
    /// # Errors
    /// The script fails.
    pub fn run(&self, script: &str) -> Result<Value> {
        Ok(self.runtime.block_on(self.client()?.execute(script, Vec::new()))?)
    }

    /// Waits until a script returns something that is true; how long that took.
    ///
    /// # Errors
    /// It does not within `limit`.
    pub fn until(&self, limit: Duration, script: &str) -> Result<Duration> {
        let began_ns = wait::now_ns();
        let holds = || self.run(script).ok().filter(|value| value.as_bool() == Some(true));
        wait::until(limit, holds)
            .with_context(|| format!("not within {limit:?}: {script}; the page says {:?}", self.text("body")))?;
        Ok(Duration::from_nanos(wait::now_ns() - began_ns))
    }

    /// The text that a reader sees in an element.
    ///
    /// # Errors
    /// There is no such element.
    pub fn text(&self, css: &str) -> Result<String> {
        let client = self.client()?;
        Ok(self
            .runtime
            .block_on(async { client.find(Locator::Css(css)).await?.text().await })?)
    }

    /// Clicks an element.
    ///
    /// # Errors
    /// There is none, or something lies over it.
    pub fn click(&self, css: &str) -> Result<()> {
        let client = self.client()?;
        Ok(self
            .runtime
            .block_on(async { client.find(Locator::Css(css)).await?.click().await })?)
    }

    /// Types into an element.
    ///
    /// # Errors
    /// There is none that takes it.
    pub fn write(&self, css: &str, text: &str) -> Result<()> {
        let client = self.client()?;
        Ok(self
            .runtime
            .block_on(async { client.find(Locator::Css(css)).await?.send_keys(text).await })?)
    }

    /// A picture of the window, as PNG.
    ///
    /// # Errors
    /// It cannot be taken or written.
    pub fn picture(&self, file: &Path) -> Result<()> {
        Ok(fs::write(file, self.runtime.block_on(self.client()?.screenshot())?)?)
    }

    fn client(&self) -> Result<&Client> {
        self.client.as_ref().context("the browser is closed")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            let _ = self.runtime.block_on(client.close());
        }
    }
}
