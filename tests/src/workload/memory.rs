//! Loads on memory. A megabyte is 10^6 bytes.

use std::{
    hint,
    io::{Read as _, Seek as _, Write as _},
    path::PathBuf,
    thread,
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::{Deadline, idle, ready, report};

const MB: usize = 1_000_000;
const PAGE_BYTES: usize = 4096;
/// Time between two steps of a leak.
const STEP: Duration = Duration::from_millis(50);
/// Beyond the largest size the allocator keeps for itself, so that freeing unmaps.
const UNMAPPED_BYTES: usize = 64 << 20;

/// Memory taken and never given back.
#[derive(Debug, Args)]
pub struct Leak {
    /// Pace.
    #[arg(long)]
    mb_per_s: f64,
    /// Stop growing here.
    #[arg(long, default_value_t = 1500)]
    max_mb: usize,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

impl Leak {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        ready();
        let mut kept: Vec<Vec<u8>> = Vec::new();
        let mut taken = 0_usize;
        while !end.is_over() && taken < self.max_mb * MB {
            let due = Duration::from_secs_f64(taken as f64 / (self.mb_per_s * MB as f64));
            if due <= end.passed() {
                let bytes = ((self.mb_per_s * MB as f64) * STEP.as_secs_f64()) as usize;
                kept.push(touched(bytes.max(PAGE_BYTES)));
                taken += bytes.max(PAGE_BYTES);
            } else {
                thread::sleep(STEP.min(due.saturating_sub(end.passed())));
            }
        }
        idle(end);
        report(json!({ "bytes": taken, "pieces": hint::black_box(&kept).len() }));
        Ok(())
    }
}

/// Memory taken once.
#[derive(Debug, Args)]
pub struct AllocOnce {
    /// How much.
    #[arg(long)]
    mb: usize,
    /// When.
    #[arg(long, default_value_t = 0.0)]
    after_seconds: f64,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

impl AllocOnce {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        ready();
        thread::sleep(Deadline::after_seconds(self.after_seconds).left());
        let kept = touched(self.mb * MB);
        idle(end);
        report(json!({ "bytes": hint::black_box(&kept).len() }));
        Ok(())
    }
}

/// Memory mapped and unmapped.
#[derive(Debug, Args)]
pub struct Pages {
    /// Rounds; each touches 64 MiB.
    #[arg(long, default_value_t = u64::MAX)]
    rounds: u64,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

impl Pages {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        ready();
        let mut rounds = 0_u64;
        while !end.is_over() && rounds < self.rounds {
            hint::black_box(touched(UNMAPPED_BYTES));
            rounds += 1;
        }
        idle(end);
        report(json!({ "rounds": rounds, "bytes": rounds * UNMAPPED_BYTES as u64 }));
        Ok(())
    }
}

/// A file written and read.
#[derive(Debug, Args)]
pub struct Pagecache {
    /// Size of the file.
    #[arg(long, default_value_t = 64)]
    mb: usize,
    /// Where; it has no name and is gone with the process.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Times it is written and read; each time from scratch.
    #[arg(long, default_value_t = 1)]
    rounds: u64,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

impl Pagecache {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        let dir = self.dir.unwrap_or_else(std::env::temp_dir);
        ready();
        let mut buffer = vec![1_u8; MB];
        let mut rounds = 0_u64;
        while !end.is_over() && rounds < self.rounds {
            let mut file = tempfile::tempfile_in(&dir)?;
            for _ in 0..self.mb {
                file.write_all(&buffer)?;
            }
            file.rewind()?;
            for _ in 0..self.mb {
                file.read_exact(&mut buffer)?;
            }
            rounds += 1;
        }
        idle(end);
        report(json!({ "rounds": rounds, "bytes_per_round": self.mb * MB }));
        Ok(())
    }
}

/// Memory of which each page was written to.
pub(super) fn touched(bytes: usize) -> Vec<u8> {
    let mut memory = vec![0_u8; bytes];
    for page in memory.chunks_mut(PAGE_BYTES) {
        page[0] = 1;
    }
    memory
}
