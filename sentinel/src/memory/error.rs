//! What can be wrong with the memory: each names the file and the remedy. None of them ends the agent.

use std::io;

/// Why what was learned is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The folder.
    #[error(
        "what is learned is not kept over a restart: {path} cannot be used: {source}; make it a directory the agent may write, or leave `state_dir` out"
    )]
    Folder {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Somebody else may write it.
    #[error(
        "{path} is not read: {reason}, so that others may have written it; remove it, or give it to the agent's user with mode {mode}"
    )]
    Unsafe {
        /// Which.
        path: String,
        /// Whose it is.
        reason: String,
        /// What is right.
        mode: &'static str,
        /// It is the file and not its folder.
        is_file: bool,
    },
    /// It cannot be read.
    #[error("{path} cannot be read: {source}; the agent learns from nothing, and writes it anew")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Another version wrote it.
    #[error(
        "{path} has the schema {found:?}, and this version reads \"sentinel.learned/1\": it is kept as {path}.unknown, and the agent learns from \
         nothing; to use it, move it back and run the version that wrote it"
    )]
    Version {
        /// Which.
        path: String,
        /// What it says.
        found: String,
    },
    /// It is broken.
    #[error(
        "{path} is not whole ({reason}): it is kept as {path}.unknown, and the agent learns from nothing; it may be removed"
    )]
    Broken {
        /// Which.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// It could not be put aside.
    #[error("{path} could not be kept as {path}.unknown: {source}; copy it if you need it: it will be written over")]
    Stays {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It could not be written.
    #[error(
        "{path} cannot be written: {source}; the agent goes on and tries again, what was kept before stays; make room, or let the agent write there"
    )]
    Unwritten {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl MemoryError {
    /// It is the file that nobody understands, and not the way to it.
    #[must_use]
    pub(super) const fn is_about_content(&self) -> bool {
        matches!(
            self,
            Self::Version { .. } | Self::Broken { .. } | Self::Unsafe { is_file: true, .. }
        )
    }
}
