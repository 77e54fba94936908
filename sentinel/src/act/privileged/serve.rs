//! The process itself: hears what the agent asks, has it done by threads and children of its own, and says what came of it.
//! Ends when the agent is gone, after everything is undone.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _},
    os::fd::{AsFd as _, OwnedFd},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use nix::sys::signal::{SigSet, Signal};
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, channel},
        watch,
    },
    task::JoinSet,
    time::timeout,
};

use super::{Ask, Say};
use crate::{
    act::{
        actuator::{
            ActuatorError,
            wire::{WireError, hear, is_end, say},
        },
        hands::{Done, Hands as _, Threads},
        runner::{HooksHere, Ran, Runner as _},
    },
    config::Config,
};

/// How long killed hooks may take to be gone.
const KILL_WAIT: Duration = Duration::from_secs(1);
/// Runs at a time. The agent's limits are far below; this one is for an agent that is not itself any more, as are those below.
const MAX_RUNS: usize = 64;
/// What may wait to be done; more waits in the socket.
const MAX_ASKED: usize = 256;
/// What may wait to be said to an agent that is stopped: more than all leases and runs have to say.
const MAX_SAID: usize = 1024;

/// Nobody is on the other side.
#[derive(Debug, thiserror::Error)]
#[error("`sentinel actuator` is started by the agent itself, with a socket as standard input; use `sentinel run`")]
pub struct NoAgent;

/// What is served.
pub struct Serving {
    /// One end of the socket.
    pub socket: OwnedFd,
    /// What this process may still do, in words.
    pub standing: String,
    /// What carries out orders.
    pub hands: Threads,
    /// What comes of them.
    pub done: UnboundedReceiver<Done>,
    /// What runs hooks.
    pub hooks: HooksHere,
    /// Reads the configuration again.
    pub load: Box<dyn Fn() -> Result<Config, String> + Send>,
}

/// Leaves the agent's session and takes the signals that are meant for it no more: what ends this process is the agent's
/// end, also when somebody ends both at once, so that everything is undone in order. Call it before any thread is started.
///
/// # Errors
/// Standard input is no socket to an agent, or cannot be used.
pub fn agent_on_standard_input() -> Result<OwnedFd, NoAgent> {
    let input = io::stdin();
    if input.is_terminal() || !is_end(&input) {
        return Err(NoAgent);
    }
    let socket = input.as_fd().try_clone_to_owned().map_err(|_| NoAgent)?;
    // Without the rights for this it is merely less safe.
    let _ = rustix::process::setsid();
    let mask: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
    mask.thread_block().map_err(|_| NoAgent)?;
    Ok(socket)
}

/// Serves the agent until it is gone. Needs a tokio runtime.
///
/// # Errors
/// The system refuses a thread or the socket.
pub async fn serve(serving: Serving) -> io::Result<()> {
    let Serving {
        socket,
        standing,
        hands,
        mut done,
        mut hooks,
        load,
    } = serving;
    let (socket, ears) = (socket.try_clone()?, socket);
    let (says, queue) = sync_channel(MAX_SAID);
    thread::Builder::new()
        .name("sentinel-say".into())
        .spawn(move || say_all(&socket, &queue))?;
    let (into, mut asked) = channel(MAX_ASKED);
    thread::Builder::new().name("sentinel-hear".into()).spawn(move || {
        while let Some(ask) = next(&ears) {
            if into.blocking_send(ask).is_err() {
                return;
            }
        }
    })?;
    tell(&says, Say::Standing(standing));
    let (mut running, mut stops) = (JoinSet::new(), BTreeMap::new());
    loop {
        tokio::select! {
            ask = asked.recv() => match ask {
                None => break,
                Some(Ask::Task(hand, task)) => {
                    if !hands.give(hand, task.clone()) {
                        let reason = "whoever does this on this host has ended, or has too much to do".into();
                        tell(&says, Say::Done(task.failed(ActuatorError::Invalid { reason })));
                    }
                }
                Some(Ask::Run { run, .. }) if running.len() >= MAX_RUNS => {
                    let reason = format!("{MAX_RUNS} hooks run already");
                    tell(&says, Say::Ran { run, ran: Ran::not_started(reason) });
                }
                Some(Ask::Run { run, hook, verdict }) => {
                    let (stop, stopped) = watch::channel(false);
                    let ran = hooks.run(&hook, &verdict, stopped);
                    stops.insert(run, stop);
                    running.spawn(async move { (run, ran.await) });
                }
                Some(Ask::Kill { run }) => {
                    if let Some(stop) = stops.get(&run) {
                        stop.send_replace(true);
                    }
                }
                Some(Ask::Reload) => match load() {
                    Ok(config) => hooks.take_over(&config),
                    Err(reason) => tracing::error!("what acts goes on by the configuration it had: {reason}"),
                },
            },
            Some(done) = done.recv() => tell(&says, Say::Done(done)),
            Some(Ok((run, ran))) = running.join_next(), if !running.is_empty() => {
                stops.remove(&run);
                tell(&says, Say::Ran { run, ran });
            }
        }
    }
    for stop in stops.values() {
        stop.send_replace(true);
    }
    let gone = async { while running.join_next().await.is_some() {} };
    let _ = timeout(KILL_WAIT, gone).await;
    Box::new(hands).finish();
    Ok(())
}

/// What is asked next; `None` when the agent is gone.
fn next(socket: &OwnedFd) -> Option<Ask> {
    loop {
        match hear(socket) {
            Ok(ask) => return Some(ask),
            Err(WireError::Late) => {}
            Err(WireError::Message(error)) => tracing::error!("the agent asked for what is not understood: {error}"),
            Err(WireError::Closed | WireError::Socket(_)) => return None,
        }
    }
}

/// An agent that is stopped is waited for here, by nobody else.
fn say_all(socket: &OwnedFd, queue: &Receiver<Say>) {
    for said in queue {
        match say(socket, &said) {
            Ok(()) => {}
            Err(error @ (WireError::Late | WireError::Message(_))) => {
                tracing::error!("the agent could not be told something: it {error}");
            }
            Err(WireError::Closed | WireError::Socket(_)) => return,
        }
    }
}

fn tell(says: &SyncSender<Say>, said: Say) {
    if says.try_send(said).is_err() {
        tracing::debug!("the agent does not hear");
    }
}
