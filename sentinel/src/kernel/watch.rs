//! Whether what was attached still is. Whoever is root may detach a link of somebody else (`bpftool link detach`), and the
//! kernel tells nobody: counters stand still then, which looks like peace. Only links of cgroups can be taken off that way;
//! those of tracepoints and performance events cannot. Never attaches anything again.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _},
};

use super::Kernel;

/// Programs of the network sensor: without any one of them it counts wrongly.
const OF_NETWORK: [&str; 3] = ["ingress", "egress", "sock_ops"];
const DESCRIPTORS: &str = "/proc/self/fdinfo";

/// One link of a cgroup.
#[derive(Debug)]
pub(super) struct Attachment {
    program: &'static str,
    /// What the kernel tells of its descriptor. Open from the start on: who has changed its user may not open it any more.
    told: File,
}

impl Attachment {
    /// Whether it still is on a cgroup; `None` where the kernel does not tell.
    fn is_attached(&mut self) -> Option<bool> {
        let mut text = String::new();
        self.told.rewind().ok()?;
        self.told.read_to_string(&mut text).ok()?;
        Some(field(&text, "cgroup_id")? != 0)
    }
}

impl Kernel {
    /// Finds the links that can be taken away. To be called once everything is attached.
    pub(super) fn find_links(&mut self) {
        let ids: Vec<(&'static str, u64)> = OF_NETWORK
            .into_iter()
            .filter_map(|name| Some((name, u64::from(self.ebpf.program(name)?.info().ok()?.id()))))
            .collect();
        let Ok(entries) = fs::read_dir(DESCRIPTORS) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let of_link = field(&text, "link_id").and(field(&text, "prog_id"));
            let program = ids.iter().find(|(_, id)| of_link == Some(*id));
            let Some((program, told)) = program.and_then(|(name, _)| Some((*name, File::open(&path).ok()?))) else {
                continue;
            };
            let mut link = Attachment { program, told };
            // One of which the kernel tells no cgroup cannot be watched.
            if link.is_attached() == Some(true) {
                self.links.push(link);
            }
        }
    }

    /// The sensor that does not run any more since the last call, because somebody else detached a program of it, with the
    /// reason. Three system calls for each link.
    pub fn lost(&mut self) -> Option<(&'static str, String)> {
        let detached = |link: &mut Attachment| (link.is_attached() == Some(false)).then_some(link.program);
        let program = self.links.iter_mut().find_map(detached)?;
        let reason = format!(
            "its program `{program}` was detached by another program or a person (`bpftool link detach` does that); restart the agent"
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
    fn a_link_without_a_cgroup_is_a_detached_one() {
        let text = "pos:\t0\nlink_type:\tcgroup\nlink_id:\t7\nprog_id:\t42\ncgroup_id:\t0\nattach_type:\t1\n";
        assert_eq!((field(text, "cgroup_id"), field(text, "prog_id")), (Some(0), Some(42)));
        assert_eq!((field(text, "cgroup"), field("", "prog_id")), (None, None));
    }
}
