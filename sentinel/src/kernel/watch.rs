//! Whether what was attached still is, and runs. Whoever is root may detach a link of somebody else (`bpftool link detach`)
//! or put another program in its place, and the kernel tells nobody: counters stand still then, which looks like peace.
//! Only links of cgroups can be taken that way; those of tracepoints and performance events cannot. Programs of
//! tracepoints the kernel may leave out instead, and counts how often. Never attaches anything again.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::PathBuf,
};

use sentinel_common::loss::{EVENT_DROPPED, LOSS_KINDS, MEM_RUN_MISSED, SCHED_RUN_MISSED};

use super::Kernel;

/// Programs of the network sensor: without any one of them it counts wrongly.
const OF_NETWORK: [&str; 3] = ["ingress", "egress", "sock_ops"];
/// Programs of tracepoints, and what is missing when one of them is left out.
const OF_TRACEPOINTS: [(&str, usize); 4] = [
    ("sched_switch", SCHED_RUN_MISSED),
    ("rss_stat", MEM_RUN_MISSED),
    ("mark_victim", MEM_RUN_MISSED),
    // A cgroup whose end was not reported: what is looked for when an event was dropped.
    ("cgroup_rmdir", EVENT_DROPPED),
];
const DESCRIPTORS: &str = "/proc/self/fdinfo";
/// Runs of a program that were left out because it ran on that CPU already.
const MISSES: &str = "recursion_misses";
/// What the kernel tells of a descriptor is shorter by far.
const MOST_TOLD: usize = 1024;

/// One link of a cgroup.
#[derive(Debug)]
pub(super) struct Attachment {
    name: &'static str,
    program: u64,
    told: Told,
}

/// One program of a tracepoint.
#[derive(Debug)]
pub(super) struct Runs {
    loss: usize,
    told: Told,
}

/// What the kernel tells of a descriptor of this process. Open from the start on: who has changed its user may not open it
/// any more.
#[derive(Debug)]
struct Told(File);

impl Told {
    /// A number of it; `None` where the kernel does not tell.
    fn number(&self, name: &str) -> Option<u64> {
        field(&self.text()?, name)
    }

    fn text(&self) -> Option<String> {
        let mut bytes = vec![0; MOST_TOLD];
        let length = self.0.read_at(&mut bytes, 0).ok()?;
        bytes.truncate(length);
        String::from_utf8(bytes).ok()
    }
}

/// What became of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Ours,
    Detached,
    Replaced,
    /// The kernel does not tell.
    Untold,
}

impl Attachment {
    fn fate(&self) -> Fate {
        self.told.text().map_or(Fate::Untold, |text| fate(&text, self.program))
    }
}

impl Kernel {
    /// Finds the links that can be taken away and the programs that can be left out. To be called once everything is attached.
    pub(super) fn find_watched(&mut self) {
        let id = |name: &'static str| Some(u64::from(self.ebpf.program(name)?.info().ok()?.id()));
        let of_network: Vec<_> = OF_NETWORK.iter().filter_map(|name| Some((*name, id(name)?))).collect();
        let of_tracepoints: Vec<_> = OF_TRACEPOINTS
            .iter()
            .filter_map(|(name, loss)| Some((*loss, id(name)?)))
            .collect();
        for (path, text) in descriptors() {
            let Some(program) = field(&text, "prog_id") else {
                continue;
            };
            let Ok(told) = File::open(&path).map(Told) else {
                continue;
            };
            if field(&text, "link_id").is_none() {
                let found = of_tracepoints.iter().find(|(_, id)| *id == program);
                // Kernels before 5.12 count no such runs, and leave none out.
                if let Some((loss, _)) = found.filter(|_| field(&text, MISSES).is_some()) {
                    self.runs.push(Runs { loss: *loss, told });
                }
            } else if let Some((name, _)) = of_network.iter().find(|(_, id)| *id == program) {
                let link = Attachment { name, program, told };
                // One of which the kernel tells no cgroup cannot be watched.
                if link.fate() == Fate::Ours {
                    self.links.push(link);
                }
            }
        }
    }

    /// Asks how often a program was left out. One system call for each program.
    pub fn count_left_out(&mut self) {
        let mut counts = [0; LOSS_KINDS];
        for program in &self.runs {
            counts[program.loss] += program.told.number(MISSES).unwrap_or(0);
        }
        self.left_out = counts;
    }

    /// The sensor that does not run any more since the last call, because somebody else detached or replaced a program of
    /// it, with the reason. One system call for each link.
    pub fn lost(&mut self) -> Option<(&'static str, String)> {
        let (program, done) = self.links.iter().find_map(|link| match link.fate() {
            Fate::Detached => Some((link.name, "detached")),
            Fate::Replaced => Some((link.name, "replaced")),
            Fate::Ours | Fate::Untold => None,
        })?;
        let reason = format!(
            "its program `{program}` was {done} by another program or a person (`bpftool link` shows who has links); restart the agent"
        );
        // It runs no more, whatever becomes of the other links.
        self.links.clear();
        for sensor in &mut self.sensors {
            if ["net", "net.connections"].contains(&sensor.name) && sensor.unavailable.is_none() {
                sensor.unavailable = Some(reason.clone());
            }
        }
        Some(("net", reason))
    }
}

/// What the kernel tells of every descriptor of this process.
fn descriptors() -> impl Iterator<Item = (PathBuf, String)> {
    let paths = fs::read_dir(DESCRIPTORS).into_iter().flatten().flatten();
    paths.filter_map(|entry| Some((entry.path(), fs::read_to_string(entry.path()).ok()?)))
}

fn fate(text: &str, program: u64) -> Fate {
    match (field(text, "cgroup_id"), field(text, "prog_id")) {
        (Some(0), _) => Fate::Detached,
        (Some(_), Some(other)) if other != program => Fate::Replaced,
        (Some(_), Some(_)) => Fate::Ours,
        _ => Fate::Untold,
    }
}

/// A number in what the kernel tells of a descriptor.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_without_a_cgroup_is_a_detached_one_and_one_with_another_program_a_replaced_one() {
        let told = |cgroup, program| {
            format!(
                "pos:\t0\nlink_type:\tcgroup\nlink_id:\t7\nprog_id:\t{program}\ncgroup_id:\t{cgroup}\nattach_type:\t1\n"
            )
        };
        assert_eq!(fate(&told(1, 42), 42), Fate::Ours);
        assert_eq!(fate(&told(0, 42), 42), Fate::Detached);
        assert_eq!(fate(&told(1, 43), 42), Fate::Replaced);
        assert_eq!(fate("pos:\t0\nlink_id:\t7\nprog_id:\t42\n", 42), Fate::Untold);
        assert_eq!((field("cgroup_id:\t1\n", "cgroup"), field("", "prog_id")), (None, None));
    }
}
