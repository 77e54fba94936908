//! Memory that is needed no more goes back to the kernel: what only the start needed, because an agent lives for months and starts
//! once, and what scopes needed until they came to rest.

use std::sync::OnceLock;

use procfs::process::{MMPermissions, MMapPath, Process};
use rustix::mm::{Advice, madvise};

/// Where this program's code lies: address and length. Found once, while its map may be read.
static CODE: OnceLock<Vec<(usize, usize)>> = OnceLock::new();

/// Gives back what the allocator of the C library would keep for good (type information takes some ten megabytes while it
/// is read), and the pages of code that ran once.
pub(super) fn after_start() {
    match code() {
        Ok(code) => drop(CODE.set(code)),
        Err(error) => tracing::debug!(%error, "code that only the start needs stays in memory"),
    }
    unused();
}

/// Gives back what the allocator keeps for whoever asks next, and code. What is still needed comes back from the page cache, sixteen
/// pages at a time. Takes some milliseconds where there is much.
pub fn unused() {
    #[cfg(target_env = "gnu")]
    // SAFETY: frees only what the allocator knows to be unused.
    unsafe {
        libc::malloc_trim(0);
    }
    for (address, length) in CODE.get().into_iter().flatten() {
        // SAFETY: the range is one whole mapping of this program's file that nobody can write to and that stays as long as this program,
        // so its pages hold what the file holds, and the kernel maps them again at the next use.
        let done = unsafe { madvise(*address as *mut std::ffi::c_void, *length, Advice::LinuxDontNeed) };
        if let Err(error) = done {
            tracing::debug!(%error, "code that is not needed stays in memory");
        }
    }
}

fn code() -> Result<Vec<(usize, usize)>, procfs::ProcError> {
    let code = MMPermissions::READ | MMPermissions::EXECUTE | MMPermissions::PRIVATE;
    let this = Process::myself()?;
    let executable = this.exe()?;
    let is_own = |path: &MMapPath| matches!(path, MMapPath::Path(path) if *path == executable);
    let maps = this.maps()?.into_iter();
    let maps = maps.filter(|map| map.perms == code && is_own(&map.pathname));
    let ranges = maps.map(|map| (map.address.0, map.address.1 - map.address.0));
    Ok(ranges
        .filter_map(|(begin, length)| Some((usize::try_from(begin).ok()?, usize::try_from(length).ok()?)))
        .collect())
}
