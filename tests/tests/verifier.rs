//! Contract: this kernel's verifier takes every program, and growth of a program shows.

use sentinel::kernel::{Kernel, Options};

/// The largest number of instructions any program may make a verifier walk. The largest today takes about a tenth.
const MOST_VERIFIED: u32 = 20_000;

fn options() -> Options {
    let cgroup_root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .iter()
        .map(std::path::PathBuf::from)
        .find(|path| path.join("cgroup.controllers").exists());
    Options {
        max_cgroups: 1024,
        sched: true,
        mem: true,
        net: true,
        cgroup_root,
        debug: false,
    }
}

#[test]
fn every_sensor_runs_on_this_kernel_and_says_so() {
    let kernel = Kernel::open(&options()).expect("the kernel side");
    for sensor in kernel.sensors() {
        println!(
            "MATRIX sensor {}={}",
            sensor.name,
            sensor.unavailable.as_deref().unwrap_or("ok")
        );
    }
    let missing: Vec<_> = kernel
        .sensors()
        .iter()
        .filter(|sensor| sensor.unavailable.is_some())
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert_eq!(kernel.sensors().len(), 8);
}

#[test]
fn no_program_grows_beyond_what_the_oldest_verifier_likes() {
    let kernel = Kernel::open(&options()).expect("the kernel side");
    let programs = kernel.programs();
    assert_eq!(programs.len(), 8, "{programs:?}");
    for program in programs {
        let walked = program.verified_instructions;
        println!(
            "MATRIX verified {}={}",
            program.name,
            walked.map_or_else(|| "not told".to_owned(), |count| count.to_string())
        );
        assert!(walked.unwrap_or(0) <= MOST_VERIFIED, "{program:?}");
    }
}
