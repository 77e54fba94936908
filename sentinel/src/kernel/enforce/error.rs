//! Why a policy was not put, renewed or lifted. A put that fails leaves nothing behind; a change of a policy that the
//! kernel refuses ends the policy.

use std::{io, path::PathBuf, time::Duration};

use super::{LEAST_TTL, MOST_TTL};
use crate::kernel::KernelError;

/// Why a policy was not put, renewed or lifted.
#[derive(Debug, thiserror::Error)]
pub enum EnforceError {
    /// The time to live is out of range.
    #[error("a policy may live from {LEAST_TTL:?} to {MOST_TTL:?}, not {asked:?}")]
    Ttl {
        /// What was asked for.
        asked: Duration,
    },
    /// The limits make no sense.
    #[error("{0}")]
    Limits(String),
    /// The cgroup is gone, or another one has its path.
    #[error("the cgroup {path} with id {id} is gone{}", found.map_or_else(String::new, |found| format!(": the path now belongs to {found}")))]
    Vanished {
        /// Its path.
        path: PathBuf,
        /// Its id.
        id: u64,
        /// Who has the path now.
        found: Option<u64>,
    },
    /// The path is no cgroup.
    #[error("{} is no cgroup v2 directory", .0.display())]
    NotACgroup(PathBuf),
    /// The root of the hierarchy is everything there is.
    #[error("the root cgroup is the whole host: a policy is for one scope below it")]
    Root,
    /// The cgroup could not be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The scope has a policy already.
    #[error("cgroup {0} is under a policy already: renew or lift that one")]
    Held(u64),
    /// The scope has no policy, or it has lapsed.
    #[error("cgroup {0} is under no policy, or it has lapsed")]
    NotHeld(u64),
    /// As many scopes are under a policy as can be.
    #[error("{0} scopes are under a policy, which is the most there can be at once")]
    Full(u32),
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}
