//! What a person may ask of the running agent: what holds, approve, lift, apply, arm. Requests come in over a unix
//! socket for root alone, or from another surface through a [`Line`]; replies go out. It decides nothing: the agent
//! answers every request between two readings.

pub mod client;
pub mod protocol;
pub mod server;

use tokio::sync::{mpsc, oneshot};

pub use self::protocol::{Apply, Caller, Listed, Reply, Request};

/// Requests that wait for the agent at the most.
const WAITING: usize = 16;

/// One request on its way to the agent.
#[derive(Debug)]
pub struct Command {
    /// What is asked.
    pub request: Request,
    /// Who asks.
    pub by: Caller,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Reply>,
}

/// The way to the agent, for whoever asks on somebody's behalf. Cheap to clone; may be used from any thread.
#[derive(Clone, Debug)]
pub struct Line {
    sender: mpsc::Sender<Command>,
}

/// A line, and the end of it that the agent reads.
#[must_use]
pub fn line() -> (Line, mpsc::Receiver<Command>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Line { sender }, receiver)
}

impl Line {
    /// Asks the agent, and waits for its answer. An agent that is gone, or has too much to answer, refuses.
    pub async fn ask(&self, request: Request, by: Caller) -> Reply {
        let (answer, reply) = oneshot::channel();
        let command = Command { request, by, answer };
        if let Err(error) = self.sender.try_send(command) {
            return Reply::Refused {
                reason: match error {
                    mpsc::error::TrySendError::Full(_) => {
                        format!("{WAITING} requests wait already; ask again in a second")
                    }
                    mpsc::error::TrySendError::Closed(_) => "the agent is ending; nothing can be asked of it".into(),
                },
            };
        }
        reply.await.unwrap_or_else(|_| Reply::Refused {
            reason: "the agent ended before it answered; nothing is held any more".into(),
        })
    }
}
