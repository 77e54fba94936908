//! How long programs ran and how often, as the kernel counts it while it is asked to. Of programs that a process holds: its
//! descriptors tell.

use std::{collections::BTreeMap, fs, process};

use anyhow::Result;

/// What a program ran since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunTime {
    /// Nanoseconds.
    pub ns: u64,
    /// Times.
    pub count: u64,
}

impl RunTime {
    /// What was run since.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            ns: self.ns.saturating_sub(before.ns),
            count: self.count.saturating_sub(before.count),
        }
    }

    /// Nanoseconds per run; `None` when it never ran.
    #[must_use]
    pub fn per_run_ns(self) -> Option<f64> {
        (self.count > 0).then(|| self.ns as f64 / self.count as f64)
    }
}

/// Of each program this process holds, by its id.
///
/// # Errors
/// `/proc` cannot be read.
pub fn own() -> Result<BTreeMap<u32, RunTime>> {
    of(process::id())
}

/// Of each program that a process holds, by its id.
///
/// # Errors
/// `/proc` cannot be read.
pub fn of(pid: u32) -> Result<BTreeMap<u32, RunTime>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))?.flatten() {
        // A descriptor may have been closed meanwhile.
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim().parse::<u64>().ok()
        };
        if let (Some(id), Some(ns), Some(count)) = (field("prog_id:"), field("run_time_ns:"), field("run_cnt:")) {
            found.insert(u32::try_from(id)?, RunTime { ns, count });
        }
    }
    Ok(found)
}
