//! What is loaded and attached in the kernel, as `bpftool` lists it, and what of it a process holds.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{invoke::text, paths, process::children, wait};

const LIMIT: Duration = Duration::from_secs(5);

/// What `bpftool` says, as JSON; null when it says nothing.
///
/// # Errors
/// It is not here, or refuses.
pub fn bpftool(args: &[&str]) -> Result<Value> {
    let mut command = Command::new(paths::tool("bpftool", "bpftool")?);
    let output = command.arg("-j").args(args).output()?;
    ensure!(
        output.status.success(),
        "bpftool {args:?}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
}

/// Names of the programs attached to one cgroup itself.
///
/// # Errors
/// There is no such cgroup.
pub fn attached(cgroup: &Path) -> Result<Vec<String>> {
    let all = bpftool(&["cgroup", "show", text(cgroup)])?;
    let names = all
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|program| program["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

/// Ids of objects in the kernel, and pins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// Programs.
    pub programs: BTreeSet<u64>,
    /// Maps.
    pub maps: BTreeSet<u64>,
    /// Links.
    pub links: BTreeSet<u64>,
    /// Pins, by path.
    pub pins: BTreeSet<PathBuf>,
}

impl Objects {
    /// Those a process holds, by its file descriptors, and every pin there is.
    ///
    /// # Errors
    /// There is no such process.
    pub fn of_process(pid: u32) -> Result<Self> {
        let mut held = Self {
            pins: pins(),
            ..Self::default()
        };
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))?.flatten() {
            // A descriptor may have been closed meanwhile.
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
                let ids = match name {
                    "prog_id" => &mut held.programs,
                    "map_id" => &mut held.maps,
                    "link_id" => &mut held.links,
                    _ => continue,
                };
                ids.insert(value.trim().parse()?);
            }
        }
        Ok(held)
    }

    /// Those a process and all below it hold.
    ///
    /// # Errors
    /// There is no such process.
    pub fn of_family(pid: u32) -> Result<Self> {
        let mut held = Self::of_process(pid)?;
        for child in children(pid) {
            // One that ended meanwhile holds nothing.
            if let Ok(of_child) = Self::of_family(child) {
                held.programs.extend(of_child.programs);
                held.maps.extend(of_child.maps);
                held.links.extend(of_child.links);
            }
        }
        Ok(held)
    }

    /// Lists everything.
    ///
    /// # Errors
    /// `bpftool` is not installed.
    pub fn all() -> Result<Self> {
        Ok(Self {
            programs: ids("prog")?,
            maps: ids("map")?,
            links: ids("link")?,
            pins: pins(),
        })
    }

    /// What is here and not there.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            programs: &self.programs - &other.programs,
            maps: &self.maps - &other.maps,
            links: &self.links - &other.links,
            pins: &self.pins - &other.pins,
        }
    }

    /// What is both here and there.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self {
            programs: &self.programs & &other.programs,
            maps: &self.maps & &other.maps,
            links: &self.links & &other.links,
            pins: &self.pins & &other.pins,
        }
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty() && self.maps.is_empty() && self.links.is_empty() && self.pins.is_empty()
    }
}

/// Waits until nothing of `held`, and no pin beyond those `before`, is left. The kernel takes objects down a little
/// later than the process that held them.
///
/// # Errors
/// Something is left.
pub fn wait_gone(held: &Objects, before: &Objects) -> Result<()> {
    let mut left = Objects::default();
    let gone = wait::until_true(LIMIT, || {
        let Ok(now) = Objects::all() else { return false };
        left = held.common(&now);
        left.pins = &now.pins - &before.pins;
        left.is_empty()
    });
    ensure!(gone, "left behind in the kernel: {left:?}");
    Ok(())
}

fn ids(kind: &str) -> Result<BTreeSet<u64>> {
    let bpftool = paths::tool("bpftool", "bpftool")?;
    let output = Command::new(bpftool).args([kind, "list", "--json"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "bpftool {kind} list: {}", said.trim());
    let listed: Vec<Value> = match output.stdout.as_slice() {
        // bpftool says nothing at all where there is no link.
        [] => Vec::new(),
        text => serde_json::from_slice(text).with_context(|| format!("bpftool {kind} list"))?,
    };
    Ok(listed.iter().filter_map(|object| object["id"].as_u64()).collect())
}

fn pins() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    walk(paths::bpffs().to_owned(), &mut found);
    found
}

fn walk(dir: PathBuf, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(path.clone(), found);
        }
        found.insert(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_can_be_asked_and_this_process_holds_nothing() -> Result<()> {
        let all = Objects::all()?;
        assert!(all.without(&all).is_empty());
        let own = Objects::of_process(std::process::id())?;
        assert!(
            own.programs.is_empty() && own.maps.is_empty() && own.links.is_empty(),
            "{own:?}"
        );
        Ok(())
    }
}
