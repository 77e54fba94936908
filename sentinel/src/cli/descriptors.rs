//! How many files the agent may have open. Maps, links, connections of the page and hooks are descriptors; a limit that is too
//! low would end a run somewhere in the middle. Raises the soft limit of this process; never the hard one, which is its owner's.

use anyhow::anyhow;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Failure;

/// With this the agent can do all it does: about 80 for itself, 128 connections, and what it holds and runs.
const NEEDED: u64 = 256;
/// As many as anybody expects of a daemon.
const ENOUGH: u64 = 1024;

/// Makes room up to the hard limit.
///
/// # Errors
/// The hard limit is below what the agent needs.
pub(super) fn make_room() -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    if hard < NEEDED {
        return Err(Failure::host(anyhow!(
            "this process may open only {hard} files and needs {NEEDED}: raise `LimitNOFILE=` of the unit, or `ulimit -Hn`"
        )));
    }
    if let Some(current) = wanted(limit.current, hard) {
        // What it may do itself it may also be refused, by a filter of system calls: it then goes on with what it has.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(current),
                maximum: limit.maximum,
            },
        );
    }
    Ok(())
}

/// The soft limit to ask for, if the present one is not enough.
fn wanted(soft: Option<u64>, hard: u64) -> Option<u64> {
    soft.is_some_and(|soft| soft < ENOUGH).then(|| hard.min(ENOUGH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_soft_limit_is_raised_as_far_as_the_hard_one_allows_and_a_high_one_is_left() {
        assert_eq!(wanted(Some(64), 4096), Some(ENOUGH));
        assert_eq!(wanted(Some(64), 300), Some(300));
        assert_eq!(wanted(Some(ENOUGH), 4096), None);
        assert_eq!(wanted(None, u64::MAX), None);
    }
}
