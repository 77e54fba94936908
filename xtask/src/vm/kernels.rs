//! Kernel images: fetched once as the distribution's packages, kept in `target/vm/kernels/`. Uses its own package lists,
//! so that the machine's are left alone. Never installs a kernel.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::{Kernel, sources};
use crate::{process, workspace::Workspace};

/// A kernel that can be booted.
pub(super) struct Image {
    /// What the emulator boots.
    pub(super) vmlinuz: PathBuf,
    /// Modules the guest loads: a pair of network interfaces for transfers between namespaces.
    pub(super) modules: Vec<PathBuf>,
}

/// What is taken out of a package.
const WANTED: [&str; 4] = ["*/boot/vmlinuz-*", "*/vmlinuz", "*/net/veth.ko", "*/net/veth.ko.*"];

/// The image of `kernel`, from the cache or from the first suite that has it.
pub(super) fn fetch(workspace: &Workspace, kernel: &Kernel) -> Result<Image> {
    let folder = workspace.vm().join("kernels").join(kernel.name);
    if let Some(image) = cached(&folder) {
        return Ok(image);
    }
    if std::env::consts::ARCH != "x86_64" {
        bail!(
            "the matrix boots x86-64 kernels; on {} run with `--no-vm`",
            std::env::consts::ARCH
        );
    }
    let mut reasons = Vec::new();
    for suite in kernel.suites {
        match from_suite(workspace, kernel, suite, &folder) {
            Ok(image) => return Ok(image),
            Err(error) => reasons.push(format!("  {suite}: {error:#}")),
        }
    }
    bail!(
        "kernel {} could not be fetched:\n{}\nput its vmlinuz at {} by hand, or run with `--no-vm`",
        kernel.name,
        reasons.join("\n"),
        folder.join("vmlinuz").display()
    )
}

fn cached(folder: &Path) -> Option<Image> {
    let vmlinuz = folder.join("vmlinuz");
    let mut modules: Vec<_> = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    modules.retain(|file| file.extension().is_some_and(|extension| extension == "ko"));
    vmlinuz.is_file().then_some(Image { vmlinuz, modules })
}

fn from_suite(workspace: &Workspace, kernel: &Kernel, suite: &str, folder: &Path) -> Result<Image> {
    let mut reasons = Vec::new();
    for entry in sources::entries(suite)? {
        let lists = Lists::new(&workspace.vm().join("apt").join(suite), &entry)?;
        match lists.update().and_then(|()| lists.take(kernel, folder)) {
            Ok(image) => return Ok(image),
            Err(error) => reasons.push(format!("{error:#}")),
        }
    }
    bail!("{}", reasons.join("; then "))
}

/// Package lists of one suite, in a folder of their own.
struct Lists {
    folder: PathBuf,
}

