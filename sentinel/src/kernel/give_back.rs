//! Memory that only the start needed goes back to the kernel: an agent lives for months and starts once.

use procfs::process::{MMPermissions, MMapPath, Process};
use rustix::mm::{Advice, madvise};

/// Gives back what the allocator of the C library would keep for good (type information takes some ten megabytes while it
/// is read), and the pages of code that ran once. What is still needed comes back from the page cache, page by page.
pub(super) fn after_start() {
    #[cfg(target_env = "gnu")]
    // SAFETY: frees only what the allocator knows to be unused.
    unsafe {
        libc::malloc_trim(0);
    }
    if let Err(error) = let_go_of_code() {
        tracing::debug!(%error, "code that only the start needs stays in memory");
    }
}

fn let_go_of_code() -> Result<(), procfs::ProcError> {
    let code = MMPermissions::READ | MMPermissions::EXECUTE | MMPermissions::PRIVATE;
    let this = Process::myself()?;
    let executable = this.exe()?;
    for map in this.maps()? {
        let (begin, end) = map.address;
        let is_own = matches!(&map.pathname, MMapPath::Path(path) if *path == executable);
        if !is_own || map.perms != code {
            continue;
        }
        let length = usize::try_from(end - begin).unwrap_or(0);
        // SAFETY: the range is one whole mapping of this program's file that nobody can write to, so its pages hold what the
        // file holds, and the kernel maps them again at the next use.
        let done = unsafe { madvise(begin as *mut std::ffi::c_void, length, Advice::LinuxDontNeed) };
        if let Err(error) = done {
            tracing::debug!(%error, "code that only the start needs stays in memory");
        }
    }
    Ok(())
}
