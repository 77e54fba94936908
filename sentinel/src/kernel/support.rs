//! What this host offers: probes that load nothing.

use nix::unistd::Uid;

use super::{KernelError, layout};

/// Bits of `CapEff` in `/proc/self/status`: CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF; CAP_SYS_ADMIN stands in for the last
/// two.
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;
const PERFMON: u64 = 1 << 38;
const BPF: u64 = 1 << 39;

/// What is missing to load eBPF programs, with the remedy; `None` when nothing is.
#[must_use]
pub fn missing_privileges() -> Option<String> {
    let effective = procfs::process::Process::myself()
        .and_then(|process| process.status())
        .map(|status| status.capeff);
    match effective {
        Ok(caps) if enough(caps) => None,
        Ok(_) | Err(_) if Uid::effective().is_root() && effective.is_err() => None,
        _ => Some(
            "it needs root to load eBPF programs: run it with sudo, or give it CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN"
                .into(),
        ),
    }
}

const fn enough(caps: u64) -> bool {
    let all = NET_ADMIN | PERFMON | BPF;
    caps & all == all || caps & (NET_ADMIN | SYS_ADMIN) == NET_ADMIN | SYS_ADMIN
}

/// Whether the kernel describes its types, and with how many bytes.
///
/// # Errors
/// When it does not, or the description cannot be read.
pub fn type_information() -> Result<u64, KernelError> {
    layout::read_btf().map(|(_, bytes)| bytes)
}

/// CPUs online now; one when the kernel does not say.
#[must_use]
pub fn online_cpus() -> u32 {
    aya::util::online_cpus().map_or(1, |cpus| u32::try_from(cpus.len()).unwrap_or(u32::MAX))
}

/// Has the kernel count how long programs run, until the descriptor is closed. Costs every program two readings of the
/// clock: for measurements only.
///
/// # Errors
/// The kernel is older than 5.8, or it is not allowed.
pub fn count_run_time() -> Result<std::os::fd::OwnedFd, KernelError> {
    aya::sys::enable_stats(aya::sys::Stats::RunTime).map_err(|error| KernelError::Object(super::describe(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_capability_is_needed() {
        assert!(enough(u64::MAX));
        assert!(enough(NET_ADMIN | SYS_ADMIN));
        for one in [NET_ADMIN, PERFMON, BPF] {
            assert!(!enough((NET_ADMIN | PERFMON | BPF) & !one));
        }
    }
}
