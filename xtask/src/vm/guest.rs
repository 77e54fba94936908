//! One guest: puts its file system together, boots it in the emulator, reads what it said, counts. A boot that ends in a
//! crash of the kernel is tried once more and reported, because the emulator is known to cause some. Ends only its own emulator.

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
    Kernel, Programs,
    initramfs::{Initramfs, Task},
    kernels::Image,
    serial::{self, Boot},
};
use crate::{
    process::{self, Missing},
    report::Tally,
    test::{contracts::conclude, libtest, libtest::Row},
    workspace::Workspace,
};

/// A boot that takes longer is ended.
const LIMIT: Duration = Duration::from_secs(600);
/// A contract in a guest that takes longer is ended by the guest.
const TASK_LIMIT_S: u32 = 300;

/// What a kernel's boot gave.
pub(super) struct Done {
    /// Counts over all tasks; a boot that did not end counts as one failure more.
    pub(super) tally: Tally,
    /// What is worth a line in the summary.
    pub(super) note: String,
    /// Rows for the table of kernels.
    pub(super) rows: Vec<Row>,
}

/// How one boot went by the clock.
struct Times {
    ready: Option<Duration>,
    all: Duration,
}

/// Boots `image` and runs the programs in it.
pub(super) fn run(
    workspace: &Workspace,
    kernel: &Kernel,
    image: &Image,
    programs: &Programs,
    filter: Option<&str>,
) -> Result<Done> {
    let folder = workspace.vm().join("boots").join(kernel.name);
    fs::create_dir_all(&folder).with_context(|| format!("the folder {}", folder.display()))?;
    let initrd = folder.join("initrd");
    fs::write(&initrd, system(image, programs, filter)?.archive())
        .with_context(|| format!("writing {}", initrd.display()))?;
    let mut notes = Vec::new();
    let log = folder.join("serial.log");
    let (mut boot, mut times) = boot(kernel, image, &initrd, &log)?;
    if let (false, Some(crash)) = (boot.complete, &boot.crash) {
        let kept = folder.join("serial.crashed.log");
        let _ = fs::rename(&log, &kept);
        println!("the kernel crashed ({crash}; {}): one more boot", kept.display());
        notes.push(format!("second boot after a crash ({crash})"));
        (boot, times) = self::boot(kernel, image, &initrd, &log)?;
    }
    let mut done = count(&boot, &log);
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    notes.insert(
        0,
        format!(
            "init after {}, off after {}",
            times.ready.map_or("-".into(), seconds),
            seconds(times.all)
        ),
    );
    notes.extend((!done.note.is_empty()).then(|| std::mem::take(&mut done.note)));
    done.note = notes.join("; ");
    Ok(done)
}

fn system(image: &Image, programs: &Programs, filter: Option<&str>) -> Result<Initramfs> {
    let contracts = programs.for_guests();
    let mut tasks = vec![Task {
        name: "check".into(),
        command: "/sentinel check --json".into(),
        limit_s: 60,
    }];
    tasks.extend(contracts.iter().map(|contract| {
        Task {
            name: contract.name.clone(),
            command: [
                "/contracts/",
                &contract.name,
                " --test-threads=1 --nocapture ",
                filter.unwrap_or_default(),
            ]
            .concat(),
            limit_s: TASK_LIMIT_S,
        }
    }));
    let mut system = Initramfs::new(&tasks)?;
    system.program(&programs.agent, "/sentinel")?;
    for contract in contracts {
        system.program(&contract.program, &format!("/contracts/{}", contract.name))?;
    }
    for module in &image.modules {
        system.module(module)?;
    }
    Ok(system)
}

/// The emulator, as each kernel needs it.
fn emulator(kernel: &Kernel, image: &Image, initrd: &Path) -> Result<Command> {
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
        "-m",
        "1024",
        "-smp",
        "2",
        "-nographic",
        "-no-reboot",
    ]);
    command.arg("-kernel").arg(&image.vmlinuz).arg("-initrd").arg(initrd);
    command.args(["-append", "console=ttyS0 quiet panic=-1"]);
    Ok(command)
}

/// Boots once; the serial line goes to `log`.
fn boot(kernel: &Kernel, image: &Image, initrd: &Path, log: &Path) -> Result<(Boot, Times)> {
    let start = process::now();
    let mut command = emulator(kernel, image, initrd)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} could not be started", process::shown(&command)))?;
    let (mut text, mut ready) = (Vec::new(), None);
    let chunks = chunks(&mut child)?;
    while let Some(left) = LIMIT.checked_sub(start.elapsed()) {
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

fn count(boot: &Boot, log: &Path) -> Done {
    let mut done = Done {
        tally: Tally::default(),
        note: String::new(),
        rows: Vec::new(),
    };
    let mut notes = Vec::new();
    done.rows.extend(
        boot.release
            .iter()
            .map(|release| ("kernel".to_owned(), release.clone())),
    );
    for part in &boot.parts {
        let ending = part
            .code
            .map_or("did not end".into(), |code| format!("ended with {code}"));
        let (tally, note) = if part.name == "check" {
            let good = part.code == Some(0) && serial::json(&part.text).is_some();
            let note = format!("{ending} or printed no JSON");
            if good {
                (Tally::PASSED, String::new())
            } else {
                (Tally::FAILED, note)
            }
        } else {
            conclude(&part.text, part.code == Some(0), &ending)
        };
        println!("{}: {tally}", part.name);
        done.tally.add(tally);
        done.rows.extend(libtest::rows(&part.text));
        notes.extend((!note.is_empty()).then(|| format!("{}: {note}", part.name)));
    }
    if !boot.complete {
        done.tally.add(Tally::FAILED);
        notes.push("the guest did not get to its end".into());
    }
    if done.tally.failed > 0 {
        println!("the serial line is in {}; its end:\n{}", log.display(), end_of(log));
    }
    done.note = notes.join("; ");
    done
}

fn end_of(log: &Path) -> String {
    process::tail(&String::from_utf8_lossy(&fs::read(log).unwrap_or_default()), 40)
}
