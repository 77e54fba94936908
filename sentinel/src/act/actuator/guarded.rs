//! The agent's side of the guard: starts it, asks it, and looks after what it held if it dies or hangs. Each call
//! waits for an answer, usually well below a millisecond and never more than three seconds (reclaiming memory takes
//! longest), so call it from where nothing else waits.

use std::{
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use super::{
    Actuator, ActuatorError, CgroupOptions, put_back_all,
    wire::{WireError, hear, limit, pair, say},
};
use crate::{
    act::{
        action::{LeaseId, Order, Ttl},
        message::{Applied, PutBack, Reply, Request, Why},
    },
    time::Now,
};

/// How long the guard may take to answer before it is taken for hung; a renewal no more than half of the time it is for,
/// so that what a guard that hangs holds is put back before its lease would have lapsed.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it may take to start: it waits for the journal while an earlier guard ends, and puts back what was left.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// How often its end is looked for, and the time between.
const END_TRIES: u32 = 100;
const END_PAUSE: Duration = Duration::from_millis(20);

/// How the guard is started.
#[derive(Clone, Debug)]
pub struct GuardOptions {
    /// The program that has `guard` as a command.
    pub program: PathBuf,
    /// Where it works.
    pub cgroups: CgroupOptions,
}

impl GuardOptions {
    /// With the running program itself, also when its file was replaced meanwhile.
    #[must_use]
    pub fn of_this_program(cgroups: CgroupOptions) -> Self {
        Self {
            program: "/proc/self/exe".into(),
            cgroups,
        }
    }
}

/// Has orders done by a guard. Dropping it ends the guard, which undoes everything first.
#[derive(Debug)]
pub struct Guarded {
    options: GuardOptions,
    guard: Option<Guard>,
}

#[derive(Debug)]
struct Guard {
    child: Child,
    socket: OwnedFd,
}

impl Guarded {
    /// Starts a guard; takes up to ten seconds where an earlier one holds the journal. Returns what it put back: what an earlier agent and its guard left, and what that guard undid
    /// when its agent was gone.
    ///
    /// # Errors
    /// It could not be started, or cannot act; nothing was touched then.
    pub fn start(options: GuardOptions) -> Result<(Self, Vec<PutBack>), ActuatorError> {
        let (guard, put_back) = Guard::start(&options)?;
        let guarded = Self {
            options,
            guard: Some(guard),
        };
        Ok((guarded, put_back))
    }

    /// Starts no guard before the first order.
    #[must_use]
    pub const fn idle(options: GuardOptions) -> Self {
        Self { options, guard: None }
    }

    /// Process id of the guard; `None` when it was lost and no order came since.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.guard.as_ref().map(|guard| guard.child.id())
    }

    fn ask(&mut self, request: &Request, patience: Duration) -> Result<Reply, ActuatorError> {
        let Some(guard) = &self.guard else {
            return Err(self.lost("was lost earlier"));
        };
        let answer = limit(&guard.socket, patience)
            .map_err(WireError::Socket)
            .and_then(|()| say(&guard.socket, request))
            .and_then(|()| hear(&guard.socket));
        match answer {
            Ok(Reply::Refused(error)) => Err(error),
            Ok(reply) => Ok(reply),
            Err(error) => Err(self.lost(&error.to_string())),
        }
    }

    /// Ends a guard that does not answer, and puts back itself what that one held.
    fn lost(&mut self, reason: &str) -> ActuatorError {
        let mut reason = reason.to_owned();
        if let Some(guard) = self.guard.take() {
            guard.kill();
        }
        let put_back = put_back_all(&self.options.cgroups, Why::GuardGone, Now::read());
        let put_back = put_back.unwrap_or_else(|error| {
            reason = format!("{reason}, and what it held could not be looked after ({error})");
            Vec::new()
        });
        ActuatorError::GuardLost { reason, put_back }
    }

    fn odd(&mut self, reply: &Reply) -> ActuatorError {
        self.lost(&format!("answered something else ({reply:?})"))
    }
}

