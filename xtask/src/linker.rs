//! `bpf-linker`: finds one that can read what the compiler writes, or installs it together with the LLVM it is built on.
//! Judges a linker by trying it, not by its name. Never replaces or removes one that is there.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    apt,
    process::{self, Missing},
    toolchain::{Toolchain, version},
};

/// What is installed, and the oldest that is accepted.
const RELEASE: &str = "0.13.0";
/// The LLVM this release of bpf-linker is built on here.
const LLVM: u32 = 22;

/// Finds a linker for `toolchain`, or installs one; says what it did.
pub(crate) fn find_or_install(toolchain: &Toolchain) -> Result<PathBuf> {
    let mut refused = Vec::new();
    for file in candidates() {
        match try_out(&file, toolchain) {
            Ok(llvm) => {
                println!(
                    "linker: bpf-linker with LLVM {}.{} ({})",
                    llvm.0,
                    llvm.1,
                    file.display()
                );
                return Ok(file);
            }
            Err(reason) => refused.push(format!("{}: {reason:#}", file.display())),
        }
    }
    match refused.as_slice() {
        [] => println!("linker: no bpf-linker here"),
        reasons => println!("linker: none of these serves:\n  {}", reasons.join("\n  ")),
    }
    install(toolchain)?;
    for file in candidates() {
        if let Ok(llvm) = try_out(&file, toolchain) {
            println!(
                "linker: bpf-linker with LLVM {}.{}, just installed ({})",
                llvm.0,
                llvm.1,
                file.display()
            );
            return Ok(file);
        }
    }
    Err(Missing(format!(
        "bpf-linker {RELEASE} was installed and still none of {:?} can link what rustc {} writes; \
         remove it and run `cargo xtask setup` again",
        candidates(),
        toolchain.release
    ))
    .into())
}

