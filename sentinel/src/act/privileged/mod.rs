//! What acts is a process of its own: the agent gives up its rights whatever its autonomy, and this process keeps what
//! acting takes and nothing else. It exists only above `observe`.
//!
//! Over one socket the agent may ask for a fixed set of [things](Ask): an order under a lease, a run of a hook that the
//! configuration names, that the configuration be read again. The process decides nothing, and takes nobody's word where
//! it can look itself: orders are checked again and [protected scopes](super::actuator::Sparing) spared, hooks come from
//! the configuration that it has read as whoever it is. When the agent is gone it undoes what it holds, ends hooks, and ends.

mod agent_side;
mod serve;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::{
    agent_side::{Privileged, Started},
    serve::{NoAgent, Serving, agent_on_standard_input, serve},
};
use super::{
    hands::{Done, Hand, Task},
    message::{self, MessageError},
    runner::Ran,
};
use crate::judge::Verdict;

/// What the agent may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ask {
    /// Of a hand.
    Task(Hand, Task),
    /// That a hook is run for a verdict.
    Run {
        /// Number of the run, to be named in what is said of it.
        run: u64,
        /// Name of the hook.
        hook: String,
        /// The verdict, which the hook gets.
        verdict: Box<Verdict>,
    },
    /// That a run ends now.
    Kill {
        /// Which.
        run: u64,
    },
    /// That the configuration is read again.
    Reload,
}

/// What the process would hear in these bytes, as it would be sent again; it does nothing of it.
///
/// # Errors
/// See [`MessageError`].
pub fn reread(bytes: &[u8]) -> Result<Vec<u8>, MessageError> {
    message::encode(&message::decode::<Ask>(bytes)?)
}

/// The same for what the agent would hear.
///
/// # Errors
/// See [`MessageError`].
pub fn reread_answer(bytes: &[u8]) -> Result<Vec<u8>, MessageError> {
    message::encode(&message::decode::<Say>(bytes)?)
}

/// What the process says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Say {
    /// What it may still do, in words; the first that it says.
    Standing(String),
    /// Of a hand.
    Done(Done),
    /// A run has ended.
    Ran {
        /// Which.
        run: u64,
        /// What became of it.
        ran: Ran,
    },
}
