//! What holds for a whole run: host, kernel, CPUs.

use rustix::system::uname;

use super::sample::Origin;
use crate::kernel::support;

/// Reads it. What cannot be read is empty or, for the size of a page, what the machine was built with.
#[must_use]
pub fn read() -> Origin {
    let uname = uname();
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Origin {
        host: uname.nodename().to_string_lossy().into_owned(),
        boot_id: boot_id.trim_end().to_owned(),
        kernel: uname.release().to_string_lossy().into_owned(),
        cpus: support::online_cpus(),
        page_bytes: rustix::param::page_size() as u64,
    }
}
