//! Limits and use as the cgroup controllers and `/proc/meminfo` tell them. A file that is not there is not measured.

use std::{fs, os::unix::fs::FileExt as _, path::Path};

/// What the controllers say about one cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `memory.max`, bytes. `None` without a limit, at the root, and where the memory controller is not enabled.
    pub memory_max_bytes: Option<u64>,
    /// `memory.current`, bytes. `None` where the memory controller is not enabled.
    pub memory_current_bytes: Option<u64>,
    /// `memory.high`, bytes. `None` as for `memory.max`.
    pub memory_high_bytes: Option<u64>,
    /// Page cache and reclaimable slab, bytes: `inactive_file`, `active_file` and `slab_reclaimable` of `memory.stat`. `None`
    /// without a limit: the kernel has to sum up statistics for it.
    pub memory_reclaimable_bytes: Option<u64>,
    /// Time tasks were held back by `cpu.max` since the cgroup was made: `throttled_usec` of `cpu.stat`, microseconds.
    /// `None` where the CPU controller is not enabled.
    pub throttled_us: Option<u64>,
}

/// Memory of the host, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostMemory {
    /// `MemTotal`.
    pub total_bytes: u64,
    /// `MemAvailable`: what could be handed out without swapping. `None` before Linux 3.14.
    pub available_bytes: Option<u64>,
}

/// Reads the limits of the cgroup whose directory is `dir`: four small files, and one more where there is a limit.
#[must_use]
pub fn read(dir: &Path) -> Limits {
    of_files(&|file| fs::read_to_string(dir.join(file)).ok())
}

/// The limits that these files tell; `None` for a file that is not there. Asks for no file that it does not need.
#[must_use]
pub fn of_files(text: &dyn Fn(&str) -> Option<String>) -> Limits {
    let number = |file: &str| text(file)?.trim_end().parse().ok();
    let memory_max_bytes: Option<u64> = number("memory.max");
    let memory_high_bytes: Option<u64> = number("memory.high");
    let limited = memory_max_bytes.or(memory_high_bytes).is_some();
    Limits {
        memory_max_bytes,
        memory_high_bytes,
        memory_reclaimable_bytes: limited
            .then(|| text("memory.stat"))
            .flatten()
            .as_deref()
            .and_then(reclaimable),
        memory_current_bytes: number("memory.current"),
        throttled_us: text("cpu.stat").as_deref().and_then(throttled_us),
    }
}

/// `/proc/meminfo`, kept open: one system call for each reading instead of four.
#[derive(Debug)]
pub struct HostBook(Option<fs::File>);

/// The kernel writes about 1.5 KiB.
const MEMINFO_BYTES: usize = 8192;

impl HostBook {
    /// Opens it; where it cannot be opened, nothing is measured.
    #[must_use]
    pub fn open() -> Self {
        Self(fs::File::open("/proc/meminfo").ok())
    }

    /// Reads the host's memory; `None` when it is unreadable.
    #[must_use]
    pub fn read(&self) -> Option<HostMemory> {
        let mut text = [0; MEMINFO_BYTES];
        let length = self.0.as_ref()?.read_at(&mut text, 0).ok()?;
        host_memory(&text[..length])
    }
}

/// The host's memory as `/proc/meminfo` tells it; `None` for what is no such text. Two lines of fifty count: the others are
/// not read, and a reader of all of them that panics in the middle of a character would end the agent.
#[must_use]
pub fn host_memory(meminfo: &[u8]) -> Option<HostMemory> {
    let text = std::str::from_utf8(meminfo).ok()?;
    let bytes = |name: &str| {
        let kib = |line: &str| line.strip_prefix(name)?.strip_suffix("kB")?.trim().parse::<u64>().ok();
        text.lines().find_map(kib)?.checked_mul(1024)
    };
    Some(HostMemory {
        total_bytes: bytes("MemTotal:")?,
        available_bytes: bytes("MemAvailable:"),
    })
}

fn throttled_us(cpu_stat: &str) -> Option<u64> {
    cpu_stat
        .lines()
        .find_map(|line| line.strip_prefix("throttled_usec ")?.parse().ok())
}

/// `None` when a line is missing: a sum of some would look like all.
fn reclaimable(memory_stat: &str) -> Option<u64> {
    let line = |name: &str| {
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<u64>().ok();
        memory_stat.lines().find_map(value)
    };
    Some(
        line("inactive_file")?
            .saturating_add(line("active_file")?)
            .saturating_add(line("slab_reclaimable")?),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn a_limited_cgroup_tells_its_limits() {
        let dir = cgroup(&[
            ("memory.max", "1073741824\n"),
            ("memory.current", "4096\n"),
            ("memory.high", "max\n"),
            (
                "memory.stat",
                "anon 1000\nfile 900\ninactive_file 300\nactive_file 500\nunevictable 0\nslab_reclaimable 20\nslab 50\n",
            ),
            (
                "cpu.stat",
                "usage_usec 9\nuser_usec 5\nsystem_usec 4\nnr_periods 2\nnr_throttled 1\nthrottled_usec 1234\n",
            ),
        ]);
        let expected = Limits {
            memory_max_bytes: Some(1 << 30),
            memory_current_bytes: Some(4096),
            memory_high_bytes: None,
            memory_reclaimable_bytes: Some(820),
            throttled_us: Some(1234),
        };
        assert_eq!(read(dir.path()), expected);
    }

    #[test]
    fn max_is_no_limit_and_a_missing_file_is_not_measured() {
        let dir = cgroup(&[
            ("memory.max", "max\n"),
            (
                "memory.stat",
                "inactive_file 300\nactive_file 500\nslab_reclaimable 20\n",
            ),
            ("cpu.stat", "usage_usec 9\n"),
        ]);
        assert_eq!(read(dir.path()), Limits::default());
        assert_eq!(read(Path::new("/nonexistent")), Limits::default());
    }

    #[test]
    fn the_lines_of_memory_are_found_and_what_is_none_is_not_read() {
        let memory = host_memory(b"MemTotal:        2048 kB\nMemFree: 1 kB\nMemAvailable:       3 kB\n");
        let expected = HostMemory {
            total_bytes: 2 << 20,
            available_bytes: Some(3072),
        };
        assert_eq!(memory, Some(expected));
        for none in [
            "",
            "MemFree: 1 kB\n",
            "MemTotal: 18446744073709551615 kB\n",
            "+\u{284} 3",
        ] {
            assert_eq!(host_memory(none.as_bytes()), None, "{none:?}");
        }
    }

    #[test]
    fn the_host_has_memory_and_no_more_available_than_there_is() {
        let memory = HostBook::open().read().unwrap();
        assert!(memory.available_bytes.unwrap() <= memory.total_bytes);
    }
}
