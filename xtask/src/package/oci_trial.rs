//! Runs the image here, as Kubernetes would: unpacked by one tool, started by a container runtime with the capabilities that
//! are documented and no others, on a root that is read only. Ends and deletes the container it started, whatever happens.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::oci::{CAPABILITIES, PROGRAM, USER};
use crate::{
    apt,
    process::{self, Missing},
};

/// Loading and verifying takes a slow machine some seconds.
const UP_WITHIN: Duration = Duration::from_secs(30);
const DOWN_WITHIN: Duration = Duration::from_secs(15);
/// A container that is forgotten ends by itself.
const LONGEST: &str = "120s";
/// Where the agent on trial answers: no other one is in its way there.
const AT: &str = "unix:/run/sentinel/web.sock";

/// Does all of it.
pub(super) fn run(image: &Path) -> Result<()> {
    let (umoci, runc) = (tool("umoci")?, tool("runc")?);
    let folder = tempfile::tempdir()?;
    let (layout, bundle) = (folder.path().join("layout"), folder.path().join("bundle"));
    fs::create_dir(&layout)?;
    process::run(
        Command::new("tar")
            .arg("--extract")
            .arg("--file")
            .arg(image)
            .arg("--directory")
            .arg(&layout),
    )?;
    let mut unpack = process::as_root(&umoci, &[])?;
    unpack
        .args(["unpack", "--image"])
        .arg(format!("{}:{}", layout.display(), super::deb::VERSION))
        .arg(&bundle);
    process::read(&mut unpack).context("the image cannot be unpacked")?;
    let config = bundle.join("config.json");
    let as_is: Value = serde_json::from_str(&fs::read_to_string(&config)?)?;
    fs::write(&config, as_kubernetes_would(as_is)?.to_string())?;

    let mut container = Container::start(runc, &bundle)?;
    let pid = container.up()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    for (field, wanted) in [
        ("Uid", USER.to_string()),
        ("CapEff", "0000000000000000".into()),
        ("CapBnd", "0000000000000000".into()),
        ("NoNewPrivs", "1".into()),
        ("Seccomp", "2".into()),
    ] {
        let said = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let said = said
            .and_then(|rest| rest.split_whitespace().next())
            .unwrap_or("nothing");
        ensure!(
            said == wanted,
            "{field} of the agent in the container is {said}, not {wanted}"
        );
    }
    container.down()?;
    println!(
        "trial: the image ran on a read-only root with {}, and its agent gave all of them away",
        CAPABILITIES.join(" ")
    );
    Ok(())
}

fn tool(name: &str) -> Result<PathBuf> {
    if process::which(name).is_none() {
        apt::install(&[name], "the image is tried with it")?;
    }
    let missing = || Missing(format!("`{name}` is installed and not on PATH"));
    Ok(process::which(name).ok_or_else(missing)?)
}

/// The container of an image as the DaemonSet has it: processes, network and cgroups of the host.
fn as_kubernetes_would(mut config: Value) -> Result<Value> {
    let args = config["process"]["args"]
        .as_array_mut()
        .context("the image says nothing of what to run")?;
    args.extend(["--duration", LONGEST, "--listen", AT].map(Value::from));
    config["process"]["terminal"] = false.into();
    config["process"]["noNewPrivileges"] = true.into();
    config["process"]["capabilities"] =
        json!({ "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES });
    config["root"]["readonly"] = true.into();
    config["mounts"] = json!([
        { "destination": "/proc", "type": "none", "source": "/proc", "options": ["rbind"] },
        { "destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", "ro"] },
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"] },
        { "destination": "/run/sentinel", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "noexec", "mode=755", "size=1m"] },
    ]);
    config["linux"] = json!({ "namespaces": [{ "type": "mount" }, { "type": "ipc" }] });
    if let Some(whole) = config.as_object_mut() {
        // A name of its own takes a namespace of its own.
        whole.remove("hostname");
    }
    Ok(config)
}

/// A container that runs.
struct Container {
    runc: PathBuf,
    name: String,
    child: Child,
    errors: PathBuf,
}

impl Container {
    fn start(runc: PathBuf, bundle: &Path) -> Result<Self> {
        let name = format!("sentinel-trial-{}", std::process::id());
        let errors = bundle.join("errors");
        let mut command = process::as_root(&runc, &[])?;
        command.args(["run", "--bundle"]).arg(bundle).arg(&name);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&errors)?);
        let child = command
            .spawn()
            .with_context(|| format!("{} could not be started", process::shown(&command)))?;
        Ok(Self {
            runc,
            name,
            child,
            errors,
        })
    }

    fn runc(&self, args: &[&str]) -> Result<String> {
        process::read(process::as_root(&self.runc, &[])?.args(args))
    }

    /// Waits until the agent inside answers; its process id.
    fn up(&mut self) -> Result<u64> {
        let began = process::now();
        loop {
            let answer = self.runc(&["exec", &self.name, PROGRAM, "status", "--json", "--at", AT]);
            if answer.is_ok_and(|answer| answer.contains("\"sentinel.state/1\"")) {
                let state: Value = serde_json::from_str(&self.runc(&["state", &self.name])?)?;
                return state["pid"].as_u64().context("the runtime names no process");
            }
            let ended = self.child.try_wait()?;
            ensure!(
                ended.is_none() && began.elapsed() < UP_WITHIN,
                "the agent in the container does not answer: {}",
                self.said()
            );
            thread::sleep(Duration::from_millis(300));
        }
    }

    /// Tells it to end, and waits for that.
    fn down(&mut self) -> Result<()> {
        self.runc(&["kill", &self.name, "TERM"])?;
        let began = process::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the container ended with {status}: {}", self.said());
                return Ok(());
            }
            ensure!(
                began.elapsed() < DOWN_WITHIN,
                "the agent does not end when it is told to: {}",
                self.said()
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn said(&self) -> String {
        process::tail(&fs::read_to_string(&self.errors).unwrap_or_default(), 5)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = self.runc(&["delete", "--force", &self.name]);
        let _ = self.child.wait();
    }
}
