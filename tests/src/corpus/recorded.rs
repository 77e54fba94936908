//! Recordings of real runs, as `sentinel record` wrote them: `NAME.jsonl.gz` beside a label `NAME.toml` that says of
//! which kind they are and what is true of them. Reads files, never writes one.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use flate2::bufread::GzDecoder;
use sentinel::{config::Config, judge::verdict::Phase, sense::replay::Replay};
use serde::Deserialize;

use super::truth::{Allowance, Truth};

/// The label of a recording.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Its kind; recordings of one kind share a row of the table.
    pub kind: String,
    /// Something is wrong in it.
    pub faulty: bool,
    /// How it was made, in a sentence.
    pub about: String,
    /// When memory ran out, seconds from the beginning, where it did.
    #[serde(default)]
    pub exhausted_s: Option<f64>,
    /// No forecast may be given in it.
    #[serde(default)]
    pub no_forecast: bool,
    /// Its faults.
    #[serde(default)]
    pub truths: Vec<Truth>,
    /// What may be said beside.
    #[serde(default)]
    pub allowances: Vec<Allowance>,
    /// Phases that must never be named.
    #[serde(default)]
    pub never: Vec<Never>,
}

/// A phase that must never be named of a scope.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Never {
    /// Its name.
    pub scope: String,
    /// The phase.
    pub phase: Phase,
}

/// A recording and its label.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The file.
    pub file: PathBuf,
    /// What is true of it.
    pub label: Label,
}

/// A recording being read.
pub type Reading = Replay<BufReader<GzDecoder<BufReader<File>>>>;

/// Every recording in this folder, in order of name; none where there is no such folder.
///
/// # Errors
/// When a label cannot be read, or a recording has none.
pub fn recordings(folder: &Path) -> Result<Vec<Recorded>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.with_context(|| format!("reading {}", folder.display()))?.path();
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".jsonl.gz") {
            files.push(file);
        }
    }
    files.sort();
    files.into_iter().map(recorded).collect()
}

fn recorded(file: PathBuf) -> Result<Recorded> {
    // `NAME.jsonl.gz`: two endings to take off.
    let label = file.with_extension("").with_extension("toml");
    let text = fs::read_to_string(&label)
        .with_context(|| format!("{} needs a label beside it: {}", file.display(), label.display()))?;
    let label: Label = toml::from_str(&text).with_context(|| format!("the label {}", label.display()))?;
    ensure!(
        label.faulty != label.truths.is_empty(),
        "{}: faulty = {} with {} truths",
        file.display(),
        label.faulty,
        label.truths.len()
    );
    Ok(Recorded { file, label })
}

impl Recorded {
    /// Opens it.
    ///
    /// # Errors
    /// When it is no recording.
    pub fn open(&self) -> Result<Reading> {
        let shown = self.file.display();
        let file = File::open(&self.file).with_context(|| format!("opening {shown}"))?;
        let unpacked = BufReader::new(GzDecoder::new(BufReader::new(file)));
        Replay::new(unpacked).with_context(|| format!("reading {shown}"))
    }
}

/// The settings under which a recording was made, as `sentinel replay` takes them from its header.
#[must_use]
pub fn config<R: BufRead>(replay: &Replay<R>) -> Config {
    let header = replay.header();
    Config {
        interval: Duration::from_millis(header.interval_ms),
        network_interval: Duration::from_millis(header.network_interval_ms),
        ..Config::default()
    }
}
