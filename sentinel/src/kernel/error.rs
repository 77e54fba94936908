//! What can keep the kernel side from running.

use std::{io, path::PathBuf};

use aya::{EbpfError, programs::ProgramError};

use super::BtfError;

/// Why the kernel side, or one program of it, cannot run.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The kernel does not describe its types.
    #[error(
        "this kernel has no type information at {path} ({source}): it needs CONFIG_DEBUG_INFO_BTF, which distribution kernels from 5.10 on have"
    )]
    NoBtf {
        /// Where it was looked for.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The kernel's type information is there and could not be read.
    #[error(
        "the kernel's type information at {path} cannot be read ({source}): that takes 10 MB of memory, and a file system `sys` that others may read"
    )]
    UnreadBtf {
        /// Where it is.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The kernel's type information is not understood.
    #[error("the kernel's type information at {path} is not understood: {source}")]
    BadBtf {
        /// Where it was read.
        path: PathBuf,
        /// What is wrong with it.
        source: BtfError,
    },
    /// The kernel refused for lack of rights.
    #[error(
        "the kernel refuses eBPF ({action}: {source}): run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN"
    )]
    NotPermitted {
        /// What was tried.
        action: String,
        /// What it answered.
        source: io::Error,
    },
    /// The object could not be loaded.
    #[error("the eBPF object cannot be loaded: {0}")]
    Object(String),
    /// A program could not be loaded or attached.
    #[error("program {program}: {reason}")]
    Program {
        /// Its name.
        program: &'static str,
        /// Why.
        reason: String,
    },
    /// A structure or field is missing from the kernel's type information.
    #[error("this kernel has no {0}")]
    NoField(String),
    /// A map could not be read into memory.
    #[error("map {map} cannot be mapped into memory: {source}")]
    Map {
        /// Its name.
        map: String,
        /// What happened.
        source: io::Error,
    },
    /// There is no cgroup v2 hierarchy.
    #[error("no cgroup v2 hierarchy is mounted: mount one with `mount -t cgroup2 none /sys/fs/cgroup`")]
    NoCgroup2,
}

/// How much of a verifier's log is worth showing: its end says why.
const LOG_TAIL: usize = 300;

/// What a verifier prints after its reason.
const STATISTICS: [&str; 4] = ["processed ", "stack depth ", "verification time ", "insns "];

/// A program's error in one line: the kernel's answer, and the end of the verifier's log.
pub(super) fn program(program: &'static str, error: &ProgramError) -> KernelError {
    let reason = match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let statistics = |line: &str| STATISTICS.iter().any(|start| line.starts_with(start));
            let why = log
                .lines()
                .rev()
                .find(|line| !line.is_empty() && !statistics(line))
                .unwrap_or("");
            format!("the kernel does not accept it ({io_error}): {}", tail(why))
        }
        other => tail(&describe(other)),
    };
    KernelError::Program { program, reason }
}

/// An object's error in one line.
pub(super) fn object(error: &EbpfError) -> KernelError {
    match permission(error) {
        Some(source) => KernelError::NotPermitted {
            action: "load".into(),
            source,
        },
        None => KernelError::Object(tail(&describe(error))),
    }
}

fn permission(error: &(dyn std::error::Error + 'static)) -> Option<io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::PermissionDenied
        {
            return Some(io::Error::from(io.kind()));
        }
        next = error.source();
    }
    None
}

/// An error and what lies under it, without repeating what a layer says already.
#[must_use]
pub fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        next = error.source();
    }
    text
}

fn tail(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    match text.char_indices().rev().nth(LOG_TAIL) {
        Some((at, _)) => format!("… {}", &text[at..]),
        None => text,
    }
}
