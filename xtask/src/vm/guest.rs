//! One guest: puts its file system together, has it booted, counts what it said. A boot that ends in a
//! crash of the kernel is tried once more and reported, because the emulator is known to cause some. Never starts a process itself.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    Kernel, Programs,
    initramfs::{Initramfs, Task},
    kernels::Image,
    qemu::{self, Size},
    serial::{self, Boot, Part},
};
use crate::{
    process,
    report::Tally,
    test::{contracts::conclude, libtest, libtest::Row},
    workspace::Workspace,
};

/// A contract in a guest that takes longer is ended by the guest.
const TASK_LIMIT_S: u32 = 600;

/// The guest's first task.
const CHECK: &str = "check";

/// What a kernel's boot gave.
pub(super) struct Done {
    /// Counts over all tasks; a boot that did not end counts as one failure more.
    pub(super) tally: Tally,
    /// What is worth a line in the summary.
    pub(super) note: String,
    /// Rows for the table of kernels.
    pub(super) rows: Vec<Row>,
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
    let (mut boot, mut times) = qemu::boot(kernel, image, &initrd, &log, Size::USUAL)?;
    if let (false, Some(crash)) = (boot.complete, &boot.crash) {
        let kept = folder.join("serial.crashed.log");
        let _ = fs::rename(&log, &kept);
        println!(
            "kernel {}: crashed ({crash}; {}), one more boot",
            kernel.name,
            kept.display()
        );
        notes.push(format!("second boot after a crash ({crash})"));
        (boot, times) = qemu::boot(kernel, image, &initrd, &log, Size::USUAL)?;
    }
    let mut done = count(kernel.name, &boot, &log);
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
        name: CHECK.into(),
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
    system.program(&programs.workload()?, "/contracts/sentinel-workload")?;
    for module in &image.modules {
        system.module(module)?;
    }
    Ok(system)
}

fn count(kernel: &str, boot: &Boot, log: &Path) -> Done {
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
        let (tally, note) = if part.name == CHECK {
            done.rows.push(("`sentinel check`".into(), ending.clone()));
            checked(part, &ending)
        } else {
            conclude(&part.text, part.code == Some(0), &ending)
        };
        println!("kernel {kernel}: {}: {tally}", part.name);
        done.tally.add(tally);
        done.rows.extend(libtest::rows(&part.text));
        notes.extend((!note.is_empty()).then(|| format!("{}: {note}", part.name)));
    }
    if !boot.complete {
        done.tally.add(Tally::FAILED);
        notes.push("the guest did not get to its end".into());
    }
    if let Some(crash) = &boot.crash {
        done.tally.add(Tally::FAILED);
        notes.push(format!("the kernel said: {crash}"));
    }
    if done.tally.failed > 0 {
        println!(
            "kernel {kernel}: the serial line is in {}; its end:\n{}",
            log.display(),
            end_of(log)
        );
    }
    done.note = notes.join("; ");
    done
}

/// `sentinel check` holds if it says that the main job can run, and says it in JSON.
fn checked(part: &Part, ending: &str) -> (Tally, String) {
    match (part.code, serial::json(&part.text)) {
        (Some(0), Some(_)) => (Tally::PASSED, String::new()),
        (Some(0), None) => (Tally::FAILED, "printed no JSON".into()),
        _ => (Tally::FAILED, ending.to_owned()),
    }
}

fn end_of(log: &Path) -> String {
    process::tail(&String::from_utf8_lossy(&fs::read(log).unwrap_or_default()), 40)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Done {
        count("6.1", &serial::parse(text), Path::new("no-such-log"))
    }

    const GOOD: &str = "SENTINEL-VM ready 6.1.0\nSENTINEL-VM begin check\n{}\nSENTINEL-VM end check 0\nSENTINEL-VM begin sensors\n\
        test a ... MATRIX a=b\nok\ntest result: ok. 1 passed; 0 failed; 0 ignored\nSENTINEL-VM end sensors 0\n";

    #[test]
    fn a_boot_to_the_end_counts_its_check_and_its_tests() {
        let done = said(&format!("{GOOD}SENTINEL-VM done\n"));
        assert_eq!(
            done.tally,
            Tally {
                passed: 2,
                failed: 0,
                skipped: 0
            }
        );
        assert!(
            done.rows.contains(&("a".into(), "b".into())) && done.rows.contains(&("kernel".into(), "6.1.0".into()))
        );
    }

    #[test]
    fn a_boot_that_stops_early_fails_even_when_every_test_so_far_passed() {
        assert_eq!(said(GOOD).tally.failed, 1);
        assert_eq!(said("").tally, Tally::FAILED);
    }

    #[test]
    fn an_oops_fails_a_boot_that_got_to_its_end() {
        let done = said(&format!("{GOOD}[ 1.0] Oops: 0002 [#1]\nSENTINEL-VM done\n"));
        assert!(
            done.tally.failed == 1 && done.note.contains("Oops: 0002"),
            "{}",
            done.note
        );
    }

    #[test]
    fn a_check_that_prints_no_json_or_says_this_host_cannot_fails() {
        assert_eq!(said(&GOOD.replace("{}", "fine")).tally.failed, 2);
        assert_eq!(said(&GOOD.replace("check 0", "check 3")).tally.failed, 2);
    }
}
