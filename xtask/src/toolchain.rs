//! The compiler of the eBPF half: a cargo and a rustc with the source of exactly their own `core`.
//! Comes in: what is on this machine; goes out: one [`Toolchain`]. Never builds anything, never changes a default toolchain.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{
    apt,
    process::{self, Missing},
};

/// The oldest compiler this workspace builds with.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");
/// Debian's packages of a current compiler and its `core` source.
const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// A compiler that can build `core` for the BPF target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Toolchain {
    /// `cargo` of the same release as `rustc`.
    pub(crate) cargo: PathBuf,
    /// `rustc`.
    pub(crate) rustc: PathBuf,
    /// Its release, as `1.95.0`.
    pub(crate) release: String,
    /// The LLVM it carries, as `(22, 1)`.
    pub(crate) llvm: (u32, u32),
}

impl Toolchain {
    /// The toolchain whose programs are in `bin`, if it is complete and recent enough.
    fn in_folder(bin: &Path) -> Option<Self> {
        let (cargo, rustc) = (bin.join("cargo"), bin.join("rustc"));
        if !process::is_executable(&cargo) || !process::is_executable(&rustc) {
            return None;
        }
        let mut command = Command::new(&rustc);
        forget_cargo(&mut command);
        let facts = process::read(command.arg("-vV")).ok()?;
        let release = fact(&facts, "release: ")?.to_owned();
        let llvm = version(fact(&facts, "LLVM version: ")?)?;
        let mut command = Command::new(&rustc);
        forget_cargo(&mut command);
        let sysroot = process::read(command.args(["--print", "sysroot"])).ok()?;
        let core = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs");
        (version(&release)? >= version(OLDEST)? && core.is_file()).then_some(Self {
            cargo,
            rustc,
            release,
            llvm,
        })
    }

    /// A `cargo` command of this toolchain that nothing of an enclosing cargo reaches.
    pub(crate) fn cargo_command(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        forget_cargo(&mut command);
        command.env("RUSTC", &self.rustc);
        // Subcommands such as `cargo clippy` look up their helpers on PATH: this toolchain's come first.
        let own = self.cargo.parent().map(Path::to_path_buf);
        let path = env::var_os("PATH").unwrap_or_default();
        if let Ok(path) = env::join_paths(own.into_iter().chain(env::split_paths(&path))) {
            command.env("PATH", path);
        }
        command
    }

    /// This toolchain's clippy driver, where it has one.
    pub(crate) fn has_clippy(&self) -> bool {
        self.cargo.parent().is_some_and(|bin| {
            ["cargo-clippy", "clippy-driver"].map(|name| process::is_executable(&bin.join(name))) == [true; 2]
        })
    }
}

/// Finds a toolchain, or installs one; says what it did.
pub(crate) fn find_or_install() -> Result<Toolchain> {
    if let Some(found) = find() {
        println!(
            "compiler: rustc {} with its core source ({})",
            found.release,
            found.rustc.display()
        );
        return Ok(found);
    }
    println!("compiler: none here of {OLDEST} or later has the source of its core");
    let by_rustup = rustup_component();
    if by_rustup.is_ok()
        && let Some(found) = find()
    {
        println!("compiler: rustc {} with its core source, through rustup", found.release);
        return Ok(found);
    }
    let by_apt = apt::install(&PACKAGES, "a compiler with the source of its core");
    if let Some(found) = find() {
        println!(
            "compiler: rustc {} with its core source, from the distribution",
            found.release
        );
        return Ok(found);
    }
    let reasons = [("rustup", by_rustup), ("apt-get", by_apt)]
        .into_iter()
        .map(|(who, result)| match result {
            Ok(()) => format!("  {who}: done, and still no rustc {OLDEST} or later has lib/rustlib/src in its sysroot"),
            Err(error) => format!("  {who}: {error:#}"),
        })
        .collect::<Vec<_>>();
    Err(Missing(format!(
        "the eBPF half needs rustc {OLDEST} or later with the source of its `core`:\n{}\nget it with `rustup component add rust-src`, \
         or with `apt-get install --no-install-recommends {}`",
        reasons.join("\n"),
        PACKAGES.join(" ")
    ))
    .into())
}