impl Actuator for Guarded {
    fn name(&self) -> &'static str {
        "guarded_cgroup"
    }

    /// Starts another guard where the last one was lost.
    fn apply(&mut self, order: &Order, _now: Now) -> Result<Applied, ActuatorError> {
        if self.guard.is_none() {
            self.guard = Some(Guard::start(&self.options)?.0);
        }
        match self.ask(&Request::Apply(order.clone()), PATIENCE)? {
            Reply::Applied(applied) => Ok(applied),
            other => Err(self.odd(&other)),
        }
    }

    fn renew(&mut self, lease: &LeaseId, ttl: Ttl, _now: Now) -> Result<(), ActuatorError> {
        let lease = lease.clone();
        let patience = PATIENCE.min(Duration::from_millis(ttl.ms() / 2));
        match self.ask(&Request::Renew { lease, ttl_ms: ttl }, patience)? {
            Reply::Renewed { .. } => Ok(()),
            other => Err(self.odd(&other)),
        }
    }

    fn revert(&mut self, lease: &LeaseId, _now: Now) -> Result<PutBack, ActuatorError> {
        let lease = lease.clone();
        match self.ask(&Request::Revert { lease }, PATIENCE)? {
            Reply::PutBack(put_back) => Ok(put_back),
            other => Err(self.odd(&other)),
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let Some(Guard { mut child, socket }) = self.guard.take() else {
            return;
        };
        drop(socket);
        if !ended(&mut child) {
            // It hangs: what it holds is undone from the journal.
            let _ = child.kill();
            ended(&mut child);
            if let Err(error) = put_back_all(&self.options.cgroups, Why::GuardGone, Now::read()) {
                tracing::error!("what the guard held could not be looked after: {error}");
            }
        }
    }
}

impl Guard {
    fn start(options: &GuardOptions) -> Result<(Self, Vec<PutBack>), ActuatorError> {
        let failed = |reason: String| ActuatorError::GuardNotStarted { reason };
        let (socket, theirs) = pair().map_err(|error| failed(error.to_string()))?;
        limit(&socket, START_PATIENCE).map_err(|error| failed(error.to_string()))?;
        let mut command = Command::new(&options.program);
        command
            .arg0("sentinel")
            .arg("guard")
            .arg("--mount")
            .arg(&options.cgroups.mount)
            .arg("--journal")
            .arg(&options.cgroups.journal)
            .args(options.cgroups.allow_freeze.then_some("--allow-freeze"))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null());
        let child = command
            .spawn()
            .map_err(|error| failed(format!("{}: {error}", options.program.display())))?;
        // The command holds the other end; until it is dropped we would never see the guard end.
        drop(command);
        let guard = Self { child, socket };
        match guard.greeting() {
            Ok(put_back) => Ok((guard, put_back)),
            Err(error) => {
                guard.kill();
                Err(error)
            }
        }
    }

    fn greeting(&self) -> Result<Vec<PutBack>, ActuatorError> {
        let mut put_back = Vec::new();
        loop {
            match hear(&self.socket) {
                Ok(Reply::PutBack(one)) => put_back.push(one),
                Ok(Reply::Ready) => return Ok(put_back),
                Ok(Reply::Refused(error)) => return Err(error),
                Ok(other) => return Err(not_started(format!("it answered {other:?}"))),
                Err(WireError::Closed) => return Err(not_started("it ended at once; see its standard error".into())),
                Err(error) => return Err(not_started(format!("it {error}"))),
            }
        }
    }

    fn kill(mut self) {
        // Its number is ours until it is reaped.
        let _ = self.child.kill();
        ended(&mut self.child);
    }
}

fn not_started(reason: String) -> ActuatorError {
    ActuatorError::GuardNotStarted { reason }
}

/// Waits a while for its end, and reaps it.
fn ended(child: &mut Child) -> bool {
    for _ in 0..END_TRIES {
        if !matches!(child.try_wait(), Ok(None)) {
            return true;
        }
        thread::sleep(END_PAUSE);
    }
    false
}
