//! What can be wrong with a configuration: one sentence each, with the place, the key, what was found and what to do.

use std::path::PathBuf;

use super::Origin;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was asked for is not there.
    #[error("{}: there is no such file, but the config that was asked for must exist; create it, or run without naming one", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read ({source}); it must be a file this user may read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is longer than a config can be.
    #[error("{}: is longer than the {limit_bytes} bytes a config may have; is this the right file?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit_bytes: u64,
    },
    /// The file is not text.
    #[error("{at}: is not UTF-8 text, but a config must be TOML; is this the right file?")]
    NotText {
        /// The line with the first wrong byte.
        at: Origin,
    },
    /// The file is not TOML.
    #[error("{at}: is not valid TOML ({reason}); correct this line")]
    Syntax {
        /// The line.
        at: Origin,
        /// What the parser found and expected.
        reason: String,
    },
    /// A key nobody knows.
    #[error("{at}: `{key}` is no key of {table}, which has {allowed}; {remedy}")]
    UnknownKey {
        /// The line.
        at: Origin,
        /// The key as written.
        key: Box<str>,
        /// The table it is in.
        table: Box<str>,
        /// The keys this table has.
        allowed: Box<str>,
        /// What to write instead.
        remedy: Box<str>,
    },
    /// A key that must be there is not.
    #[error("{at}: {table} has no `{key}`, which must be {allowed}; add `{key} = {example}`")]
    MissingKey {
        /// The line the table begins on.
        at: Origin,
        /// The key.
        key: &'static str,
        /// The table.
        table: &'static str,
        /// What it may be.
        allowed: Box<str>,
        /// A value that would do.
        example: &'static str,
    },
    /// A value that is not allowed.
    #[error("{at}: `{key}` is {found}, but must be {allowed}; {remedy}")]
    Value {
        /// The line, or the command line.
        at: Origin,
        /// The key with its table.
        key: Box<str>,
        /// What was found.
        found: Box<str>,
        /// What is allowed.
        allowed: Box<str>,
        /// What to write instead.
        remedy: Box<str>,
    },
}
