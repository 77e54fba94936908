//! Gives up what is not needed: capabilities, user, what programs could gain, files, system calls, in this order.
//!
//! To be called once, when everything is loaded, attached and opened and before any thread is started: threads inherit.
//! What the kernel cannot do is said and left out; what it refuses although it should not is an error.

use std::{fmt, io, path::PathBuf};

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
        set_capabilities, set_keep_capabilities, set_no_new_privs,
    },
};

use super::{Files, Keep, Reach, Standing, StandingError, calls, files, keep::Kept, names};
use crate::config::Account;

/// What is wanted.
pub struct Wanted<'a> {
    /// What the configuration needs.
    pub keep: Keep,
    /// Whose rights to take; `None`: stay who it is.
    pub account: Option<Account>,
    /// What may still be opened.
    pub files: Files,
    /// Directories the new user shall own, because it makes and removes files there.
    pub hand_over: Vec<PathBuf>,
    /// Whether maps can be read; asked while no capability is in force.
    pub maps_readable: &'a dyn Fn() -> bool,
}

/// It could not be done.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegesError {
    /// The system refused a step.
    #[error(
        "the agent could not give up its rights ({step}): {source}; `user = \"root\"` leaves out the change of user"
    )]
    Refused {
        /// Which.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The list of system calls.
    #[error("the list of system calls could not be put in force: {0}")]
    Calls(#[from] seccompiler::Error),
    /// Landlock.
    #[error("files could not be restricted by Landlock: {0}")]
    Files(#[from] landlock::RulesetError),
    /// It cannot be told what came of it.
    #[error(transparent)]
    Standing(#[from] StandingError),
    /// It was called too late.
    #[error("{0} threads would keep their rights; this is a mistake in sentinel, please report it")]
    Threads(usize),
}

/// What came of it, as the kernel says.
#[derive(Clone, Debug)]
pub struct GivenUp {
    /// What the process may still do.
    pub standing: Standing,
    /// What is kept, and why.
    pub kept: Vec<Kept>,
    /// How far files are restricted; `None`: not at all, because programs are started.
    pub files: Option<Reach>,
    /// System calls that are still answered; `None`: all, because programs are started or the kernel has no filter.
    pub calls: Option<usize>,
    /// What could not be given up, and why.
    pub remarks: Vec<String>,
    user: Option<String>,
}

/// Gives up everything that is not wanted.
///
/// # Errors
/// See [`PrivilegesError`]. Some of it may have been given up then.
pub fn give_up(wanted: &Wanted<'_>) -> Result<GivenUp, PrivilegesError> {
    let mut remarks = Vec::new();
    let mut kept = wanted.keep.kept.clone();
    let sets = capabilities(None).map_err(refused("reading capabilities"))?;
    if !readable_without(wanted.maps_readable, sets)? {
        kept.push(Kept {
            capabilities: CapabilitySet::BPF,
            why: "reading maps, which this kernel lets nobody do without it".into(),
        });
    }
    let keep: CapabilitySet = kept.iter().map(|kept| kept.capabilities).collect::<CapabilitySet>() & sets.permitted;
    // A program it starts has to get what the agent itself is to have.
    bound(keep | wanted.keep.bounding(), &mut remarks)?;
    clear_ambient_capability_set().map_err(refused("ambient capabilities"))?;
    let user = become_user(wanted, &mut remarks)?;
    let left = CapabilitySets {
        effective: keep,
        permitted: keep,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, left).map_err(refused("capabilities"))?;
    let (mut reach, mut calls) = (None, None);
    match &wanted.keep.programs {
        Some(why) => remarks.push(format!(
            "has neither no_new_privs nor a list of system calls nor Landlock, which programs would inherit: {why}"
        )),
        None => {
            set_no_new_privs(true).map_err(refused("no_new_privs"))?;
            reach = Some(files::restrict(&wanted.files)?);
            calls = restrict_calls(!wanted.files.connect.is_empty(), &mut remarks)?;
        }
    }
    let standing = Standing::own()?;
    if standing.differing > 0 {
        return Err(PrivilegesError::Threads(standing.differing));
    }
    Ok(GivenUp {
        standing,
        kept,
        files: reach,
        calls,
        remarks,
        user,
    })
}

/// Whether maps can be read with no capability in force.
fn readable_without(readable: &dyn Fn() -> bool, sets: CapabilitySets) -> Result<bool, PrivilegesError> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        ..sets
    };
    set_capabilities(None, none).map_err(refused("lowering capabilities"))?;
    let readable = readable();
    set_capabilities(None, sets).map_err(refused("raising capabilities again"))?;
    Ok(readable)
}

/// Lowers the most that a program can have.
fn bound(most: CapabilitySet, remarks: &mut Vec<String>) -> Result<(), PrivilegesError> {
    for one in CapabilitySet::all().difference(most).iter() {
        match remove_capability_from_bounding_set(one) {
            // An older kernel does not know all of them.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(Errno::PERM) => {
                remarks.push("the bounding set stays as it was: that takes CAP_SETPCAP".into());
                return Ok(());
            }
            Err(errno) => return Err(refused("the bounding set")(errno)),
        }
    }
    Ok(())
}

