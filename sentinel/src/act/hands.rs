//! Who acts, as the one who decides sees it: [`Hands`] are given tasks, and what came of them comes out by a queue.
//!
//! [`Threads`] are hands of this process: one for what the kernel does at once, one for what may take seconds, so that a
//! slow file delays no renewal. A thread that hangs is not waited for: what it holds lapses. The agent's own hands are in
//! another process, see [`privileged`](super::privileged). Nothing here decides what is done.

use std::{
    fmt,
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    action::{Action, LeaseId, Order, Ttl},
    actuator::{Actuator, ActuatorError, Tally},
    message::{Applied, PutBack},
};
use crate::{config::RuleAction, time::Now};

/// Tasks that wait for a thread at the most: far more than there are leases.
const MAX_TASKS: usize = 256;
/// How often a thread looks for what has lapsed while nothing is asked of it.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a thread may take to end before the agent ends without it.
const END_WAIT: Duration = Duration::from_secs(3);
const END_PAUSE: Duration = Duration::from_millis(10);

/// What may be asked of a hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Do it.
    Apply(Order),
    /// Let it hold on; with whether its scope is overloaded now, where that was judged.
    Renew(LeaseId, Ttl, Option<bool>),
    /// Undo it.
    Revert(LeaseId),
}

impl Task {
    /// What is said of it when it never got to the hand.
    #[must_use]
    pub fn failed(self, error: ActuatorError) -> Done {
        match self {
            Self::Apply(order) => Done::Applied(order.lease().clone(), Err(error)),
            Self::Renew(lease, ..) => Done::Renewed(lease, Err(error)),
            Self::Revert(lease) => Done::Reverted(lease, Err(error), None),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// The hand is ready: what was put back at its start, or why it cannot act.
    Ready(Hand, Result<Vec<PutBack>, String>),
    /// An order was done, or was not.
    Applied(LeaseId, Result<Applied, ActuatorError>),
    /// A lease holds on, or does not. With what it did so far.
    Renewed(LeaseId, Result<Option<Tally>, ActuatorError>),
    /// A lease was undone, or cannot be yet. With what it did in all.
    Reverted(LeaseId, Result<PutBack, ActuatorError>, Option<Tally>),
    /// A lease lapsed.
    Lapsed(PutBack),
    /// Both hands are gone, for this reason; what they held is undone by the kernel and by the guard.
    Gone(String),
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hand {
    /// Programs in the kernel.
    Kernel,
    /// Files of cgroups.
    Files,
}

impl Hand {
    /// The one that does an action.
    #[must_use]
    pub const fn of(action: &Action) -> Self {
        match action {
            Action::RetryBudget { .. } | Action::Admission { .. } => Self::Kernel,
            _ => Self::Files,
        }
    }

    /// The one that does a rule's action.
    #[must_use]
    pub const fn of_rule(action: RuleAction) -> Self {
        match action {
            RuleAction::RetryBudget | RuleAction::Admission => Self::Kernel,
            _ => Self::Files,
        }
    }
}

/// Makes an actuator, on the thread that will use it.
pub type Open = Box<dyn FnOnce() -> Result<(Box<dyn Actuator>, Vec<PutBack>), String> + Send>;

/// Who acts.
pub trait Hands: fmt::Debug + Send {
    /// Gives a task to a hand and returns at once; false where there is no such hand, it has ended, or too
    /// much waits for it.
    fn give(&self, hand: Hand, task: Task) -> bool;

    /// Lets both end, which undoes what they hold, and waits a while for that.
    fn finish(self: Box<Self>);
}

/// Hands that are threads of this process.
#[derive(Debug)]
pub struct Threads {
    kernel: Option<Worker>,
    files: Option<Worker>,
}

#[derive(Debug)]
struct Worker {
    tasks: mpsc::SyncSender<Task>,
    thread: JoinHandle<()>,
}

impl Threads {
    /// Starts a thread for each that is given. They open their actuators by themselves, so that a start waits for nobody.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(kernel: Option<Open>, files: Option<Open>) -> std::io::Result<(Self, UnboundedReceiver<Done>)> {
        let (said, done) = unbounded_channel();
        let start = |hand, open: Option<Open>, name: &str| {
            let said = said.clone();
            open.map(|open| -> std::io::Result<Worker> {
                let (tasks, queue) = mpsc::sync_channel(MAX_TASKS);
                let thread = thread::Builder::new()
                    .name(name.into())
                    .spawn(move || work(hand, open, &queue, &said))?;
                Ok(Worker { tasks, thread })
            })
            .transpose()
        };
        let hands = Self {
            kernel: start(Hand::Kernel, kernel, "sentinel-shed")?,
            files: start(Hand::Files, files, "sentinel-guard")?,
        };
        Ok((hands, done))
    }
}

impl Hands for Threads {
    fn give(&self, hand: Hand, task: Task) -> bool {
        let worker = match hand {
            Hand::Kernel => &self.kernel,
            Hand::Files => &self.files,
        };
        worker
            .as_ref()
            .is_some_and(|worker| worker.tasks.try_send(task).is_ok())
    }

    fn finish(self: Box<Self>) {
        let threads: Vec<JoinHandle<()>> = [self.kernel, self.files]
            .into_iter()
            .flatten()
            // Without its sender a thread ends after what it has to do.
            .map(|Worker { tasks: _, thread }| thread)
            .collect();
        let pauses = END_WAIT.as_millis() / END_PAUSE.as_millis();
        for _ in 0..pauses {
            if threads.iter().all(JoinHandle::is_finished) {
                return;
            }
            thread::sleep(END_PAUSE);
        }
        tracing::warn!("what was done to cgroups is still being undone; it lapses by itself");
    }
}

fn work(hand: Hand, open: Open, queue: &mpsc::Receiver<Task>, said: &UnboundedSender<Done>) {
    let mut actuator = match open() {
        Ok((actuator, put_back)) => {
            let _ = said.send(Done::Ready(hand, Ok(put_back)));
            actuator
        }
        Err(reason) => {
            let _ = said.send(Done::Ready(hand, Err(reason)));
            return;
        }
    };
    loop {
        let done = match queue.recv_timeout(PAUSE) {
            Ok(task) => Some(carry_out(actuator.as_mut(), task)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let lapsed = actuator.lapse(Now::read());
        for done in done.into_iter().chain(lapsed.into_iter().map(Done::Lapsed)) {
            // An agent that does not listen any more is ending, and drops the queue next.
            let _ = said.send(done);
        }
    }
}

fn carry_out(actuator: &mut dyn Actuator, task: Task) -> Done {
    let now = Now::read();
    match task {
        Task::Apply(order) => {
            let lease = order.lease().clone();
            Done::Applied(lease, actuator.apply(&order, now))
        }
        Task::Renew(lease, ttl, overloaded) => {
            if let Some(overloaded) = overloaded {
                actuator.adjust(&lease, overloaded);
            }
            let renewed = actuator.renew(&lease, ttl, now).map(|()| actuator.tally(&lease));
            Done::Renewed(lease, renewed)
        }
        Task::Revert(lease) => {
            let tally = actuator.tally(&lease);
            let reverted = actuator.revert(&lease, now);
            Done::Reverted(lease, reverted, tally)
        }
    }
}
