//! Where the cgroup v2 hierarchy is mounted. On a hybrid host that is `/sys/fs/cgroup/unified`, not `/sys/fs/cgroup`.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use procfs::{
    FromBufRead as _,
    process::{MountInfo, MountInfos, Process},
};

/// The hierarchy could not be found.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The mount table is unreadable.
    #[error("cannot read /proc/self/mountinfo: {0}; mount /proc")]
    Unreadable(#[from] procfs::ProcError),
    /// No cgroup v2 is mounted.
    #[error("no cgroup v2 hierarchy is mounted; mount one with `mount -t cgroup2 none /sys/fs/cgroup/unified`")]
    NotMounted,
}

/// Finds the mount of the cgroup v2 hierarchy. Several mounts: the one that shows it from its root, then the one
/// with the shortest path.
///
/// # Errors
/// See [`MountError`].
pub fn find() -> Result<PathBuf, MountError> {
    let mounts = Process::myself()?.mountinfo()?;
    choose(&mounts.0).ok_or(MountError::NotMounted)
}

/// The same in the text of a mount table; `None` when no such hierarchy is in it, or it is no such text.
#[must_use]
pub fn find_in(mountinfo: &[u8]) -> Option<PathBuf> {
    choose(&MountInfos::from_buf_read(mountinfo).ok()?.0)
}

fn choose(mounts: &[MountInfo]) -> Option<PathBuf> {
    mounts
        .iter()
        .filter(|mount| mount.fs_type == "cgroup2")
        .map(|mount| (mount.root != "/", unescaped(&mount.mount_point)))
        .min_by_key(|(partial, path)| (*partial, path.as_os_str().len()))
        .map(|(_, path)| path)
}

/// The kernel writes space, tab, newline and backslash in mount paths as `\NNN`, octal.
fn unescaped(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'\\')
            .then(|| bytes.get(at + 1..at + 4))
            .flatten()
            .and_then(octal);
        plain.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 4 } else { 1 };
    }
    OsString::from_vec(plain).into()
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(table: &str) -> Option<PathBuf> {
        find_in(table.as_bytes())
    }

    #[test]
    fn a_unified_host_has_it_at_the_usual_place() {
        let table = "31 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(chosen(table), Some("/sys/fs/cgroup".into()));
    }

    #[test]
    fn a_hybrid_host_has_it_below_the_old_ones() {
        let table = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                     35 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                     41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(chosen(table), Some("/sys/fs/cgroup/unified".into()));
    }

    #[test]
    fn a_mount_of_a_part_comes_after_a_mount_of_the_whole() {
        let table = "40 31 0:38 /docker /c rw - cgroup2 cgroup2 rw\n\
                     41 31 0:38 / /mnt/a\\040b rw - cgroup2 cgroup2 rw\n";
        assert_eq!(chosen(table), Some("/mnt/a b".into()));
    }

    #[test]
    fn a_host_without_it_has_none() {
        assert_eq!(
            chosen("35 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"),
            None
        );
    }

    #[test]
    fn a_backslash_that_is_no_code_stays() {
        assert_eq!(unescaped(Path::new(r"/a\b\134c\77")), PathBuf::from(r"/a\b\c\77"));
    }
}
