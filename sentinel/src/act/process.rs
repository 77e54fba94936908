//! One process group: starting it without waiting, and ending all of it.
//!
//! The leader is not reaped before its group was killed. Until then the kernel keeps its number from being given
//! to anybody else, so the signal cannot reach a stranger.

use std::{
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use nix::{
    libc,
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::sync::oneshot;

use crate::config::Account;

/// What to start.
#[derive(Debug)]
pub(super) struct Program {
    /// argv; the first is an absolute path.
    pub(super) command: Vec<String>,
    /// Whom to become; `None` stays who the agent is.
    pub(super) account: Option<Account>,
    /// The whole environment.
    pub(super) variables: Vec<(&'static str, OsString)>,
}

/// What was started, with our ends of its pipes.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) group: Group,
    /// Comes when the leader has ended and nothing of its group is left.
    pub(super) ended: oneshot::Receiver<io::Result<ExitStatus>>,
    pub(super) input: OwnedFd,
    /// Standard output and error, in the order they were written.
    pub(super) output: OwnedFd,
}

/// Starts a program in a process group of its own, from a thread of its own that also waits for it: a file system that
/// hangs may keep it there, and the agent goes on. If nobody waits any more when it has started, it is killed.
///
/// # Errors
/// Why it could not be started, with the remedy.
pub(super) async fn start(program: Program) -> Result<Started, String> {
    let (sender, receiver) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("sentinel-hook".into())
        .stack_size(256 * 1024);
    let spawned = thread.spawn(move || match spawn(&program) {
        Ok((leader, started, ended)) => {
            let reaped = Arc::clone(&started.group.reaped);
            drop(sender.send(Ok(started)));
            drop(ended.send(finish(leader, &reaped)));
        }
        Err(error) => drop(sender.send(Err(explain(&program, &error)))),
    });
    spawned.map_err(|error| format!("no thread to start it from ({error}); raise the limit of tasks of the agent"))?;
    receiver
        .await
        .unwrap_or_else(|_| Err("the thread that starts it ended early; see the agent's own log".into()))
}

type Ended = oneshot::Sender<io::Result<ExitStatus>>;

fn spawn(program: &Program) -> io::Result<(Child, Started, Ended)> {
    let Some((path, arguments)) = program.command.split_first() else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let (input, their_input) = {
        let (reader, writer) = io::pipe()?;
        (writer, reader)
    };
    let (output, their_output) = io::pipe()?;
    let mut command = Command::new(path);
    command
        .args(arguments)
        .env_clear()
        .envs(program.variables.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(their_input)
        .stdout(their_output.try_clone()?)
        .stderr(their_output)
        .process_group(0);
    if let Some(account) = &program.account {
        // std drops the supplementary groups before it changes the user: library/std/src/sys/process/unix/unix.rs, do_exec.
        command.gid(account.gid).uid(account.uid);
    }
    let leader = command.spawn()?;
    // The command holds the other ends of the pipes; this drops them, or the output would never end.
    drop(command);
    let (sender, ended) = oneshot::channel();
    let started = Started {
        group: Group {
            id: Pid::from_raw(i32::try_from(leader.id()).unwrap_or(0)),
            reaped: Arc::default(),
        },
        ended,
        input: input.into(),
        output: output.into(),
    };
    Ok((leader, started, sender))
}

/// Waits for the leader, kills what is left of its group, and only then reaps it.
fn finish(mut leader: Child, reaped: &Mutex<bool>) -> io::Result<ExitStatus> {
    let pid = rustix::process::Pid::from_child(&leader);
    while let Err(error) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        if error != rustix::io::Errno::INTR {
            // Somebody else reaped it, so its number may be a stranger's by now.
            *reaped.lock().unwrap_or_else(PoisonError::into_inner) = true;
            return Err(error.into());
        }
    }
    let mut reaped = reaped.lock().unwrap_or_else(PoisonError::into_inner);
    kill_all(Pid::from_raw(pid.as_raw_nonzero().get()));
    let status = leader.wait();
    *reaped = true;
    status
}

/// Kills a group, and its leader even if it left the group. The leader must not have been reaped.
fn kill_all(group: Pid) {
    // 0 would be our own group and 1 is init's; neither can be a child's.
    if group.as_raw() > 1 {
        // Nothing left to kill is what was wanted.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = kill(group, Signal::SIGKILL);
    }
}

fn explain(program: &Program, error: &io::Error) -> String {
    let path = program.command.first().map_or("", String::as_str);
    let user = program
        .account
        .as_ref()
        .map_or("the agent's user", |account| account.name.as_str());
    match error.raw_os_error() {
        Some(libc::ENOENT) => {
            format!("{path} cannot be found, or the interpreter in its first line; install it or correct `command`")
        }
        Some(libc::EACCES) => format!("{path} may not be executed by {user}; run `chmod +x` on it"),
        Some(libc::EPERM) => format!("the agent may not run it as {user}; run the agent as root, or remove `user`"),
        Some(libc::ENOEXEC) => format!("{path} is neither a program nor a script that begins with `#!`; correct it"),
        Some(libc::EAGAIN) => format!("{user} has too many processes ({error}); raise the limit"),
        _ => format!("{path} cannot be started: {error}"),
    }
}

/// A process group. Dropping it kills whatever is left of it.
#[derive(Debug)]
pub(super) struct Group {
    id: Pid,
    reaped: Arc<Mutex<bool>>,
}

impl Group {
    /// Kills every process of the group.
    pub(super) fn kill(&self) {
        let reaped = self.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        if !*reaped {
            kill_all(self.id);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
