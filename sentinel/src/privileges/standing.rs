//! What a process may do, as the kernel says: `/proc/PID/status` of every thread, and the descriptors it holds.

use procfs::process::{FDTarget, Process, Status};
use serde::Serialize;

use super::names;

/// What one process may still do. `None` where this kernel does not tell, or not to us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Process id.
    pub pid: i32,
    /// What it is there for, as its command line says: `run`, `actuator`, `guard`.
    pub command: Option<String>,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Capabilities in force.
    pub effective: Vec<String>,
    /// Capabilities it can put in force.
    pub permitted: Vec<String>,
    /// The most that a program it starts can have.
    pub bounding: Option<Vec<String>>,
    /// What a program it starts gets without more.
    pub ambient: Option<Vec<String>>,
    /// A program it starts can have no more rights than itself.
    pub no_new_privs: Option<bool>,
    /// 0: none, 1: read and write only, 2: a filter of system calls.
    pub seccomp: Option<u32>,
    /// Threads.
    pub threads: usize,
    /// Threads that may do something else than the first, which would be a mistake of this program.
    pub differing: usize,
    /// What it holds open in the kernel.
    pub held: Option<Held>,
}

/// Descriptors of kernel objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Held {
    /// eBPF programs.
    pub programs: usize,
    /// eBPF maps.
    pub maps: usize,
    /// eBPF links: programs that stay attached.
    pub links: usize,
    /// Performance events.
    pub perf_events: usize,
}

/// It cannot be told.
#[derive(Debug, thiserror::Error)]
#[error("what process {pid} may do cannot be read: {reason}; is it still there, and are you root?")]
pub struct StandingError {
    /// Which process.
    pub pid: i32,
    /// Why not.
    pub reason: String,
}

/// Commands that the agent starts for itself.
const OWN: [&str; 2] = ["actuator", "guard"];

impl Standing {
    /// Of a process, and of those that it and they started to act: the agent first.
    ///
    /// # Errors
    /// As for [`Self::of`].
    pub fn of_all(pid: i32) -> Result<Vec<Self>, StandingError> {
        let mut all = vec![Self::of(pid)?];
        let mut left = own_children(pid);
        while let Some(child) = left.pop() {
            // One that ended meanwhile can do nothing any more.
            all.extend(Self::of(child));
            left.extend(own_children(child));
        }
        Ok(all)
    }

    /// Of this process.
    ///
    /// # Errors
    /// `/proc` is not there.
    pub fn own() -> Result<Self, StandingError> {
        Self::of(i32::try_from(std::process::id()).unwrap_or(i32::MAX))
    }

    /// Of a process.
    ///
    /// # Errors
    /// There is none of this id, or it may not be looked at.
    pub fn of(pid: i32) -> Result<Self, StandingError> {
        let failed = |error: procfs::ProcError| StandingError {
            pid,
            reason: error.to_string(),
        };
        let process = Process::new(pid).map_err(failed)?;
        let first = process.status().map_err(failed)?;
        let tasks = process.tasks().map_err(failed)?;
        // A thread may end while it is looked at.
        let others: Vec<Status> = tasks.flatten().filter_map(|task| task.status().ok()).collect();
        Ok(Self {
            pid,
            command: process.cmdline().ok().and_then(|line| line.into_iter().nth(1)),
            uid: first.euid,
            gid: first.egid,
            groups: first.groups.clone(),
            effective: names(first.capeff),
            permitted: names(first.capprm),
            bounding: first.capbnd.map(names),
            ambient: first.capamb.map(names),
            no_new_privs: first.nonewprivs.map(|set| set != 0),
            seccomp: first.seccomp,
            threads: others.len(),
            differing: others.iter().filter(|other| rights(other) != rights(&first)).count(),
            held: held(&process),
        })
    }
}

/// Processes that are children of one, which have the same program and command line as those the agent starts for itself.
fn own_children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = Process::new(pid).and_then(|process| process.tasks()) else {
        return Vec::new();
    };
    let children = tasks.flatten().filter_map(|task| task.children().ok()).flatten();
    let of_agent = |child: &i32| {
        let line = Process::new(*child).and_then(|process| process.cmdline());
        line.is_ok_and(|line| {
            let mut words = line.iter().map(String::as_str);
            words.next() == Some("sentinel") && words.next().is_some_and(|word| OWN.contains(&word))
        })
    };
    children
        .filter_map(|child| i32::try_from(child).ok())
        .filter(of_agent)
        .collect()
}

/// What must be the same in every thread.
fn rights(status: &Status) -> impl PartialEq + use<> {
    (
        [
            status.ruid,
            status.euid,
            status.suid,
            status.rgid,
            status.egid,
            status.sgid,
        ],
        [status.capeff, status.capprm, status.capinh],
        [status.capbnd, status.capamb, status.nonewprivs],
        status.seccomp,
        status.groups.clone(),
    )
}

fn held(process: &Process) -> Option<Held> {
    let mut held = Held::default();
    for descriptor in process.fd().ok()?.flatten() {
        let FDTarget::AnonInode(name) = descriptor.target else {
            continue;
        };
        match name.trim_matches(['[', ']']) {
            "bpf-prog" => held.programs += 1,
            "bpf-map" => held.maps += 1,
            "bpf_link" | "bpf-link" => held.links += 1,
            "perf_event" => held.perf_events += 1,
            _ => {}
        }
    }
    Some(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_itself_and_no_stranger() {
        let own = Standing::own().unwrap();
        assert_eq!(own.uid, nix::unistd::Uid::effective().as_raw());
        assert!(own.threads >= 1 && own.held.is_some());
        let error = Standing::of(i32::MAX).unwrap_err();
        assert!(error.to_string().contains("still there"), "{error}");
    }

    #[test]
    fn a_thread_that_may_less_is_counted() {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (ready, begun) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            ready.send(()).unwrap();
            let _ = wait.recv();
        });
        begun.recv().unwrap();
        let differing = Standing::own().unwrap().differing;
        drop(go);
        other.join().unwrap();
        assert!(differing >= 1);
    }
}
