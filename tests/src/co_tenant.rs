//! Another user of eBPF on this host, as sentinel may meet it: one that puts its program in the place of ours, and one that
//! keeps the CPUs to itself so that sampling programs are left out. Both end with the value, or by themselves after a while.
//!
//! The kernel is asked through perl, which every Debian has, because unsafe code has no place here.

use std::{process::Command, thread};

use anyhow::{Result, ensure};

use crate::{paths, process::Process};

/// `bpf(2)` on x86-64 and its commands, with room for the longest of their arguments.
const CALL: &str = r#"
sub bpf {
    my ($command, $arguments) = @_;
    $arguments .= "\0" x (128 - length $arguments);
    my $result = syscall(321, $command, $arguments, 128);
    die "bpf($command): $!\n" if $result < 0;
    return $result;
}
use constant { MAP_CREATE => 0, MAP_UPDATE => 2, PROGRAM_BY_ID => 13, LINK_UPDATE => 29, LINK_BY_ID => 30 };
"#;

/// Puts the program of the second id in the place of the one of the link of the first.
const REPLACE: &str = r#"
my ($link, $program) = @ARGV;
my $link_fd = bpf(LINK_BY_ID, pack("L", $link));
my $program_fd = bpf(PROGRAM_BY_ID, pack("L", $program));
bpf(LINK_UPDATE, pack("L4", $link_fd, $program_fd, 0, 0));
"#;

/// Adds a value of 64 KiB to a Bloom filter of fifteen hashes, for some seconds. While the kernel computes them, no program of a
/// performance event runs on that CPU. Sessions share CPUs evenly where the kernel groups them, whatever their niceness: it is
/// in one of its own, ahead of the others.
const HOLD: &str = r#"
use POSIX;
POSIX::setsid();
if (open(my $group, ">", "/proc/self/autogroup")) { print $group "-15"; close $group }
my $until = time + $ARGV[0];
my $value = "x" x 65536;
my $filter = bpf(MAP_CREATE, pack("L7 a16 L5 Q", 30, 0, length $value, 1, 0, 0, 0, "co_tenant", 0, 0, 0, 0, 0, 15));
my $update = pack("L x4 Q3", $filter, 0, unpack("Q", pack("P", $value)), 0);
bpf(MAP_UPDATE, $update) while time < $until;
"#;

/// Puts a program in the place of the one that a link has.
///
/// # Errors
/// The kernel refuses.
pub fn replace(link: u64, program: u64) -> Result<()> {
    let perl = paths::tool("perl", "perl-base")?;
    let script = format!("{CALL}{REPLACE}");
    let (link, program) = (link.to_string(), program.to_string());
    let output = Command::new(perl).args(["-e", &script, &link, &program]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Keeps every CPU inside the kernel's work on maps; stops with the value.
pub struct Holder {
    of_cpus: Vec<Process>,
}

impl Holder {
    /// Starts one process on each CPU, for so many seconds at the most.
    ///
    /// # Errors
    /// A process could not be started.
    pub fn start(seconds: u64) -> Result<Self> {
        let (perl, nice) = (paths::tool("perl", "perl-base")?, paths::tool("nice", "coreutils")?);
        let taskset = paths::tool("taskset", "util-linux")?;
        let script = format!("{CALL}{HOLD}");
        let cpus = thread::available_parallelism()?.get();
        let start = |cpu: usize| {
            let mut command = Command::new(&nice);
            // Ahead of whatever else the CPU has to do, so that a sample that is due falls into its time.
            command.args(["-n", "-15"]).arg(&taskset).args(["-c", &cpu.to_string()]);
            command.arg(&perl).args(["-e", &script, &seconds.to_string()]);
            Process::spawn(&mut command)
        };
        Ok(Self {
            of_cpus: (0..cpus).map(start).collect::<Result<_>>()?,
        })
    }

    /// Whether all of them still run.
    ///
    /// # Errors
    /// One could not be asked.
    pub fn runs(&mut self) -> Result<bool> {
        for process in &mut self.of_cpus {
            if process.ended()?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
