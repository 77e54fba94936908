//! Tools that do a part of sentinel's job: how they are started, and why one cannot be. Measures nothing.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::Result;
use nix::sys::signal::Signal;

use crate::{lines::Lines, paths, process::Process, wait};

/// A tool, like the agent, has attached what it has to after this long.
pub const ATTACHED: Duration = Duration::from_millis(2500);
/// One that looks at the scheduler without programs of its own.
pub const WITHOUT_PROGRAMS: &str = "perf sched record";
const END: Duration = Duration::from_secs(10);

/// Gives a tool the kernel's tracing files in a mount namespace of its own, where the machine has them not mounted.
const WITH_TRACING: &str = r#"mount -t debugfs none /sys/kernel/debug 2>/dev/null
mount -t tracefs none /sys/kernel/tracing 2>/dev/null
exec "$0" "$@""#;

/// A tool that does a part of sentinel's job, and the loads that part is about.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    program: &'static str,
    package: &'static str,
    args: &'static [&'static str],
    /// Names of the loads that its part is about.
    pub loads: &'static [&'static str],
}

/// Loads that only switch.
pub const SCHEDULER: &[&str] = &["perf bench sched pipe", "perf bench sched messaging"];
const PACKETS: &str = "tracepoint:net:net_dev_queue { @out[cgroup] = count(); @outb[cgroup] = sum(args->len); }
tracepoint:net:netif_receive_skb { @in[cgroup] = count(); @inb[cgroup] = sum(args->len); }";

/// What `runqlat.bt` does, without the kernel's headers that it wants.
const RUN_QUEUE: &str =
    "tracepoint:sched:sched_wakeup, tracepoint:sched:sched_wakeup_new { @since[args->pid] = nsecs; }
tracepoint:sched:sched_switch {
  if (args->prev_state == 0) { @since[args->prev_pid] = nsecs; }
  $ns = @since[args->next_pid];
  if ($ns) { @us = hist((nsecs - $ns) / 1000); }
  delete(@since[args->next_pid]);
}";

const TOOLS: [Tool; 6] = [
    Tool {
        name: "bpftrace, run-queue latency",
        program: "bpftrace",
        package: "bpftrace",
        args: &["-e", RUN_QUEUE],
        loads: SCHEDULER,
    },
    Tool {
        name: "bpftrace runqlat.bt",
        program: "runqlat.bt",
        package: "bpftrace",
        args: &[],
        loads: SCHEDULER,
    },
    Tool {
        name: "bpfcc runqlat",
        program: "runqlat-bpfcc",
        package: "bpfcc-tools",
        args: &["60", "1"],
        loads: SCHEDULER,
    },
    Tool {
        name: WITHOUT_PROGRAMS,
        program: "perf",
        package: "linux-perf",
        args: &["sched", "record", "-o", "/dev/null"],
        loads: SCHEDULER,
    },
    Tool {
        name: "bpftrace, pages by cgroup",
        program: "bpftrace",
        package: "bpftrace",
        args: &[
            "-e",
            "tracepoint:kmem:mm_page_alloc { @a[cgroup] = count(); } tracepoint:kmem:mm_page_free { @f[cgroup] = count(); }",
        ],
        loads: &["page faults"],
    },
    Tool {
        name: "bpftrace, packets by cgroup",
        program: "bpftrace",
        package: "bpftrace",
        args: &["-e", PACKETS],
        loads: &["requests", "requests, two CPUs", "iperf3"],
    },
];

impl Tool {
    fn command(&self) -> Result<Command> {
        let mut command = Command::new(paths::tool("unshare", "util-linux")?);
        command.args(["--mount", "/bin/sh", "-c", WITH_TRACING]);
        command.arg(paths::tool(self.program, self.package)?).args(self.args);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command)
    }

    /// Starts it, and waits until it has attached what it has to.
    pub fn start(&self) -> Result<Process> {
        let mut command = self.command()?;
        command.stderr(Stdio::null());
        let process = Process::spawn(&mut command)?;
        thread::sleep(ATTACHED);
        Ok(process)
    }

    /// Ends it.
    pub fn end(running: &mut Process) -> Result<()> {
        running.signal(Signal::SIGINT)?;
        running.wait(END)?;
        Ok(())
    }

    /// Why it cannot run here, in its own words.
    fn hindrance(&self) -> Option<String> {
        let mut command = match self.command() {
            Ok(command) => command,
            Err(error) => return Some(error.to_string()),
        };
        command.stderr(Stdio::piped());
        let mut process = Process::spawn(&mut command).ok()?;
        let lines = Lines::read(process.child().stderr.take()?);
        let ended = wait::until(ATTACHED, || process.ended().transpose());
        let _ = process.signal(Signal::SIGINT);
        let _ = process.wait(END);
        ended.map(|_| {
            lines
                .texts()
                .last()
                .cloned()
                .unwrap_or_else(|| "it ended at once".to_owned())
        })
    }
}

/// Tools for one of these loads that run here; what is said about the others.
pub fn able(loads: &[&str], findings: &mut Vec<String>) -> Vec<Tool> {
    let mut able = Vec::new();
    for tool in TOOLS {
        if !loads.iter().any(|load| tool.loads.contains(load)) {
            continue;
        }
        match tool.hindrance() {
            None => able.push(tool),
            Some(reason) => findings.push(format!("{} skipped: {}", tool.name, reason.trim())),
        }
    }
    able
}