impl Lists {
    fn new(folder: &Path, entry: &str) -> Result<Self> {
        for below in ["sources", "lists/partial", "cache/archives/partial", "packages"] {
            fs::create_dir_all(folder.join(below))
                .with_context(|| format!("creating {below} in {}", folder.display()))?;
        }
        fs::write(folder.join("sources/suite.sources"), entry).context("writing the package source")?;
        Ok(Self {
            folder: folder.to_path_buf(),
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let at = |name: &str| self.folder.join(name).display().to_string();
        for option in [
            "Dir::Etc::sourcelist=/dev/null".to_owned(),
            format!("Dir::Etc::sourceparts={}", at("sources")),
            "Dir::Etc::preferences=/dev/null".into(),
            "Dir::Etc::preferencesparts=/dev/null".into(),
            format!("Dir::State::lists={}", at("lists")),
            format!("Dir::Cache={}", at("cache")),
            // The lists are this user's; an archived suite's date has passed; only package lists are wanted.
            "APT::Sandbox::User=".into(),
            "Acquire::Check-Valid-Until=false".into(),
            "Acquire::Languages=none".into(),
            "Acquire::Retries=3".into(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }

    fn update(&self) -> Result<()> {
        process::read(self.command("apt-get").args(["-q", "--error-on=any", "update"])).map(drop)
    }

    /// Downloads the newest package of the series and keeps what is wanted of it.
    fn take(&self, kernel: &Kernel, folder: &Path) -> Result<Image> {
        let names = process::read(self.command("apt-cache").args(["pkgnames", "linux-"]))?;
        let packages = choose(&names, kernel.name);
        let Some(first) = packages.first() else {
            bail!("no package of a {} kernel for clouds there", kernel.name);
        };
        println!("fetching {}", packages.join(" "));
        let work = tempfile::tempdir_in(self.folder.join("packages")).context("a folder for packages")?;
        process::read(
            self.command("apt-get")
                .args(["-q", "download"])
                .args(&packages)
                .current_dir(work.path()),
        )?;
        let new = work.path().join("new");
        fs::create_dir_all(&new).context("a folder for the kernel")?;
        for entry in fs::read_dir(work.path()).context("the downloaded packages")?.flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "deb") {
                unpack(&entry.path(), &new)?;
            }
        }
        if !new.join("vmlinuz").is_file() {
            bail!("package {first} has no vmlinuz in it");
        }
        fs::create_dir_all(folder.parent().unwrap_or(folder)).context("the folder of kernels")?;
        let _ = fs::remove_dir_all(folder);
        fs::rename(&new, folder).with_context(|| format!("keeping the kernel in {}", folder.display()))?;
        cached(folder).context("the kernel just kept")
    }
}

/// The packages of the newest kernel of `series`: its image, and its modules where they are apart.
fn choose(names: &str, series: &str) -> Vec<String> {
    let of = |kind: &str| {
        let start = format!("linux-{kind}-{series}.");
        names
            .lines()
            .filter_map(|name| name.strip_prefix(&start)?.strip_suffix("-cloud-amd64"))
            .max_by_key(|rest| numbers(rest))
            .map(|rest| format!("{start}{rest}-cloud-amd64"))
    };
    let Some(image) = of("binary").or_else(|| of("image")) else {
        return Vec::new();
    };
    let modules = image.replacen("linux-binary-", "linux-modules-", 1);
    let apart = modules != image && names.lines().any(|name| name == modules);
    [image].into_iter().chain(apart.then_some(modules)).collect()
}

/// Every number in a version, so that 10 is more than 9.
fn numbers(version: &str) -> Vec<u64> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

/// Takes the wanted files out of a package into `folder`, without their paths.
fn unpack(package: &Path, folder: &Path) -> Result<()> {
    let out = tempfile::tempdir_in(folder).context("a folder for unpacking")?;
    let mut archive = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("`dpkg-deb` could not be started")?;
    let pipe = archive.stdout.take().context("the pipe of `dpkg-deb`")?;
    let mut tar = Command::new("tar");
    tar.arg("-x").arg("-C").arg(out.path()).arg("--wildcards").args(WANTED);
    // tar complains about each pattern that a package has nothing for; what counts is what came out.
    tar.stdin(pipe).output().context("`tar` could not be started")?;
    archive.wait().context("waiting for `dpkg-deb`")?;
    for entry in walkdir::WalkDir::new(out.path())
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("vmlinuz") {
            fs::rename(entry.path(), folder.join("vmlinuz")).context("keeping vmlinuz")?;
        } else {
            keep_module(
                entry.path(),
                &folder
                    .join(name.split('.').next().unwrap_or(&name))
                    .with_extension("ko"),
            )?;
        }
    }
    Ok(())
}

fn keep_module(from: &Path, to: &Path) -> Result<()> {
    let unpacked = match from.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => process::output(Command::new("xz").arg("-dc").arg(from))?.stdout,
        Some("zst") => process::output(Command::new("zstd").arg("-dc").arg(from))?.stdout,
        _ => fs::read(from).with_context(|| format!("reading {}", from.display()))?,
    };
    fs::write(to, unpacked).with_context(|| format!("writing {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_image_of_the_series_is_chosen_by_number() {
        let names = "linux-image-6.1.0-9-cloud-amd64\nlinux-image-6.1.0-53-cloud-amd64\nlinux-image-6.12.1-cloud-amd64\n\
            linux-image-6.1.0-60-cloud-amd64-dbg\nlinux-image-6.1.0-61-amd64\nlinux-image-6.1.0-62-cloud-amd64-unsigned\n";
        assert_eq!(choose(names, "6.1"), ["linux-image-6.1.0-53-cloud-amd64"]);
        assert!(choose(names, "5.10").is_empty());
    }

    #[test]
    fn an_image_in_parts_is_chosen_with_its_modules() {
        let names =
            "linux-image-7.2.13+d-cloud-amd64\nlinux-binary-7.2.13+d-cloud-amd64\nlinux-modules-7.2.13+d-cloud-amd64\n";
        assert_eq!(
            choose(names, "7.2"),
            [
                "linux-binary-7.2.13+d-cloud-amd64",
                "linux-modules-7.2.13+d-cloud-amd64"
            ]
        );
    }
}