/// Every bpf-linker on this machine, the preferred one first.
fn candidates() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut files: Vec<PathBuf> = Vec::new();
    for dir in install_folders().into_iter().chain(env::split_paths(&path)) {
        let file = dir.join("bpf-linker");
        if process::is_executable(&file) && !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

/// Where `cargo install` puts programs.
fn install_folders() -> Vec<PathBuf> {
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    [env::var_os("CARGO_INSTALL_ROOT"), env::var_os("CARGO_HOME")]
        .into_iter()
        .flatten()
        .map(PathBuf::from)
        .chain(home)
        .map(|root| root.join("bin"))
        .collect()
}

/// Links the smallest crate with `linker`; gives the linker's own LLVM, read from the bitcode it writes.
fn try_out(linker: &Path, toolchain: &Toolchain) -> Result<(u32, u32)> {
    let said = process::read(Command::new(linker).arg("--version"))?;
    if version(&said) < version(RELEASE) {
        bail!("{} is older than {RELEASE}", said.trim());
    }
    let dir = tempfile::tempdir().context("a temporary folder for trying the linker")?;
    let (source, input, linked) = ["probe.rs", "probe.bc", "linked.bc"]
        .map(|name| dir.path().join(name))
        .into();
    fs::write(&source, "#![feature(no_core)]\n#![no_core]\n").context("the probe's source")?;
    let mut compile = Command::new(&toolchain.rustc);
    crate::toolchain::forget_cargo(&mut compile);
    compile.env("RUSTC_BOOTSTRAP", "1");
    compile.args([
        "--crate-type=lib",
        "--target=bpfel-unknown-none",
        "-Cdebuginfo=2",
        "--emit",
    ]);
    compile.arg(format!("llvm-bc={}", input.display())).arg(&source);
    process::read(&mut compile).context("compiling the probe")?;
    let mut link = Command::new(linker);
    link.args(["--emit", "llvm-bc", "-o"]).arg(&linked).arg(&input);
    process::read(&mut link)?;
    let own = producer(&fs::read(&linked).context("the probe's output")?).context("the probe names no LLVM")?;
    if own < toolchain.llvm {
        bail!(
            "built on LLVM {}.{}, and rustc {} has {}.{}",
            own.0,
            own.1,
            toolchain.release,
            toolchain.llvm.0,
            toolchain.llvm.1
        );
    }
    Ok(own)
}

/// The LLVM that wrote this bitcode, from the string `LLVM22.1.2` at its start.
fn producer(bitcode: &[u8]) -> Option<(u32, u32)> {
    // The identification block is a stream of 6-bit characters when the producer's name allows it, else bytes.
    (0..8)
        .find_map(|shift| version_in(&char6(bitcode, shift)))
        .or_else(|| version_in(&String::from_utf8_lossy(bitcode)))
}

fn version_in(text: &str) -> Option<(u32, u32)> {
    let at = text.find("LLVM")? + 4;
    let end = text[at..]
        .char_indices()
        .nth(12)
        .map_or(text.len(), |(offset, _)| at + offset);
    version(&text[at..end])
}

/// The first kilobyte read as LLVM's 6-bit characters from bit `shift` on.
fn char6(bytes: &[u8], shift: usize) -> String {
    const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._";
    let bit = |at: usize| usize::from(bytes[at / 8] >> (at % 8) & 1);
    let bits = bytes.len().min(1024) * 8;
    (shift..bits.saturating_sub(5))
        .step_by(6)
        .map(|start| (0..6).map(|offset| bit(start + offset) << offset).sum::<usize>())
        .map(|code| char::from(ALPHABET[code]))
        .collect()
}

/// Installs LLVM from the distribution where it is not there, then bpf-linker by cargo.
fn install(toolchain: &Toolchain) -> Result<()> {
    if toolchain.llvm.0 > LLVM {
        return Err(Missing(format!(
            "rustc {} carries LLVM {}, and bpf-linker {RELEASE} is installed here on LLVM {LLVM}: \
             install a bpf-linker on LLVM {} yourself, or use an older rustc for the eBPF half",
            toolchain.release, toolchain.llvm.0, toolchain.llvm.0
        ))
        .into());
    }
    if llvm_folder().is_none() {
        println!("  no LLVM {LLVM} for developers here");
        apt::install(
            &[&format!("llvm-{LLVM}-dev"), "libzstd-dev"],
            "LLVM, which bpf-linker is built on",
        )?;
    }
    let Some(folder) = llvm_folder() else {
        return Err(Missing(format!(
            "LLVM {LLVM} was installed but no `llvm-config` of it is found on PATH or in /usr/lib/llvm-{LLVM}/bin"
        ))
        .into());
    };
    println!(
        "  installing bpf-linker {RELEASE} by cargo with the LLVM in {} (about a minute)",
        folder.display()
    );
    let mut command = install_command(toolchain, &folder)?;
    process::run(&mut command).map_err(|error| {
        Missing(format!(
            "{error:#}\nget it with `PATH={}:$PATH cargo install bpf-linker@{RELEASE} --no-default-features --features llvm-{LLVM}`",
            folder.display()
        ))
        .into()
    })
}

fn install_command(toolchain: &Toolchain, llvm: &Path) -> Result<Command> {
    let mut command = toolchain.cargo_command();
    let path = env::var_os("PATH").unwrap_or_default();
    let own = toolchain.cargo.parent().map(Path::to_path_buf);
    let folders = [llvm.to_path_buf()]
        .into_iter()
        .chain(own)
        .chain(env::split_paths(&path));
    command.env("PATH", env::join_paths(folders).context("PATH with LLVM in front")?);
    command.args([
        "install",
        "--quiet",
        "--locked",
        "--force",
        "--no-default-features",
        "--features",
    ]);
    command.args([format!("llvm-{LLVM}"), format!("bpf-linker@{RELEASE}")]);
    Ok(command)
}

/// The folder of an `llvm-config` of the right LLVM.
fn llvm_folder() -> Option<PathBuf> {
    let distribution = PathBuf::from(format!("/usr/lib/llvm-{LLVM}/bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    [distribution].into_iter().chain(env::split_paths(&path)).find(|dir| {
        let config = dir.join("llvm-config");
        process::is_executable(&config)
            && process::read(Command::new(config).arg("--version"))
                .is_ok_and(|said| version(&said).is_some_and(|(major, _)| major == LLVM))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(llvm: (u32, u32)) -> Toolchain {
        Toolchain {
            cargo: "/t/bin/cargo".into(),
            rustc: "/t/bin/rustc".into(),
            release: "1.95.0".into(),
            llvm,
        }
    }

    #[test]
    fn the_installation_puts_llvm_in_front_of_the_path_and_names_its_feature() {
        let command = install_command(&toolchain((22, 1)), Path::new("/llvm/bin")).unwrap();
        let shown = process::shown(&command);
        assert!(
            shown.ends_with("--no-default-features --features llvm-22 bpf-linker@0.13.0`"),
            "{shown}"
        );
        let path = command
            .get_envs()
            .filter(|(name, _)| *name == "PATH")
            .filter_map(|(_, value)| value)
            .last()
            .unwrap();
        assert!(path.to_string_lossy().starts_with("/llvm/bin:/t/bin:"), "{path:?}");
    }

    #[test]
    fn a_compiler_with_a_newer_llvm_is_refused_before_anything_is_installed() {
        let error = install(&toolchain((LLVM + 1, 0))).unwrap_err();
        assert!(
            error.is::<Missing>() && error.to_string().contains("LLVM 23"),
            "{error:#}"
        );
    }

    #[test]
    fn the_producer_is_read_from_six_bit_characters_at_any_bit() {
        let code = |c: u8| match c {
            b'a'..=b'z' => c - b'a',
            b'A'..=b'Z' => c - b'A' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            _ => 62,
        };
        for shift in 0..6 {
            let mut bits = vec![0u8; shift];
            for c in b"LLVM22.1.8" {
                bits.extend((0..6).map(|at| code(*c) >> at & 1));
            }
            bits.resize(bits.len().next_multiple_of(8) + 64, 0);
            let bytes: Vec<u8> = bits
                .chunks(8)
                .map(|byte| byte.iter().rev().fold(0, |sum, bit| sum << 1 | bit))
                .collect();
            assert_eq!(producer(&bytes), Some((22, 1)), "shift {shift}");
        }
        assert_eq!(producer(b"nothing"), None);
    }
}
