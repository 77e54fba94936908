//! One cgroup's directory, opened once, and its files through it: no symbolic link is followed, no mount is crossed, and
//! what is opened is the very cgroup that was meant, not another of the same name. Never makes or removes a cgroup.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use procfs::process::Process;
use rustix::{
    fs::{self as fd, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use super::{ActuatorError, Knob};
use crate::act::action::Target;

/// The most that is read of a file.
const MAX_BYTES: u64 = 4096;

/// The mounted hierarchy.
#[derive(Debug)]
pub(super) struct Hierarchy {
    mount: PathBuf,
    root: OwnedFd,
}

/// A cgroup that is the one it was taken for.
#[derive(Debug)]
pub(super) struct Directory {
    dir: OwnedFd,
}

impl Hierarchy {
    /// Opens the mount.
    ///
    /// # Errors
    /// No cgroup v2 is mounted there.
    pub(super) fn open(mount: &Path) -> Result<Self, ActuatorError> {
        let none = |reason: &str| ActuatorError::NoHierarchy {
            mount: mount.display().to_string(),
            reason: reason.into(),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = fd::open(mount, flags, Mode::empty()).map_err(|error| none(&error.to_string()))?;
        match fd::fstatfs(&root) {
            Ok(stat) if stat.f_type == libc::CGROUP2_SUPER_MAGIC => Ok(Self {
                mount: mount.to_owned(),
                root,
            }),
            Ok(_) => Err(none("another file system is there")),
            Err(error) => Err(none(&error.to_string())),
        }
    }

    /// Opens the directory of a cgroup and compares its id.
    ///
    /// # Errors
    /// It is gone, another one has its name, or it cannot be opened.
    pub(super) fn cgroup(&self, target: &Target) -> Result<Directory, ActuatorError> {
        let path = target.path();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let unusable = |reason: String| ActuatorError::Unusable {
            path: path.into(),
            reason,
        };
        let below = path.trim_start_matches('/');
        let dir = fd::openat2(&self.root, below, flags, Mode::empty(), how).map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR => ActuatorError::Vanished { path: path.into() },
            Errno::LOOP => unusable("there is a symbolic link in its path".into()),
            Errno::XDEV => unusable("something else is mounted in its path".into()),
            error => unusable(error.to_string()),
        })?;
        let id = fd::fstat(&dir).map_err(|error| unusable(error.to_string()))?.st_ino;
        if id != target.cgroup_id() {
            return Err(ActuatorError::Recreated {
                path: path.into(),
                expected: target.cgroup_id(),
                found: id,
            });
        }
        Ok(Directory { dir })
    }

    /// Why a cgroup that is there has no such file, and what would help.
    pub(super) fn no_file(&self, target: &Target, knob: Knob) -> ActuatorError {
        let remedy = match knob.controller() {
            None => "the kernel has it from 5.2 on".into(),
            Some(controller) if !self.offers(controller) => format!(
                "the {controller} controller is not on the v2 hierarchy of this host; boot with \
                 `systemd.unified_cgroup_hierarchy=1`, or `cgroup_no_v1={controller}`"
            ),
            Some(controller) => {
                let below = Path::new(target.path()).strip_prefix("/").unwrap_or(Path::new(""));
                let parent = self.mount.join(below.parent().unwrap_or(Path::new("")));
                let file = parent.join("cgroup.subtree_control");
                format!(
                    "the {controller} controller is not enabled for it; run `echo +{controller} > {}`",
                    file.display()
                )
            }
        };
        ActuatorError::NoFile {
            path: target.path().into(),
            file: knob.file().into(),
            remedy,
        }
    }

    fn offers(&self, controller: &str) -> bool {
        let text = read(&self.root, "cgroup.controllers").unwrap_or_default();
        text.split_whitespace().any(|name| name == controller)
    }
}

impl Directory {
    /// A file's text without the newline; `None` where there is no such file, or no such cgroup any more.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub(super) fn read(&self, file: &str) -> io::Result<Option<String>> {
        match read(&self.dir, file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a file in one go; false where there is no such file, or no such cgroup any more. Does not wait for
    /// memory to be reclaimed, where the kernel leaves the choice.
    ///
    /// # Errors
    /// The kernel refused.
    pub(super) fn write(&self, file: &str, text: &str) -> io::Result<bool> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let written = fd::openat(&self.dir, file, flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|file| File::from(file).write_all(text.as_bytes()));
        match written {
            Ok(()) => Ok(true),
            Err(error) if gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn read(dir: &OwnedFd, file: &str) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = fd::openat(dir, file, flags, Mode::empty())?;
    let mut text = String::new();
    File::from(file).take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text.trim_end_matches('\n').to_owned())
}

/// What the kernel answers for a file of a cgroup that was removed, or of a controller that was disabled.
fn gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

/// Refuses a cgroup that this process lives in, or below: it could stop itself, and then undo nothing.
///
/// # Errors
/// It is ours, or it cannot be told.
pub(super) fn not_ours(target: &Target) -> Result<(), ActuatorError> {
    let own = Process::myself().and_then(|process| process.cgroups());
    let own = own.map_err(|error| ActuatorError::Unusable {
        path: target.path().into(),
        reason: format!("which cgroup is our own cannot be read ({error})"),
    })?;
    let inside = own.0.iter().filter(|cgroup| cgroup.hierarchy == 0);
    if inside.into_iter().any(|cgroup| holds(target.path(), &cgroup.pathname)) {
        return Err(ActuatorError::Ourselves {
            path: target.path().into(),
        });
    }
    Ok(())
}

/// Whether `path` is `other` or an ancestor of it.
pub(super) fn holds(path: &str, other: &str) -> bool {
    other
        .strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
