//! The container image: the agent and the few libraries it needs, from scratch, as an OCI image layout in one archive. Two
//! builds of the same agent give the same bytes. Takes no daemon, and never fetches a base image.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::deb::{self, put};
use crate::{process, workspace::Workspace};

/// What the agent needs to start with as root in a container. It loads and attaches with the first three, becomes its user
/// with the next two and gives that user its folder with the last but one; the last one lets it empty the bounding set.
pub(super) const CAPABILITIES: [&str; 7] = [
    "CAP_BPF",
    "CAP_PERFMON",
    "CAP_NET_ADMIN",
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_CHOWN",
    "CAP_SETPCAP",
];
/// Whom the agent becomes.
pub(super) const USER: u32 = 65532;
/// Where the agent lies.
pub(super) const PROGRAM: &str = "/usr/bin/sentinel";
const USERS: &str = "root:x:0:0:root:/:/sbin/nologin\nsentinel:x:65532:65532:sentinel:/:/sbin/nologin\n";
const GROUPS: &str = "root:x:0:\nsentinel:x:65532:\n";
/// Folders that something is mounted on.
const MOUNT_POINTS: [&str; 6] = ["proc", "sys", "dev", "tmp", "run/sentinel", "var/lib/sentinel"];

/// Builds it in a folder; returns the archive.
pub(super) fn build(workspace: &Workspace, agent: &Path, folder: &Path) -> Result<PathBuf> {
    let (stage, layout) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let seconds = deb::date(workspace);
    fill(workspace, agent, stage.path())?;
    let blobs = Blobs::new(layout.path())?;
    let layer = layout.path().join("layer.tar");
    archive(stage.path(), &layer, &seconds)?;
    let uncompressed = digest(&layer)?;
    process::run(Command::new("gzip").args(["-9", "-n"]).arg(&layer))?;
    let layer = blobs.take(
        &layer.with_extension("tar.gz"),
        "application/vnd.oci.image.layer.v1.tar+gzip",
    )?;
    let architecture = process::read(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    let made = process::read(
        Command::new("date")
            .args(["--utc", "+%FT%TZ", "--date"])
            .arg(format!("@{seconds}")),
    )?;
    let config = blobs.write(
        &config(architecture, made.trim(), &uncompressed),
        "application/vnd.oci.image.config.v1+json",
    )?;
    let mut manifest = blobs.write(
        &json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": [layer],
        }),
        "application/vnd.oci.image.manifest.v1+json",
    )?;
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": deb::VERSION });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.path().join("index.json"), index.to_string())?;
    fs::write(
        layout.path().join("oci-layout"),
        json!({ "imageLayoutVersion": "1.0.0" }).to_string(),
    )?;
    fs::create_dir_all(folder)?;
    let file = folder.join(format!("{}_{}_{architecture}.oci.tar", deb::NAME, deb::VERSION));
    archive(layout.path(), &file, &seconds)?;
    println!("image: {} ({} KiB)", file.display(), fs::metadata(&file)?.len() / 1024);
    Ok(file)
}

fn fill(workspace: &Workspace, agent: &Path, stage: &Path) -> Result<()> {
    put(stage, &PROGRAM[1..], 0o755, &fs::read(agent)?)?;
    for library in libraries(&process::read(Command::new("ldd").arg(agent))?) {
        let bytes = fs::read(library).with_context(|| format!("the library {library}"))?;
        put(stage, library.trim_start_matches('/'), 0o755, &bytes)?;
    }
    let configuration = fs::read(workspace.root().join("deploy/sentinel.toml"))?;
    put(stage, "etc/sentinel/sentinel.toml", 0o644, &configuration)?;
    put(stage, "etc/passwd", 0o644, USERS.as_bytes())?;
    put(stage, "etc/group", 0o644, GROUPS.as_bytes())?;
    let license = fs::read(workspace.root().join("LICENSE"))?;
    put(stage, "usr/share/doc/sentinel/copyright", 0o644, &license)?;
    for folder in MOUNT_POINTS {
        fs::create_dir_all(stage.join(folder))?;
        deb::open_to_all(stage, &stage.join(folder))?;
    }
    Ok(())
}

/// The files in what the loader says of a program; the one of the kernel has none.
fn libraries(said: &str) -> Vec<&str> {
    let paths = said.lines().filter_map(|line| {
        let line = line.split_once("=>").map_or(line, |(_, path)| path);
        line.split_whitespace().next().filter(|path| path.starts_with('/'))
    });
    paths.collect()
}

fn config(architecture: &str, made: &str, layer: &str) -> Value {
    json!({
        "created": made,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": [PROGRAM],
            "Cmd": ["run", "--output", "json", "--no-journal"],
            "Env": ["PATH=/usr/bin"],
            "WorkingDir": "/",
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": deb::NAME,
                "org.opencontainers.image.version": deb::VERSION,
                "org.opencontainers.image.description": "names the service that is about to fail",
                "org.opencontainers.image.licenses": "MIT AND (MIT OR GPL-2.0-only)",
                "sentinel.capabilities": CAPABILITIES.join(" "),
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [layer] },
        "history": [{ "created": made, "created_by": "cargo xtask package" }],
    })
}

/// The folder of a layout in which everything lies by its digest.
struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    fn new(layout: &Path) -> Result<Self> {
        let folder = layout.join("blobs").join("sha256");
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Moves a file there; returns what points to it.
    fn take(&self, file: &Path, media_type: &str) -> Result<Value> {
        let (digest, size) = (digest(file)?, fs::metadata(file)?.len());
        fs::rename(file, self.folder.join(digest.trim_start_matches("sha256:")))?;
        Ok(json!({ "mediaType": media_type, "digest": digest, "size": size }))
    }

    fn write(&self, value: &Value, media_type: &str) -> Result<Value> {
        let file = self.folder.join("new");
        fs::write(&file, value.to_string())?;
        self.take(&file, media_type)
    }
}

fn digest(file: &Path) -> Result<String> {
    let said = process::read(Command::new("sha256sum").arg(file))?;
    let sum = said.split_whitespace().next().context("`sha256sum` says nothing")?;
    ensure!(sum.len() == 64, "{sum:?} is no SHA-256");
    Ok(format!("sha256:{sum}"))
}

/// A folder as an archive that depends on names and contents only.
fn archive(folder: &Path, file: &Path, seconds: &str) -> Result<()> {
    // What is made while reading must not be read.
    let whole = tempfile::NamedTempFile::new()?;
    let mut command = Command::new("tar");
    command.args([
        "--create",
        "--format=ustar",
        "--sort=name",
        "--numeric-owner",
        "--owner=0",
        "--group=0",
    ]);
    command
        .arg(format!("--mtime=@{seconds}"))
        .arg("--file")
        .arg(whole.path());
    command
        .arg("--directory")
        .arg(folder)
        .args(["--transform=s,^\\./,,", "."]);
    process::run(&mut command)?;
    fs::copy(whole.path(), file).with_context(|| format!("writing {}", file.display()))?;
    Ok(fs::set_permissions(file, Permissions::from_mode(0o644))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_files_and_that_of_the_kernel_is_none() {
        let said = "\tlinux-vdso.so.1 (0x00007f07f0f8e000)\n\tlibm.so.6 => /lib/libm.so.6 (0x00007f07f0320000)\n\t\
            libgone.so => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f07f0f90000)\n";
        assert_eq!(libraries(said), ["/lib/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]);
    }
}
