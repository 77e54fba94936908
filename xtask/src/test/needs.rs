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
    /// Who uses it.
    by: For,
}

const NEEDS: [Need; 17] = [
    Need {
        program: "ip",
        package: "iproute2",
        reason: "network namespaces, so that packets cross a link",
        by: For::Contracts,
    },
    Need {
        program: "haproxy",
        package: "haproxy",
        reason: "the retry storm that real software makes",
        by: For::Contracts,
    },
    Need {
        program: "/lib/systemd/systemd-journald",
        package: "systemd",
        reason: "verdicts are read back from a real journal",
        by: For::Contracts,
    },
    Need {
        program: "journalctl",
        package: "systemd",
        reason: "reads that journal",
        by: For::Contracts,
    },
    Need {
        program: "bpftool",
        package: "bpftool",
        reason: "says what is still attached after the agent ended",
        by: For::Contracts,
    },
    Need {
        program: "perf",
        package: "linux-perf",
        reason: "loads on the scheduler that everybody knows",
        by: For::Bench,
    },
    Need {
        program: "iperf3",
        package: "iperf3",
        reason: "bulk transfer over loopback",
        by: For::Bench,
    },
    Need {
        program: "chromium",
        package: "chromium",
        reason: "shows the page as its readers see it",
        by: For::Contracts,
    },
    Need {
        program: "chromedriver",
        package: "chromium-driver",
        reason: "clicks and reads in that browser",
        by: For::Contracts,
    },
    Need {
        program: "promtool",
        package: "prometheus",
        reason: "scrapes the metrics, and holds rules and dashboard against them",
        by: For::Contracts,
    },
    Need {
        program: "tmux",
        package: "tmux",
        reason: "a terminal that `sentinel top` is driven in",
        by: For::Contracts,
    },
    Need {
        program: "umoci",
        package: "umoci",
        reason: "unpacks the image as other tools do",
        by: For::Contracts,
    },
    Need {
        program: "runc",
        package: "runc",
        reason: "runs the image as Kubernetes does",
        by: For::Contracts,
    },
    Need {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
        reason: "boots the kernels of the matrix",
        by: For::Matrix,
    },
    Need {
        program: "busybox",
        package: "busybox-static",
        reason: "everything else in the guest",
        by: For::Matrix,
    },
    Need {
        program: "mmdebstrap",
        package: "mmdebstrap",
        reason: "makes the distribution of the guests with systemd",
        by: For::Matrix,
    },
    Need {
        program: "xz",
        package: "xz-utils",
        reason: "unpacks kernel modules for the guest",
        by: For::Matrix,
    },
];

/// For whom to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// The contracts on this machine.
    Contracts,
    /// The QEMU matrix.
    Matrix,
    /// Measurements of what sentinel costs.
    Bench,
    /// Contracts and matrix.
    All,
}

/// Finds or installs what the tests need; one line per need.
pub(crate) fn find_or_install(purpose: For) -> Result<()> {
    for need in NEEDS
        .iter()
        .filter(|need| need.by == purpose || purpose == For::All && need.by != For::Bench)
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
