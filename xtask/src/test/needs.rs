//! Programs the tests use, each with the package that brings it and the reason it is needed. Installs what is missing.

use std::path::Path;

use anyhow::Result;

use crate::{
    apt,
    process::{self, Missing},
};

/// One program the tests cannot do without.
struct Need {
    /// What to look for: a name on PATH, or an absolute path.
    program: &'static str,
    /// Debian's package.
    package: &'static str,
    /// Why.
    reason: &'static str,
    /// True if only the QEMU matrix uses it.
    vm: bool,
}

const NEEDS: [Need; 8] = [
    Need {
        program: "ip",
        package: "iproute2",
        reason: "network namespaces, so that packets cross a link",
        vm: false,
    },
    Need {
        program: "haproxy",
        package: "haproxy",
        reason: "the retry storm that real software makes",
        vm: false,
    },
    Need {
        program: "/lib/systemd/systemd-journald",
        package: "systemd",
        reason: "verdicts are read back from a real journal",
        vm: false,
    },
    Need {
        program: "journalctl",
        package: "systemd",
        reason: "reads that journal",
        vm: false,
    },
    Need {
        program: "bpftool",
        package: "bpftool",
        reason: "says what is still attached after the agent ended",
        vm: false,
    },
    Need {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
        reason: "boots the kernels of the matrix",
        vm: true,
    },
    Need {
        program: "busybox",
        package: "busybox-static",
        reason: "everything else in the guest",
        vm: true,
    },
    Need {
        program: "xz",
        package: "xz-utils",
        reason: "unpacks kernel modules for the guest",
        vm: true,
    },
];

/// For whom to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// The contracts on this machine.
    Contracts,
    /// The QEMU matrix.
    Matrix,
    /// Both.
    All,
}

/// Finds or installs what the tests need; one line per need.
pub(crate) fn find_or_install(purpose: For) -> Result<()> {
    for need in NEEDS
        .iter()
        .filter(|need| purpose == For::All || need.vm == (purpose == For::Matrix))
    {
        if is_here(need.program) {
            println!("{}: here ({})", need.program, need.reason);
        } else {
            println!("{}: missing ({})", need.program, need.reason);
            apt::install(&[need.package], need.reason)?;
            if !is_here(need.program) {
                return Err(Missing(format!(
                    "package {0} is installed, and {1} is still not here: `apt-get install --reinstall {0}`, or put it on PATH",
                    need.package, need.program
                ))
                .into());
            }
        }
    }
    Ok(())
}

fn is_here(program: &str) -> bool {
    if program.starts_with('/') {
        process::is_executable(Path::new(program))
    } else {
        process::which(program).is_some()
    }
}
