//! What an agent measured, as a file of the corpus: compressed, without the name of the machine, and labelled with what
//! is true of it.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use flate2::{Compression, write::GzEncoder};
use sentinel::sense::{record::Header, sample::Sample};

use crate::corpus::recorded::Label;

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
