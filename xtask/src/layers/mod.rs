//! `layers`: the rules of the house that a compiler does not know. Comes in: the sources; goes out: every place that breaks a rule.
//! Reads syntax, not text, so that comments and strings say nothing. Never changes a file.

use std::{fmt, fs, path::Path};

use anyhow::{Context as _, Result, bail};
use walkdir::WalkDir;

mod rules;
mod source;

#[cfg(test)]
mod tests;

use source::Source;

/// One broken rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    file: String,
    line: usize,
    said: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.said)
    }
}

/// The crates whose sources are held to the rules.
const CRATES: [&str; 5] = ["sentinel", "sentinel-common", "sentinel-ebpf", "tests", "xtask"];

/// Checks the workspace at `root`; an error that lists every finding.
pub(crate) fn check(root: &Path) -> Result<()> {
    let findings = findings(root)?;
    if findings.is_empty() {
        println!("layers: every import points down, unsafe and aya stay in their places, every file says what it owns");
        return Ok(());
    }
    for finding in &findings {
        println!("{finding}");
    }
    bail!(
        "{} broken rules of the house (the order: {})",
        findings.len(),
        rules::ORDER.join(" < ")
    );
}

/// Every finding, by file and line.
fn findings(root: &Path) -> Result<Vec<Finding>> {
    let mut all = Vec::new();
    for name in CRATES {
        let walk = WalkDir::new(root.join(name))
            .into_iter()
            .filter_entry(|entry| entry.file_name() != "target");
        for entry in walk {
            let entry = entry.with_context(|| format!("the sources under {name}/"))?;
            if entry.file_type().is_file() && entry.path().extension().is_some_and(|extension| extension == "rs") {
                let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
                let text = fs::read_to_string(entry.path()).with_context(|| format!("reading {}", path.display()))?;
                all.extend(
                    Source::parse(path, &text).map_or_else(|finding| vec![finding], |source| rules::broken_by(&source)),
                );
            }
        }
    }
    all.sort();
    Ok(all)
}
