//! What an agent measured, as a file of the corpus: compressed, without the name of the machine, and labelled with what
//! is true of it.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use flate2::{Compression, write::GzEncoder};
use sentinel::{
    judge::verdict::{Cause, Level, Phase, Signal},
    sense::{record::Header, sample::Sample},
};
use serde::Serialize;

/// What stands where the machine's name and boot were.
const HOST: &str = "host";
const BOOT_ID: &str = "00000000-0000-0000-0000-000000000000";

/// A recording that is being made.
#[derive(Debug)]
pub struct Recording {
    raw: PathBuf,
    packed: PathBuf,
    label: PathBuf,
}

/// What is true of a recording. Its fields are those that the corpus reads.
#[derive(Clone, Debug, Serialize)]
pub struct Label {
    /// Recordings of one kind share a row of the score.
    pub kind: String,
    /// Something is wrong in it.
    pub faulty: bool,
    /// How it was made, in a sentence.
    pub about: String,
    /// Its faults.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub truths: Vec<Truth>,
    /// What may be said beside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowances: Vec<Allowance>,
    /// Phases that must never be named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub never: Vec<Never>,
}

/// A phase that must never be named of a scope.
#[derive(Clone, Debug, Serialize)]
pub struct Never {
    /// Its name.
    pub scope: String,
    /// The phase.
    pub phase: Phase,
}

/// A fault in it. Times in seconds from the beginning of the first reading.
#[derive(Clone, Debug, Serialize)]
pub struct Truth {
    /// Name of the scope that has it.
    pub scope: String,
    /// The signal that has to show it.
    pub signal: Signal,
    /// When it begins.
    pub onset_s: f64,
    /// When it ends.
    pub end_s: f64,
    /// The least level that counts as detected.
    pub level: Level,
    /// Detected later than this after the onset is missed.
    pub within_s: f64,
    /// Causes that are right.
    pub causes: Vec<Cause>,
    /// The phase it has to be told to be in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<PhaseTruth>,
}

/// A phase that has to be named.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseTruth {
    /// Which.
    pub phase: Phase,
    /// The moment from which on it is so, seconds.
    pub from_s: f64,
    /// It has to be said this soon, seconds.
    pub within_s: f64,
}

/// Something that may be said without being a fault.
#[derive(Clone, Debug, Serialize)]
pub struct Allowance {
    /// Name of a scope; any when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Which signal.
    pub signal: Signal,
    /// The highest level.
    pub level: Level,
    /// From when, seconds.
    pub from_s: f64,
    /// Until when; the end when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_s: Option<f64>,
}

impl Recording {
    /// A place for a recording of this name; an older one is written over.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new(dir: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("the directory {}", dir.display()))?;
        let at = |ending: &str| dir.join(format!("{name}.{ending}"));
        let raw = at("jsonl");
        // The agent does not write over a recording.
        if raw.exists() {
            fs::remove_file(&raw)?;
        }
        Ok(Self {
            raw,
            packed: at("jsonl.gz"),
            label: at("toml"),
        })
    }

    /// Where the agent is to write.
    #[must_use]
    pub fn raw(&self) -> &Path {
        &self.raw
    }

    /// Compresses it; the beginning of its first reading, `CLOCK_MONOTONIC`, nanoseconds.
    ///
    /// # Errors
    /// It is no recording, or cannot be written.
    pub fn pack(&self) -> Result<u64> {
        let from = File::open(&self.raw).with_context(|| format!("reading {}", self.raw.display()))?;
        let mut lines = BufReader::new(from).lines();
        let mut header: Header = serde_json::from_str(&lines.next().context("an empty recording")??)?;
        HOST.clone_into(&mut header.origin.host);
        BOOT_ID.clone_into(&mut header.origin.boot_id);
        let to = File::create(&self.packed).with_context(|| format!("writing {}", self.packed.display()))?;
        let mut packer = GzEncoder::new(to, Compression::best());
        writeln!(packer, "{}", serde_json::to_string(&header)?)?;
        let mut begin_ns = None;
        for line in lines {
            let line = line?;
            if begin_ns.is_none() {
                let sample: Sample = serde_json::from_str(&line).context("a recording without samples")?;
                let covered_ns = sample.elapsed.net_ns.or(sample.elapsed.sched_ns).unwrap_or(0);
                begin_ns = Some(sample.now.monotonic_ns.saturating_sub(covered_ns));
            }
            writeln!(packer, "{line}")?;
        }
        packer.finish()?;
        fs::remove_file(&self.raw)?;
        begin_ns.context("a recording without samples")
    }

    /// Size of the packed file, bytes.
    ///
    /// # Errors
    /// It has not been packed.
    pub fn bytes(&self) -> Result<u64> {
        Ok(fs::metadata(&self.packed)?.len())
    }

    /// Writes its label.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn label(&self, label: &Label) -> Result<()> {
        fs::write(&self.label, toml::to_string(label)?).with_context(|| format!("writing {}", self.label.display()))
    }
}
