//! Why something was not done, in a form that can be sent: each names the thing and what helps.

use serde::{Deserialize, Serialize};

use crate::act::{action::LeaseId, message::PutBack};

/// Why an order was not done, renewed or undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ActuatorError {
    /// The request breaks a rule.
    #[error("{reason}")]
    Invalid {
        /// Which, and what would be right.
        reason: String,
    },
    /// Another actuator does this.
    #[error("{action} is not done by the {actuator} actuator; give the order to the one that does")]
    NotMine {
        /// The one that was asked.
        actuator: String,
        /// What was asked.
        action: String,
    },
    /// Freezing was not allowed.
    #[error("{path} may not be frozen: freezing must be allowed by name when the agent is started")]
    FreezeNotAllowed {
        /// Of the cgroup.
        path: String,
    },
    /// A freeze may not go on.
    #[error("lease {lease} has frozen its cgroup for {seconds} s, the longest allowed; it ends by itself")]
    FreezeTooLong {
        /// Which.
        lease: LeaseId,
        /// The longest, seconds.
        seconds: u64,
    },
    /// No cgroup v2 there.
    #[error("{mount} is no cgroup v2 hierarchy ({reason}); mount one with `mount -t cgroup2 none {mount}`")]
    NoHierarchy {
        /// Where it was looked for.
        mount: String,
        /// What is wrong.
        reason: String,
    },
    /// Nothing may be done to it, whoever asks.
    #[error("nothing is done to {path}: {why}")]
    Protected {
        /// Of the cgroup.
        path: String,
        /// What protects it.
        why: String,
    },
    /// The cgroup is not there.
    #[error("the cgroup {path} is gone; nothing to do")]
    Vanished {
        /// Where it was.
        path: String,
    },
    /// Another cgroup has its name now.
    #[error("the cgroup {path} is another one now (id {found}, and {expected} was meant); nothing was done to it")]
    Recreated {
        /// Where it was.
        path: String,
        /// Its id.
        expected: u64,
        /// The id of the one that is there.
        found: u64,
    },
    /// The cgroup cannot be opened.
    #[error("the cgroup {path} cannot be opened: {reason}; run as root")]
    Unusable {
        /// Which.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The cgroup holds whoever acts.
    #[error("the cgroup {path} holds sentinel itself, which could then not undo what it did; choose one beside it")]
    Ourselves {
        /// Which.
        path: String,
    },
    /// The cgroup has no such file.
    #[error("the cgroup {path} has no {file}: {remedy}")]
    NoFile {
        /// Which.
        path: String,
        /// Which file.
        file: String,
        /// Why, and what would help.
        remedy: String,
    },
    /// Another lease holds this file.
    #[error("{file} of {path} is held by lease {holder} already; revert that one first")]
    Held {
        /// Which.
        path: String,
        /// Which file.
        file: String,
        /// By whom.
        holder: LeaseId,
    },
    /// The lease id is in use, or was.
    #[error("lease {lease} is in use, or was; give each order a lease of its own")]
    LeaseTaken {
        /// Which.
        lease: LeaseId,
    },
    /// Too many leases at once.
    #[error("{most} leases are held already, the most at a time; revert one first")]
    TooMany {
        /// The most.
        most: usize,
    },
    /// What is found is as tight already.
    #[error("{file} of {path} is {found:?} already, which is as tight as {wanted:?} or tighter; it was left")]
    Tighter {
        /// Which.
        path: String,
        /// Which file.
        file: String,
        /// What it says.
        found: String,
        /// What was wanted.
        wanted: String,
    },
    /// The limit would take too much.
    #[error("{wanted} in {file} of {path} takes too much from a scope that has {has}; write at least {least}")]
    Floor {
        /// Which.
        path: String,
        /// Which file.
        file: String,
        /// What was wanted.
        wanted: u64,
        /// What it has or uses.
        has: u64,
        /// The least that may be written.
        least: u64,
    },
    /// What is found could not be put back later.
    #[error("{file} of {path} says {found:?}, which could not be put back later; it was left")]
    NotRestorable {
        /// Which.
        path: String,
        /// Which file.
        file: String,
        /// What it says.
        found: String,
    },
    /// The kernel did not take the value.
    #[error("the kernel does not take {value:?} in {file} of {path}: {reason}; it says again what it said before")]
    Kernel {
        /// Which.
        path: String,
        /// Which file.
        file: String,
        /// What was written.
        value: String,
        /// What it answered.
        reason: String,
    },
    /// No such lease.
    #[error("lease {lease} is not held; `sentinel veto list` shows those that are")]
    Unknown {
        /// Which.
        lease: LeaseId,
    },
    /// The lease has ended.
    #[error("lease {lease} has ended, and what it changed was put back; give a new order if it is still needed")]
    Lapsed {
        /// Which.
        lease: LeaseId,
    },
    /// Without a record nothing is done.
    #[error("{0}")]
    Journal(JournalError),
    /// The process that acts is gone or hangs.
    #[error("the guard {reason}; {count} changes it held were looked after, and a new one starts with the next order", count = .put_back.len())]
    GuardLost {
        /// What happened.
        reason: String,
        /// What came of each change it held.
        put_back: Vec<PutBack>,
    },
    /// The process that acts could not be started.
    #[error("the guard cannot be started: {reason}; without it nothing is done")]
    GuardNotStarted {
        /// Why.
        reason: String,
    },
}

impl From<JournalError> for ActuatorError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

/// Why the journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum JournalError {
    /// It cannot be made or opened.
    #[error("the journal {path} cannot be opened ({reason}); give a state directory that root can write to")]
    Unusable {
        /// Where it should lie.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Others could write to it.
    #[error("the journal {path} is not safe: {reason}; what it says is written to cgroups, so only root may write it")]
    Unsafe {
        /// Where it lies.
        path: String,
        /// Who could write.
        reason: String,
    },
    /// Another process holds it.
    #[error("the journal {path} is held by another process; find it with `fuser {path}`")]
    Locked {
        /// Where it lies.
        path: String,
    },
    /// It is no journal.
    #[error("{path}, line {line}, is no record of a lease ({reason}); move the file away if it is not sentinel's")]
    Foreign {
        /// Where it lies.
        path: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// It is of another version.
    #[error(
        "{path}, line {line}, is of schema {found:?}, which this version does not know; start the version that wrote it once"
    )]
    Version {
        /// Where it lies.
        path: String,
        /// Which line, from 1.
        line: usize,
        /// What it says.
        found: String,
    },
    /// It cannot be written.
    #[error(
        "the journal {path} cannot be written ({reason}), so nothing was done; make room or give another directory"
    )]
    NotWritten {
        /// Where it lies.
        path: String,
        /// Why not.
        reason: String,
    },
    /// It is full.
    #[error("the journal {path} has {bytes} bytes, the most it may have; let the leases that are held end first")]
    Full {
        /// Where it lies.
        path: String,
        /// Its size.
        bytes: u64,
    },
}