fn become_user(wanted: &Wanted<'_>, remarks: &mut Vec<String>) -> Result<Option<String>, PrivilegesError> {
    let own = Uid::effective();
    let Some(account) = wanted.account.as_ref().filter(|account| account.uid != own.as_raw()) else {
        return Ok(None);
    };
    if wanted.keep.programs.is_some() {
        remarks.push(format!("does not become {}", account.name));
        return Ok(None);
    }
    if !own.is_root() {
        remarks.push(format!("does not become {}: only root can", account.name));
        return Ok(None);
    }
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    for directory in &wanted.hand_over {
        std::os::unix::fs::lchown(directory, Some(account.uid), Some(account.gid)).map_err(|source| {
            PrivilegesError::Refused {
                step: "handing over its directory",
                source,
            }
        })?;
    }
    let failed = |step| {
        move |errno: nix::errno::Errno| PrivilegesError::Refused {
            step,
            source: errno.into(),
        }
    };
    set_keep_capabilities(true).map_err(refused("keeping capabilities"))?;
    // The C library does these for every thread.
    setgroups(&[]).map_err(failed("supplementary groups"))?;
    setresgid(gid, gid, gid).map_err(failed("group"))?;
    setresuid(uid, uid, uid).map_err(failed("user"))?;
    set_keep_capabilities(false).map_err(refused("keeping capabilities"))?;
    Ok(Some(account.name.clone()))
}

/// A kernel without filters is said, not fatal.
fn restrict_calls(reaches_out: bool, remarks: &mut Vec<String>) -> Result<Option<usize>, PrivilegesError> {
    match calls::restrict(reaches_out) {
        Ok(listed) => Ok(Some(listed)),
        Err(seccompiler::Error::Seccomp(error) | seccompiler::Error::Prctl(error))
            if error.raw_os_error() == Some(libc::EINVAL) || error.raw_os_error() == Some(libc::ENOSYS) =>
        {
            remarks.push("no filter of system calls: this kernel was built without CONFIG_SECCOMP_FILTER".into());
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn refused(step: &'static str) -> impl Fn(Errno) -> PrivilegesError {
    move |errno| PrivilegesError::Refused {
        step,
        source: errno.into(),
    }
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standing = &self.standing;
        match &self.user {
            Some(user) => write!(f, "runs as {user} (uid {})", standing.uid)?,
            None => write!(f, "runs as uid {}", standing.uid)?,
        }
        if standing.effective.is_empty() {
            f.write_str(" without any capability")?;
        } else {
            write!(f, " with {}", standing.effective.join(", "))?;
        }
        if standing.no_new_privs == Some(true) {
            f.write_str(", no_new_privs")?;
        }
        if let Some(calls) = self.calls {
            write!(f, ", {calls} system calls")?;
        }
        if let Some(reach) = self.files {
            write!(f, ", {reach}")?;
        }
        for kept in &self.kept {
            let names = names(kept.capabilities.bits()).join(", ");
            write!(f, "; keeps {names} for {}", kept.why)?;
        }
        self.remarks.iter().try_for_each(|remark| write!(f, "; {remark}"))
    }
}
