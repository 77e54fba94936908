//! The Debian package: which file goes where, what it depends on, and what its scripts do. Two builds of the same agent give
//! the same bytes.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{process, workspace::Workspace};

pub(super) const NAME: &str = "sentinel";
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Files of the repository, and where they are installed.
const FILES: [(&str, &str); 8] = [
    ("deploy/sentinel.toml", "etc/sentinel/sentinel.toml"),
    ("deploy/sentinel.service", "usr/lib/systemd/system/sentinel.service"),
    ("deploy/sentinel.sysusers", "usr/lib/sysusers.d/sentinel.conf"),
    ("LICENSE", "usr/share/doc/sentinel/copyright"),
    ("README.md", "usr/share/doc/sentinel/README.md"),
    ("docs/CHANGELOG.md", "usr/share/doc/sentinel/NEWS.md"),
    ("deploy/alerts.yml", "usr/share/doc/sentinel/examples/alerts.yml"),
    (
        "deploy/dashboard.json",
        "usr/share/doc/sentinel/examples/dashboard.json",
    ),
];

/// What the agent says about itself, and where that is installed.
const SAID: [(&[&str], &str); 3] = [
    (
        &["completions", "bash"],
        "usr/share/bash-completion/completions/sentinel",
    ),
    (&["completions", "zsh"], "usr/share/zsh/vendor-completions/_sentinel"),
    (
        &["completions", "fish"],
        "usr/share/fish/vendor_completions.d/sentinel.fish",
    ),
];

/// Where its manual pages are installed.
const MANUAL: &str = "usr/share/man/man1";

const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Builds it in a folder; returns the file.
pub(super) fn build(workspace: &Workspace, agent: &Path, folder: &Path) -> Result<PathBuf> {
    let tool = process::which("dpkg-deb").ok_or_else(|| {
        process::Missing("a package is made by `dpkg-deb`: `apt-get install dpkg` (Debian, Ubuntu)".into())
    })?;
    let architecture = process::read(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    fs::create_dir_all(folder)?;
    let stage = tempfile::tempdir()?;
    fill(workspace, agent, stage.path())?;
    control(workspace, agent, architecture, stage.path())?;
    let file = folder.join(format!("{NAME}_{VERSION}_{architecture}.deb"));
    let mut command = Command::new(tool);
    command
        .env("SOURCE_DATE_EPOCH", date(workspace))
        .args(["--root-owner-group", "-Zxz", "--build"])
        .args([stage.path(), &file]);
    process::read(&mut command)?;
    println!(
        "package: {} ({} KiB)",
        file.display(),
        fs::metadata(&file)?.len() / 1024
    );
    Ok(file)
}

/// Seconds since 1970 for whatever needs a date: of the last commit, unless somebody says otherwise.
pub(super) fn date(workspace: &Workspace) -> String {
    let said = std::env::var("SOURCE_DATE_EPOCH").ok();
    let mut commit = Command::new("git");
    commit.args(["log", "-1", "--format=%ct"]).current_dir(workspace.root());
    said.or_else(|| process::read(&mut commit).ok())
        .map_or_else(|| "0".into(), |text| text.trim().to_owned())
}

fn fill(workspace: &Workspace, agent: &Path, stage: &Path) -> Result<()> {
    put(stage, "usr/bin/sentinel", 0o755, &fs::read(agent)?)?;
    for (from, to) in FILES {
        let text = fs::read(workspace.root().join(from)).with_context(|| format!("{from} cannot be read"))?;
        put(stage, to, 0o644, &text)?;
    }
    for (args, to) in SAID {
        let text = process::read(Command::new(agent).args(args))?;
        put(stage, to, 0o644, text.as_bytes())?;
    }
    let manual = stage.join(MANUAL);
    fs::create_dir_all(&manual)?;
    process::read(Command::new(agent).args(["man", "--dir"]).arg(&manual))?;
    for page in fs::read_dir(&manual)?.flatten().map(|entry| entry.path()) {
        fs::set_permissions(&page, Permissions::from_mode(0o644))?;
        // Compressed without name and time, so that they are the same each time.
        process::run(Command::new("gzip").args(["-9", "-n"]).arg(&page))?;
    }
    open_to_all(stage, &manual)
}

fn control(workspace: &Workspace, agent: &Path, architecture: &str, stage: &Path) -> Result<()> {
    let libc = newest_glibc(&fs::read(agent)?)
        .with_context(|| format!("{} names no version of the C library", agent.display()))?;
    let kib = size_kib(stage)?;
    let text = format!(
        "Package: {NAME}\n\
         Version: {VERSION}\n\
         Architecture: {architecture}\n\
         Maintainer: sentinel maintainers <sentinel@localhost>\n\
         Installed-Size: {kib}\n\
         Depends: libc6 (>= {libc}), libgcc-s1\n\
         Recommends: systemd\n\
         Suggests: prometheus\n\
         Section: admin\n\
         Priority: optional\n\
         Description: names the service that is about to fail\n \
         sentinel watches run-queues, page allocations and sockets of a Linux host through\n \
         eBPF, per cgroup, and says in the journal which service thrashes, leaks or storms.\n \
         It only observes until its configuration says otherwise. Needs Linux 5.10 or later\n \
         with type information (CONFIG_DEBUG_INFO_BTF).\n"
    );
    put(stage, "DEBIAN/control", 0o644, text.as_bytes())?;
    put(stage, "DEBIAN/conffiles", 0o644, b"/etc/sentinel/sentinel.toml\n")?;
    for script in SCRIPTS {
        let text = fs::read(workspace.root().join("deploy/debian").join(script))?;
        put(stage, &format!("DEBIAN/{script}"), 0o755, &text)?;
    }
    Ok(())
}

/// Writes a file of a package.
pub(super) fn put(stage: &Path, to: &str, mode: u32, text: &[u8]) -> Result<()> {
    let file = stage.join(to);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
        open_to_all(stage, folder)?;
    }
    fs::write(&file, text)?;
    Ok(fs::set_permissions(&file, Permissions::from_mode(mode))?)
}

/// Whatever the caller's umask is, everybody may look into a folder of the system.
pub(super) fn open_to_all(stage: &Path, folder: &Path) -> Result<()> {
    for folder in folder.ancestors().take_while(|folder| folder.starts_with(stage)) {
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn size_kib(stage: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in walkdir::WalkDir::new(stage) {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes.div_ceil(1024))
}

/// The newest version of the C library that a program asks for: the linker writes each as `GLIBC_2.34`.
fn newest_glibc(program: &[u8]) -> Result<String> {
    const MARK: &[u8] = b"GLIBC_";
    let mut newest: Option<(u32, u32)> = None;
    for at in (0..program.len().saturating_sub(MARK.len())).filter(|at| program[*at..].starts_with(MARK)) {
        let rest = &program[at + MARK.len()..];
        let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.');
        let text = std::str::from_utf8(&rest[..end.unwrap_or(rest.len())])?;
        let mut parts = text.split('.').map(str::parse);
        if let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) {
            newest = newest.max(Some((major, minor)));
        }
    }
    let Some((major, minor)) = newest else {
        bail!("no GLIBC_x.y in it; is it linked statically?")
    };
    ensure!(major == 2, "version {major} of the C library is not known here");
    Ok(format!("{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_counts_as_a_number_and_private_ones_do_not() {
        let program = b"\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_PRIVATE\0GLIBC_2.17\0GLIBC_";
        assert_eq!(newest_glibc(program).unwrap(), "2.34");
        assert!(newest_glibc(b"nothing").is_err());
    }
}
