//! The guard: a process of its own that does what the agent orders, and undoes it when a lease is not renewed, when
//! the agent ends, or when it is told to end itself. So a change goes in time however the agent ends, by `kill -9` too,
//! and while it hangs or is stopped.
//!
//! Comes in: requests on its standard input, one end of a socket. Goes out: replies. It prints nothing, reads no
//! configuration and decides nothing. It is in a session of its own, so that what is sent to the agent's terminal or
//! process group does not reach it, and the last that the OOM killer takes. What stops both at once (the agent's cgroup
//! frozen, or all of it killed) is left to the next start, or to `sentinel guard --put-back`.

use std::{
    fs,
    io::{self, IsTerminal as _},
    os::fd::{AsFd as _, OwnedFd},
    thread,
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};

use super::{
    Actuator as _, ActuatorError, CgroupActuator, CgroupOptions,
    wire::{WireError, hear, is_end, limit, say},
};
use crate::{
    act::message::{PutBack, Reply, Request, Why},
    time::Now,
};

/// How long the agent may take to read a reply; it asks for one thing at a time, so there is room.
const PATIENCE: Duration = Duration::from_millis(100);

/// It must run in time on a host whose CPUs are crowded, and hardly ever runs at all.
const NICE: i32 = -15;
/// How often it tries at its end to undo what cannot be undone at once, and the time between; the next start goes on.
const END_TRIES: u32 = 5;
const END_PAUSE: Duration = Duration::from_millis(200);

/// Why the guard could not serve.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// Nobody is on the other side.
    #[error("`sentinel guard` is started by the agent itself, with a socket as standard input; use `sentinel run`")]
    NoAgent,
    /// Waiting failed.
    #[error("the guard cannot wait for requests: {0}")]
    Waiting(#[from] io::Error),
    /// It cannot act.
    #[error(transparent)]
    CannotAct(#[from] ActuatorError),
}

/// Serves the agent on standard input until it is gone, and undoes everything then.
///
/// # Errors
/// See [`GuardError`].
pub fn serve(options: &CgroupOptions) -> Result<(), GuardError> {
    let input = io::stdin();
    if input.is_terminal() || !is_end(&input) {
        return Err(GuardError::NoAgent);
    }
    let socket = input.as_fd().try_clone_to_owned()?;
    limit(&socket, PATIENCE)?;
    let signals = stand_apart()?;
    match CgroupActuator::open(options, Now::read()) {
        Ok((actuator, put_back)) => {
            for put_back in put_back {
                reply(&socket, &Reply::PutBack(put_back));
            }
            reply(&socket, &Reply::Ready);
            wait(actuator, &socket, &signals)
        }
        Err(error) => {
            reply(&socket, &Reply::Refused(error.clone()));
            Err(error.into())
        }
    }
}

/// Leaves the agent's session, and takes signals as something to read.
fn stand_apart() -> io::Result<SignalFd> {
    // Without the rights for these it is merely less safe.
    let _ = rustix::process::setsid();
    let _ = fs::write("/proc/self/oom_score_adj", "-1000");
    let _ = rustix::process::setpriority_process(None, NICE);
    let mask: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
    mask.thread_block()?;
    Ok(SignalFd::with_flags(
        &mask,
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    )?)
}

/// Takes requests and keeps deadlines. However it ends, nothing stays changed.
fn wait(mut actuator: CgroupActuator, socket: &OwnedFd, signals: &SignalFd) -> Result<(), GuardError> {
    let end = loop {
        let mut ready = [
            PollFd::new(socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut ready, until(actuator.next_ns(), Now::read())) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => break Err(io::Error::from(error).into()),
        }
        let came = ready.map(|one| one.any().unwrap_or(false));
        // Deadlines first: a renewal that comes after its lease has lapsed is too late, however long we slept.
        actuator.lapse(Now::read());
        if came[1] && matches!(signals.read_signal(), Ok(Some(_))) {
            break Ok(Why::Ended);
        }
        if came[0] && !serve_one(&mut actuator, socket) {
            break Ok(Why::AgentGone);
        }
    };
    let why = *end.as_ref().unwrap_or(&Why::Ended);
    for _ in 0..END_TRIES {
        if actuator.end_all(why, Now::read()).iter().all(PutBack::is_over) {
            break;
        }
        thread::sleep(END_PAUSE);
    }
    end.map(drop)
}

/// Time until the next deadline, rounded up.
fn until(next_ns: Option<u64>, now: Now) -> PollTimeout {
    let Some(next_ns) = next_ns else {
        return PollTimeout::NONE;
    };
    let left_ms = next_ns.saturating_sub(now.monotonic_ns).div_ceil(1_000_000);
    PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX)
}

/// One request; false when the agent is gone.
fn serve_one(actuator: &mut CgroupActuator, socket: &OwnedFd) -> bool {
    let answer = match hear::<Request>(socket) {
        Ok(request) => answer(actuator, request),
        Err(WireError::Message(error)) => Reply::Refused(ActuatorError::Invalid {
            reason: error.to_string(),
        }),
        Err(WireError::Late) => return true,
        Err(WireError::Closed | WireError::Socket(_)) => return false,
    };
    reply(socket, &answer);
    true
}

fn answer(actuator: &mut CgroupActuator, request: Request) -> Reply {
    let now = Now::read();
    let answer = match request {
        Request::Apply(order) => actuator.apply(&order, now).map(Reply::Applied),
        Request::Renew { lease, ttl_ms } => actuator.renew(&lease, ttl_ms, now).map(|()| Reply::Renewed { lease }),
        Request::Revert { lease } => actuator.revert(&lease, now).map(Reply::PutBack),
    };
    answer.unwrap_or_else(Reply::Refused)
}

/// An agent that does not read misses a reply, and not more: its leases still lapse.
fn reply(socket: &OwnedFd, reply: &Reply) {
    let _ = say(socket, reply);
}
