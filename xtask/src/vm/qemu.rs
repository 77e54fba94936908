//! The emulator: one boot from power on to power off, its serial line kept in a file. Ends only the emulator it started.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    Kernel,
    kernels::Image,
    serial::{self, Boot},
};
use crate::process::{self, Missing};

/// What one boot may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Memory, megabytes.
    pub(super) memory_mb: u32,
    /// A boot that takes longer is ended.
    pub(super) limit: Duration,
    /// Whether it can be suspended: the emulator's older machine does not come back from that.
    pub(super) suspends: bool,
}

impl Size {
    /// For contracts.
    pub(super) const USUAL: Self = Self {
        memory_mb: 1024,
        limit: Duration::from_secs(1500),
        suspends: false,
    };
}

/// How one boot went by the clock.
pub(super) struct Times {
    /// From power on to the first word of init; `None` if it never came.
    pub(super) ready: Option<Duration>,
    /// From power on to power off.
    pub(super) all: Duration,
}

/// The emulator, as each kernel needs it.
fn emulator(kernel: &Kernel, image: &Image, initrd: &Path, size: Size) -> Result<Command> {
    let program: PathBuf = process::which("qemu-system-x86_64").ok_or_else(|| {
        Missing(
            "qemu-system-x86_64 is missing: get it with `apt-get install --no-install-recommends qemu-system-x86`"
                .into(),
        )
    })?;
    let mut command = Command::new(program);
    let cpu = if kernel.cx16 {
        "max,la57=off"
    } else {
        "max,la57=off,cx16=off"
    };
    command.args([
        "-accel",
        "tcg,thread=single",
        "-cpu",
        cpu,
        "-smp",
        "2",
        "-nographic",
        "-no-reboot",
    ]);
    if size.suspends {
        command.args(["-machine", "q35"]);
    }
    command.arg("-m").arg(size.memory_mb.to_string());
    command.arg("-kernel").arg(&image.vmlinuz).arg("-initrd").arg(initrd);
    command.args(["-append", "console=ttyS0 quiet panic=-1"]);
    Ok(command)
}

/// Boots once; the serial line goes to `log`.
pub(super) fn boot(kernel: &Kernel, image: &Image, initrd: &Path, log: &Path, size: Size) -> Result<(Boot, Times)> {
    let start = process::now();
    let mut command = emulator(kernel, image, initrd, size)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} could not be started", process::shown(&command)))?;
    let (mut text, mut ready) = (Vec::new(), None);
    let chunks = chunks(&mut child)?;
    while let Some(left) = size.limit.checked_sub(start.elapsed()) {
        let Ok(chunk) = chunks.recv_timeout(left) else { break };
        text.extend(chunk);
        if ready.is_none() && text.windows(18).any(|window| window == b"SENTINEL-VM ready ") {
            ready = Some(start.elapsed());
        }
    }
    // Past the limit it still runs; after the end of its output this does nothing.
    let _ = child.kill();
    child.wait().context("waiting for the emulator")?;
    fs::write(log, &text).with_context(|| format!("writing {}", log.display()))?;
    Ok((
        serial::parse(&String::from_utf8_lossy(&text)),
        Times {
            ready,
            all: start.elapsed(),
        },
    ))
}

/// The emulator's output as it comes, so that reading it can have a time limit.
fn chunks(child: &mut Child) -> Result<mpsc::Receiver<Vec<u8>>> {
    let mut stdout = child.stdout.take().context("the emulator's output")?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stdout.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    Ok(receiver)
}
