//! The kernel's own books, to hold the sensors against.

use std::{collections::BTreeMap, fs, ops::Sub};

use anyhow::{Context as _, Result};
use procfs::process::Process;

/// What `/proc/PID/task/*` says about the tasks of a process, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tasks {
    /// Tasks.
    pub tasks: u64,
    /// Time on CPU, nanoseconds.
    pub on_cpu_ns: u64,
    /// Time waited on a run-queue, nanoseconds.
    pub run_delay_ns: u64,
    /// Times run on a CPU.
    pub runs: u64,
    /// Voluntary switches.
    pub voluntary: u64,
    /// Involuntary switches.
    pub involuntary: u64,
}

impl Tasks {
    /// Reads a process; a task that ends meanwhile is left out.
    ///
    /// # Errors
    /// There is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let process = Process::new(pid.cast_signed()).with_context(|| format!("process {pid}"))?;
        let mut sum = Self::default();
        for task in process.tasks()?.flatten() {
            let (Ok(schedstat), Ok(status)) = (task.schedstat(), task.status()) else {
                continue;
            };
            sum.tasks += 1;
            sum.on_cpu_ns += schedstat.sum_exec_runtime;
            sum.run_delay_ns += schedstat.run_delay;
            sum.runs += schedstat.pcount;
            sum.voluntary += status.voluntary_ctxt_switches.unwrap_or(0);
            sum.involuntary += status.nonvoluntary_ctxt_switches.unwrap_or(0);
        }
        Ok(sum)
    }
}

/// Pages of `/proc/vmstat`, all zones together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// Pages allocated (`pgalloc_*`).
    pub allocated: u64,
    /// Pages freed (`pgfree`).
    pub freed: u64,
    /// Processes killed for lack of memory (`oom_kill`).
    pub oom_kills: u64,
}

impl Pages {
    /// Reads them.
    ///
    /// # Errors
    /// `/proc/vmstat` could not be read.
    pub fn read() -> Result<Self> {
        let counters = procfs::vmstat()?;
        let sum = |prefix: &str| {
            let matching = counters.iter().filter(|(name, _)| name.starts_with(prefix));
            matching.map(|(_, count)| count.cast_unsigned()).sum()
        };
        let one = |name: &str| counters.get(name).map_or(0, |count| count.cast_unsigned());
        Ok(Self {
            allocated: sum("pgalloc_"),
            freed: one("pgfree"),
            oom_kills: one("oom_kill"),
        })
    }
}

impl Sub for Pages {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            allocated: self.allocated.saturating_sub(before.allocated),
            freed: self.freed.saturating_sub(before.freed),
            oom_kills: self.oom_kills.saturating_sub(before.oom_kills),
        }
    }
}

/// Counters of an interface (`/proc/net/dev`). Aggregates of the stack (GSO, GRO) count once here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Packets received.
    pub ingress_packets: u64,
    /// Bytes received, from the link layer on.
    pub ingress_bytes: u64,
    /// Packets sent.
    pub egress_packets: u64,
    /// Bytes sent, from the link layer on.
    pub egress_bytes: u64,
}

impl Interface {
    /// Reads an interface of this network namespace.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn read(name: &str) -> Result<Self> {
        let all = procfs::net::dev_status()?;
        let one = all.get(name).with_context(|| format!("no interface {name}"))?;
        Ok(Self {
            ingress_packets: one.recv_packets,
            ingress_bytes: one.recv_bytes,
            egress_packets: one.sent_packets,
            egress_bytes: one.sent_bytes,
        })
    }
}

impl Sub for Interface {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            ingress_packets: self.ingress_packets.saturating_sub(before.ingress_packets),
            ingress_bytes: self.ingress_bytes.saturating_sub(before.ingress_bytes),
            egress_packets: self.egress_packets.saturating_sub(before.egress_packets),
            egress_bytes: self.egress_bytes.saturating_sub(before.egress_bytes),
        }
    }
}

/// `/proc/net/snmp` and `/proc/net/snmp6` of this network namespace, by name, as `Tcp.ActiveOpens` or `Udp6InDatagrams`.
/// TCP counts both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack(BTreeMap<String, u64>);

impl Stack {
    /// Reads both files. They are read as they are: the names differ between kernels.
    ///
    /// # Errors
    /// `/proc/net/snmp` could not be read.
    pub fn read() -> Result<Self> {
        let mut counters = BTreeMap::new();
        let text = fs::read_to_string("/proc/net/snmp")?;
        let lines: Vec<&str> = text.lines().collect();
        for [names, values] in lines.as_chunks::<2>().0 {
            let mut names = names.split_whitespace();
            let group = names.next().unwrap_or_default().trim_end_matches(':').to_owned();
            for (name, value) in names.zip(values.split_whitespace().skip(1)) {
                // `Tcp.MaxConn` is -1: no limit, and no counter.
                counters.insert(format!("{group}.{name}"), value.parse().unwrap_or(0));
            }
        }
        for line in fs::read_to_string("/proc/net/snmp6").unwrap_or_default().lines() {
            if let Some((name, value)) = line.split_once(char::is_whitespace) {
                counters.insert(name.to_owned(), value.trim().parse().unwrap_or(0));
            }
        }
        Ok(Self(counters))
    }

    /// How much a counter has grown since an earlier reading; 0 for one that does not exist.
    #[must_use]
    pub fn growth(&self, before: &Self, name: &str) -> u64 {
        let of = |stack: &Self| stack.0.get(name).copied().unwrap_or(0);
        of(self).saturating_sub(of(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_of_this_kernel_can_be_read() {
        let tasks = Tasks::of(std::process::id()).expect("this process");
        assert!(tasks.tasks >= 1 && tasks.on_cpu_ns > 0 && tasks.runs > 0, "{tasks:?}");
        let pages = Pages::read().expect("vmstat");
        assert!(pages.allocated > 0 && pages.freed > 0, "{pages:?}");
        Interface::read("lo").expect("loopback");
        let stack = Stack::read().expect("snmp");
        assert!(stack.0.contains_key("Tcp.ActiveOpens"), "{stack:?}");
        assert_eq!(stack.growth(&stack, "Tcp.ActiveOpens"), 0);
    }
}
