//! The agent's side: starts the process before rights are given up, and asks it by a queue from then on. It never waits for
//! an answer: a thread of its own sends, another one hears.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::sys::socket::{Shutdown, shutdown};
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot, watch,
};

use super::{Ask, Say};
use crate::{
    act::{
        actuator::{
            ActuatorError,
            wire::{WireError, hear, pair, say},
        },
        hands::{Done, Hand, Hands, Task},
        runner::{Ran, Runner, Running},
    },
    config::Config,
    judge::Verdict,
};

/// How long the process may take to undo what it holds before the agent ends without it.
const END_WAIT: Duration = Duration::from_secs(4);
const END_PAUSE: Duration = Duration::from_millis(10);

/// The process, started, that nobody speaks to yet.
#[derive(Debug)]
pub struct Started {
    socket: OwnedFd,
}

impl Started {
    /// Starts `program` with these arguments and the socket as its standard input, as whoever the caller still is. It gets
    /// nothing of the environment but these variables.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn new(
        program: &Path,
        arguments: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> io::Result<Self> {
        let (socket, theirs) = pair()?;
        let mut command = Command::new(program);
        command
            .arg0("sentinel")
            .args(arguments)
            .env_clear()
            .envs(variables)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null());
        // Its end is known by that of the socket: to wait for it would take a right that is given up.
        command.spawn()?;
        // The command holds the other end; until it is dropped we would never see the process end.
        drop(command);
        Ok(Self { socket })
    }

    /// With somebody else at the other end.
    #[cfg(test)]
    pub(super) const fn with(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Speaks with it from now on. What it says of orders comes out by the queue.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn attend(self) -> io::Result<(Privileged, UnboundedReceiver<Done>)> {
        let (socket, state) = (Arc::new(self.socket), Arc::new(Mutex::new(State::default())));
        let (asks, queue) = mpsc::channel();
        let (said, done) = unbounded_channel();
        let (out, open) = (Arc::clone(&socket), Arc::clone(&state));
        let failed = said.clone();
        thread::Builder::new()
            .name("sentinel-ask".into())
            .spawn(move || send_all(&out, &queue, &open, &failed))?;
        let (into, known) = (Arc::clone(&socket), Arc::clone(&state));
        let hearing = thread::Builder::new()
            .name("sentinel-hear".into())
            .spawn(move || hear_all(&into, &known, &said))?;
        let privileged = Privileged {
            line: Line { asks, state },
            hearing,
            socket,
        };
        Ok((privileged, done))
    }
}

/// The process, as the agent speaks with it. Hands and runner of hooks at once.
#[derive(Debug)]
pub struct Privileged {
    line: Line,
    hearing: JoinHandle<()>,
    pub(super) socket: Arc<OwnedFd>,
}

/// By which things are asked for.
#[derive(Clone)]
struct Line {
    asks: mpsc::Sender<Ask>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Runs that have not ended.
    runs: BTreeMap<u64, oneshot::Sender<Ran>>,
    last_run: u64,
    /// Why nothing can be asked any more.
    gone: Option<String>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Line {
    fn ask(&self, ask: Ask) -> bool {
        lock(&self.state).gone.is_none() && self.asks.send(ask).is_ok()
    }
}

impl Privileged {
    /// What runs hooks there.
    #[must_use]
    pub fn runner(&self) -> Box<dyn Runner> {
        Box::new(self.line.clone())
    }
}

impl Hands for Privileged {
    fn give(&self, hand: Hand, task: Task) -> bool {
        self.line.ask(Ask::Task(hand, task))
    }

    fn finish(self: Box<Self>) {
        // It reads to the end of what was asked, undoes what it holds, and ends.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Write);
        let pauses = END_WAIT.as_millis() / END_PAUSE.as_millis();
        for _ in 0..pauses {
            if self.hearing.is_finished() {
                return;
            }
            thread::sleep(END_PAUSE);
        }
        tracing::warn!("what was done to cgroups is still being undone; it lapses by itself");
    }
}

impl Runner for Line {
    fn run(&mut self, hook: &str, verdict: &Verdict, mut stop: watch::Receiver<bool>) -> Running {
        let (sender, mut ran) = oneshot::channel();
        let run = {
            let mut state = lock(&self.state);
            state.last_run += 1;
            let run = state.last_run;
            state.runs.insert(run, sender);
            run
        };
        let ask = Ask::Run {
            run,
            hook: hook.to_owned(),
            verdict: Box::new(verdict.clone()),
        };
        if !self.ask(ask) {
            let state = lock(&self.state);
            let why = state
                .gone
                .clone()
                .unwrap_or_else(|| "nobody is there to start it".into());
            return Box::pin(async move { Ran::not_started(why) });
        }
        let line = self.clone();
        Box::pin(async move {
            let ended = tokio::select! {
                ended = &mut ran => Some(ended),
                _ = stop.wait_for(|stop| *stop) => None,
            };
            let ended = match ended {
                Some(ended) => ended,
                None => {
                    line.ask(Ask::Kill { run });
                    ran.await
                }
            };
            // It may have run, and may run still: nobody is left to say so.
            ended.unwrap_or_else(|_| {
                let gone = lock(&line.state).gone.clone();
                Ran::lost(gone.unwrap_or_else(|| "what became of it was not said".into()))
            })
        })
    }

    fn take_over(&mut self, _: &Config) {
        self.ask(Ask::Reload);
    }
}

fn send_all(socket: &OwnedFd, queue: &mpsc::Receiver<Ask>, state: &Mutex<State>, failed: &UnboundedSender<Done>) {
    for ask in queue {
        match say(socket, &ask) {
            Ok(()) => {}
            // The thread that hears tells it.
            Err(WireError::Closed | WireError::Socket(_)) => return,
            Err(error) => not_sent(ask, &error.to_string(), state, failed),
        }
    }
}

/// What is too long to be sent is answered here.
fn not_sent(ask: Ask, reason: &str, state: &Mutex<State>, failed: &UnboundedSender<Done>) {
    tracing::error!("something could not be asked of what acts: {reason}");
    match ask {
        Ask::Task(_, task) => {
            let error = ActuatorError::Invalid { reason: reason.into() };
            let _ = failed.send(task.failed(error));
        }
        Ask::Run { run, .. } => {
            if let Some(waits) = lock(state).runs.remove(&run) {
                drop(waits.send(Ran::not_started(reason.into())));
            }
        }
        Ask::Kill { .. } | Ask::Reload => {}
    }
}

fn hear_all(socket: &OwnedFd, state: &Mutex<State>, said: &UnboundedSender<Done>) {
    let why = loop {
        match hear::<Say>(socket) {
            Ok(Say::Standing(standing)) => tracing::info!("what acts {standing}"),
            Ok(Say::Done(done)) => drop(said.send(done)),
            Ok(Say::Ran { run, ran }) => {
                if let Some(waits) = lock(state).runs.remove(&run) {
                    drop(waits.send(ran));
                }
            }
            Err(WireError::Message(error)) => tracing::error!("what acts said what is not understood: {error}"),
            Err(WireError::Late) => {}
            Err(error) => break error,
        }
    };
    let reason = format!(
        "the process that acts {why}: nothing is done to this host any more, and what was done is undone; restart the agent"
    );
    let mut state = lock(state);
    state.gone = Some(reason.clone());
    state.runs.clear();
    drop(state);
    let _ = said.send(Done::Gone(reason));
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
