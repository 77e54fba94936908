//! A program of somebody else at `connect4`: two instructions that always allow or always deny, loaded by `bpftool`.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use object::{
    Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, Symbol, SymbolSection},
};
use serde_json::Value;

use crate::{cgroup::Cgroup, paths};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The attempt may go on.
    Allow,
    /// It may not: `EPERM`.
    Deny,
}

/// A program attached to a cgroup by hand; it goes with its guard.
#[derive(Debug)]
pub struct Foreign {
    cgroup: PathBuf,
    id: u64,
}

impl Foreign {
    /// Attaches one beside those that are there.
    ///
    /// # Errors
    /// `bpftool` is not installed, or it is not allowed.
    pub fn attach(cgroup: &Cgroup, answer: Answer) -> Result<Self> {
        // The kernel keeps fifteen letters of a name.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("f{}_{number}", std::process::id());
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("foreign.o");
        std::fs::write(&file, elf(&name, answer)?)?;
        let pin = Pin(paths::bpffs().join(format!("sentinel-{name}")));
        bpftool(&["prog", "load", path(&file)?, path(&pin.0)?, "type", "cgroup/connect4"])?;
        // Once attached, the cgroup keeps the program.
        Self::attach_loaded(cgroup, id(&name)?)
    }

    /// Attaches a program that is loaded already.
    ///
    /// # Errors
    /// As for [`Self::attach`].
    pub fn attach_loaded(cgroup: &Cgroup, id: u64) -> Result<Self> {
        let cgroup = cgroup.dir().to_owned();
        bpftool(&[
            "cgroup",
            "attach",
            path(&cgroup)?,
            "connect4",
            "id",
            &id.to_string(),
            "multi",
        ])?;
        Ok(Self { cgroup, id })
    }

    /// Its id in the kernel.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let detach = || {
            bpftool(&[
                "cgroup",
                "detach",
                path(&self.cgroup)?,
                "connect4",
                "id",
                &self.id.to_string(),
            ])
        };
        if let Err(error) = detach() {
            eprintln!("program {}: {error:#}", self.id);
        }
    }
}

/// Removed when it is no longer needed, also when something fails before.
struct Pin(PathBuf);

impl Drop for Pin {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Nanoseconds a loaded program ran, and how often, while the kernel counted that.
///
/// # Errors
/// `bpftool` is not installed, or there is no such program.
pub fn run_time(id: u64) -> Result<(u64, u64)> {
    let program: Value = serde_json::from_str(&bpftool(&["--json", "prog", "show", "id", &id.to_string()])?)?;
    // What is zero is left out.
    let field = |name: &str| program[name].as_u64().unwrap_or(0);
    Ok((field("run_time_ns"), field("run_cnt")))
}

/// Id of the program with this name that was loaded last.
///
/// # Errors
/// There is none.
pub fn id(name: &str) -> Result<u64> {
    let listed: Vec<Value> = serde_json::from_str(&bpftool(&["--json", "prog", "list"])?)?;
    listed
        .iter()
        .filter(|program| program["name"] == name)
        .filter_map(|program| program["id"].as_u64())
        .max()
        .with_context(|| format!("no program {name}"))
}

fn bpftool(args: &[&str]) -> Result<String> {
    let program = paths::tool("bpftool", "bpftool")?;
    let output = Command::new(program).args(args).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "bpftool {}: {}", args.join(" "), said.trim());
    Ok(String::from_utf8(output.stdout)?)
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{path:?} is not text"))
}

/// An object with one program: `r0 = ANSWER; exit`.
fn elf(name: &str, answer: Answer) -> Result<Vec<u8>> {
    let allowed = u8::from(answer == Answer::Allow);
    let code = [[0xb7, 0, 0, 0, allowed, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]].concat();
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let text = object.add_section(Vec::new(), b"cgroup/connect4".to_vec(), object::SectionKind::Text);
    object.append_section_data(text, &code, 8);
    object.add_symbol(Symbol {
        name: name.as_bytes().to_vec(),
        value: 0,
        size: code.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(text),
        flags: SymbolFlags::None,
    });
    let license = object.add_section(Vec::new(), b"license".to_vec(), object::SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    Ok(object.write()?)
}
