//! A real Prometheus with the rules of `deploy/`, that scrapes one agent; gone with its guard.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{http, invoke, paths, process::Process, wait};

const LIMIT: Duration = Duration::from_secs(20);

/// The rules as they are shipped.
pub const RULES: &str = include_str!("../../deploy/alerts.yml");
/// The dashboard as it is shipped.
pub const DASHBOARD: &str = include_str!("../../deploy/dashboard.json");

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    _process: Process,
    _dir: TempDir,
}

/// `promtool check rules`, with every lint an error.
///
/// # Errors
/// The rules do not pass.
pub fn check_rules(rules: &Path) -> Result<()> {
    let promtool = paths::tool("promtool", "prometheus")?;
    let mut command = Command::new(promtool);
    command
        .args(["check", "rules", "--lint=all", "--lint-fatal"])
        .arg(rules);
    let ended = invoke::finish(&mut command, LIMIT)?;
    println!("{}", ended.stdout.join(" "));
    ensure!(ended.code == Some(0), "{:?} {:?}", ended.stdout, ended.stderr);
    Ok(())
}

impl Prometheus {
    /// Starts one that scrapes `agent` each second and evaluates the rules as often.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start(agent: SocketAddr) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("alerts.yml"), RULES)?;
        let config = format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: [alerts.yml]\nscrape_configs:\n  \
             - job_name: sentinel\n    static_configs:\n      - targets: ['{agent}']\n"
        );
        let file = dir.path().join("prometheus.yml");
        fs::write(&file, config)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(paths::tool("prometheus", "prometheus")?);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let prometheus = Self {
            address,
            _process: Process::spawn(&mut command)?,
            _dir: dir,
        };
        let ready = || {
            http::get(address, "/-/ready")
                .ok()
                .filter(|answer| answer.status == 200)
        };
        wait::until(LIMIT, ready).context("Prometheus does not start")?;
        Ok(prometheus)
    }

    /// What a query gives now.
    ///
    /// # Errors
    /// It is refused.
    pub fn query(&self, query: &str) -> Result<Vec<Value>> {
        let answer = http::get(self.address, &format!("/api/v1/query?query={}", encoded(query)))?;
        let json: Value = serde_json::from_str(&body(&answer.body))?;
        ensure!(json["status"] == "success", "{query}: {json}");
        Ok(json["data"]["result"].as_array().cloned().unwrap_or_default())
    }

    /// Names of alerts that fire now, each with the scope it is about.
    ///
    /// # Errors
    /// It does not answer.
    pub fn firing(&self) -> Result<Vec<(String, String)>> {
        let found = self.query("ALERTS{alertstate=\"firing\"}")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(found
            .iter()
            .map(|alert| (text(&alert["metric"]["alertname"]), text(&alert["metric"]["scope"])))
            .collect())
    }
}

/// The text of a body, also of one in chunks.
fn body(text: &str) -> String {
    match text.find('{') {
        Some(start) if !text.starts_with('{') => {
            let mut rest = text;
            let mut whole = String::new();
            while let Some((length, after)) = rest.split_once("\r\n") {
                let Ok(length) = usize::from_str_radix(length.trim(), 16) else {
                    break;
                };
                whole.push_str(after.get(..length).unwrap_or_default());
                rest = after.get(length + 2..).unwrap_or_default();
            }
            if whole.is_empty() {
                text[start..].to_owned()
            } else {
                whole
            }
        }
        _ => text.to_owned(),
    }
}

fn encoded(query: &str) -> String {
    query
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                (byte as char).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
