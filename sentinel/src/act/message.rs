//! What whoever decides and whoever acts say to each other, `sentinel.action/1`: JSON of bounded size, checked when it
//! is decoded. Nothing here sends or receives.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    action::{LeaseId, Order, Target, Ttl},
    actuator::{ActuatorError, Knob},
};

/// The schema name in every message.
pub const SCHEMA: &str = "sentinel.action/1";
/// The longest message, bytes. The longest there is carries a verdict on a cgroup whose path has 4,096 bytes, each escaped.
pub const MAX_BYTES: usize = 128 * 1024;

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Do it.
    Apply(Order),
    /// Let it hold for `ttl_ms` from now.
    Renew {
        /// Which.
        lease: LeaseId,
        /// How long.
        ttl_ms: Ttl,
    },
    /// Undo it now.
    Revert {
        /// Which.
        lease: LeaseId,
    },
}

/// What is answered. [`Reply::PutBack`] before [`Reply::Ready`] tells what an earlier agent left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Something was put back.
    PutBack(PutBack),
    /// Requests can be taken now.
    Ready,
    /// It is done.
    Applied(Applied),
    /// It holds on.
    Renewed {
        /// Which.
        lease: LeaseId,
    },
    /// It was not done, or cannot be undone.
    Refused(ActuatorError),
}

/// What was done, and what was there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Under which lease.
    pub lease: LeaseId,
    /// Which file.
    pub knob: Knob,
    /// What it said before.
    pub found: String,
    /// What it says now.
    pub wrote: String,
}

/// One change that was undone, or why it was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBack {
    /// Under which lease it was made.
    pub lease: LeaseId,
    /// Of which cgroup.
    pub target: Target,
    /// Which file.
    pub knob: Knob,
    /// What it said before the change.
    pub found: String,
    /// What the change wrote.
    pub wrote: String,
    /// Why it was undone.
    pub why: Why,
    /// What came of it.
    pub ending: Ending,
    /// Wall clock, milliseconds since the Unix epoch.
    pub unix_ms: i64,
}

impl PutBack {
    /// Whether there is nothing left to undo.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        !matches!(self.ending, Ending::NotYet { .. })
    }
}

/// Why a change was undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It was asked for.
    Asked,
    /// It could not be made as ordered.
    Failed,
    /// Its lease was not renewed.
    Lapsed,
    /// The agent ended, however it did; the guard undid it.
    AgentGone,
    /// The process that held it ended or hung; the agent undid it.
    GuardGone,
    /// Whoever held it was told to end.
    Ended,
    /// It was found in the journal at start: agent and guard had both died.
    FoundAtStart,
}

/// What came of undoing a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The file says again what was found.
    Restored,
    /// It said so already.
    AlreadyBack,
    /// Somebody else changed it meanwhile; theirs was left.
    Left {
        /// What it says.
        now: String,
    },
    /// The cgroup is gone; there is nothing to undo.
    Gone,
    /// The host was started anew, and its cgroups with it; there is nothing to undo.
    Rebooted,
    /// It could not be undone; it is tried again.
    NotYet {
        /// Why not.
        reason: String,
    },
}

/// A message that cannot be sent or understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It is too long.
    #[error("a message of {bytes} bytes, and at most {MAX_BYTES} are taken; shorten it")]
    TooLong {
        /// Its size.
        bytes: usize,
    },
    /// It is of another version, or none at all.
    #[error("a message of schema {found:?}, and {SCHEMA:?} is understood; use the same version on both sides")]
    Version {
        /// What it says it is, cut to its first characters.
        found: String,
    },
    /// It is not one of the messages.
    #[error("not a message: {reason}; see docs/ARCHITECTURE.md for what can be asked")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Serialize)]
struct Outgoing<'a, T> {
    schema: &'static str,
    message: &'a T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Incoming<T> {
    #[serde(rename = "schema")]
    _schema: String,
    message: T,
}

#[derive(Deserialize)]
struct Header {
    schema: String,
}

/// One message as bytes.
///
/// # Errors
/// It is too long.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, MessageError> {
    let outgoing = Outgoing {
        schema: SCHEMA,
        message,
    };
    let bytes = serde_json::to_vec(&outgoing).map_err(|error| malformed(&error))?;
    if bytes.len() > MAX_BYTES {
        return Err(MessageError::TooLong { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// A message from bytes, checked.
///
/// # Errors
/// See [`MessageError`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MessageError> {
    if bytes.len() > MAX_BYTES {
        return Err(MessageError::TooLong { bytes: bytes.len() });
    }
    // The version first: what a later one says need not be understood to say that it is a later one.
    let header: Header = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
    if header.schema != SCHEMA {
        return Err(MessageError::Version {
            found: header.schema.chars().take(64).collect(),
        });
    }
    let incoming: Incoming<T> = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
    Ok(incoming.message)
}

fn malformed(error: &serde_json::Error) -> MessageError {
    MessageError::Malformed {
        reason: error.to_string().chars().take(400).collect(),
    }
}