/// The first complete toolchain: the active one, its siblings in rustup's folder, then the distribution's.
fn find() -> Option<Toolchain> {
    candidates().iter().find_map(|bin| Toolchain::in_folder(bin))
}

fn candidates() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Ok(sysroot) = process::read(Command::new("rustc").args(["--print", "sysroot"])) {
        let sysroot = PathBuf::from(sysroot.trim());
        folders.push(sysroot.join("bin"));
        if let Some(parent) = sysroot.parent().filter(|parent| parent.ends_with("toolchains")) {
            let mut siblings: Vec<_> = fs::read_dir(parent)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path().join("bin"))
                .collect();
            siblings.sort();
            folders.extend(siblings);
        }
    }
    folders.push(PathBuf::from("/usr/bin"));
    folders
}

fn rustup_component() -> Result<()> {
    let Some(rustup) = process::which("rustup") else {
        anyhow::bail!("not installed");
    };
    println!("  trying `rustup component add rust-src`");
    // A server that does not answer must not hold up the other way.
    process::read(
        Command::new("timeout")
            .arg("300")
            .arg(rustup)
            .args(["component", "add", "rust-src"]),
    )?;
    Ok(())
}

/// Removes what an enclosing cargo or rustup put into the environment, so that it cannot steer this one.
pub(crate) fn forget_cargo(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if is_of_a_build(&name) {
            command.env_remove(name);
        }
    }
}

fn is_of_a_build(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let exact = [
        "CARGO",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC_BOOTSTRAP",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "CARGO_INCREMENTAL",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_CRATE_NAME",
        "RUSTUP_TOOLCHAIN",
        "RUST_RECURSION_COUNT",
        "LD_LIBRARY_PATH",
        "OUT_DIR",
        "TARGET",
        "HOST",
    ];
    let families = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BUILD_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
        "CARGO_BIN_",
        "CARGO_CFG_",
        "CARGO_FEATURE_",
    ];
    exact.contains(&name.as_ref()) || families.iter().any(|family| name.starts_with(family))
}

/// The rest of the line that starts with `label`.
fn fact<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(label)).map(str::trim)
}

/// Major and minor of a version such as `1.95.0` or `22.1.2-rust`.
pub(crate) fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A folder with a made-up compiler of `release`, with or without core source.
    fn compiler(release: &str, core: bool) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        let script = format!(
            "#!/bin/sh\ncase \"$1\" in\n-vV) printf 'release: {release}\\nLLVM version: 22.1.2\\n';;\n*) echo {};;\nesac\n",
            dir.path().display()
        );
        for name in ["cargo", "rustc"] {
            fs::write(bin.join(name), &script).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        if core {
            let source = dir.path().join("lib/rustlib/src/rust/library/core/src");
            fs::create_dir_all(&source).unwrap();
            fs::write(source.join("lib.rs"), "").unwrap();
        }
        dir
    }

    #[test]
    fn a_compiler_without_its_core_source_is_passed_over() {
        let dir = compiler("1.99.0", false);
        assert_eq!(Toolchain::in_folder(&dir.path().join("bin")), None);
    }

    #[test]
    fn a_compiler_that_is_too_old_is_passed_over() {
        let dir = compiler("1.63.0", true);
        assert_eq!(Toolchain::in_folder(&dir.path().join("bin")), None);
    }

    #[test]
    fn a_complete_compiler_is_taken_with_its_llvm() {
        let dir = compiler("1.99.0", true);
        let found = Toolchain::in_folder(&dir.path().join("bin")).unwrap();
        assert_eq!((found.release.as_str(), found.llvm), ("1.99.0", (22, 1)));
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version("1.100.0") > version("1.95.0"));
        assert_eq!(version("LLVM22.1.8-rust-1.96.0"), Some((22, 1)));
        assert_eq!(version("none"), None);
    }

    #[test]
    fn the_users_cargo_home_and_network_settings_survive() {
        assert!(is_of_a_build(OsStr::new("CARGO_ENCODED_RUSTFLAGS")));
        assert!(is_of_a_build(OsStr::new("RUSTUP_TOOLCHAIN")));
        for kept in [
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_REGISTRIES_CRATES_IO_PROTOCOL",
            "CARGO_INSTALL_ROOT",
            "HOSTNAME",
        ] {
            assert!(!is_of_a_build(OsStr::new(kept)), "{kept}");
        }
    }
}
