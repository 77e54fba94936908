//! The guest's file system: busybox, the programs with their libraries, and an init that runs them and powers off.
//! Writes the cpio format itself: it needs no root for the console node, and no packer. Never boots anything.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::process::{self, Missing};

/// One program the guest runs: its name in the output, and its command line.
pub(super) struct Task {
    /// Shown between markers.
    pub(super) name: String,
    /// Words for the guest's shell; none needs quoting.
    pub(super) command: String,
    /// Seconds after which the guest ends it.
    pub(super) limit_s: u32,
}

/// What an entry of the archive is.
enum Node {
    Folder,
    File { content: Vec<u8>, executable: bool },
    Console,
}

/// A file system being put together, by absolute path.
#[derive(Default)]
pub(super) struct Initramfs {
    nodes: BTreeMap<PathBuf, Node>,
}

impl Initramfs {
    /// A system with busybox, mount points, accounts, and an init that runs tasks.
    pub(super) fn new(tasks: &[Task]) -> Result<Self> {
        let mut system = Self::bare(&init(tasks))?;
        system.text(
            "/etc/passwd",
            "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
            false,
        );
        system.text("/etc/group", "root:x:0:\nnogroup:x:65534:\n", false);
        system.text("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n", false);
        Ok(system)
    }

    /// A system with busybox, mount points, and this init.
    pub(super) fn bare(init: &str) -> Result<Self> {
        let mut system = Self::default();
        for folder in [
            "/bin", "/proc", "/sys", "/dev", "/tmp", "/run", "/root", "/etc", "/modules", "/var",
        ] {
            system.folders_above(&Path::new(folder).join("x"));
        }
        system.nodes.insert("/dev/console".into(), Node::Console);
        let busybox = process::which("busybox")
            .ok_or_else(|| Missing("busybox is missing: get it with `apt-get install busybox-static`".into()))?;
        system.program(&busybox, "/bin/busybox")?;
        system.text("/init", init, true);
        Ok(system)
    }

    /// Adds a file as it is.
    pub(super) fn content(&mut self, path: &str, content: Vec<u8>) {
        self.file(Path::new(path), content, true);
    }

    /// Adds a program under `name`, without its debug information where `strip` is at hand, and its libraries.
    pub(super) fn program(&mut self, file: &Path, name: &str) -> Result<()> {
        for library in libraries(file) {
            let content = fs::read(&library).with_context(|| format!("the library {}", library.display()))?;
            self.file(&library, content, true);
        }
        let small = tempfile::NamedTempFile::new().context("a temporary file")?;
        let stripped = process::which("strip").and_then(|strip| {
            let mut command = Command::new(strip);
            command.arg("--strip-debug").arg("-o").arg(small.path()).arg(file);
            process::read(&mut command).ok()
        });
        let from = if stripped.is_some() { small.path() } else { file };
        let content = fs::read(from).with_context(|| format!("the program {}", file.display()))?;
        self.file(Path::new(name), content, true);
        Ok(())
    }

    /// Adds a kernel module, which init loads.
    pub(super) fn module(&mut self, file: &Path) -> Result<()> {
        let content = fs::read(file).with_context(|| format!("the module {}", file.display()))?;
        let name = file.file_name().unwrap_or_default();
        self.file(&Path::new("/modules").join(name), content, false);
        Ok(())
    }

    fn text(&mut self, path: &str, text: &str, executable: bool) {
        self.file(Path::new(path), text.as_bytes().to_vec(), executable);
    }

    fn file(&mut self, path: &Path, content: Vec<u8>, executable: bool) {
        self.folders_above(path);
        self.nodes
            .insert(path.to_path_buf(), Node::File { content, executable });
    }

    fn folders_above(&mut self, path: &Path) {
        for folder in path.ancestors().skip(1).filter(|folder| folder.parent().is_some()) {
            self.nodes.entry(folder.to_path_buf()).or_insert(Node::Folder);
        }
    }

    /// The archive in the `newc` format (kernel documentation, "initramfs buffer format"), not compressed: the emulated
    /// processor would unpack it more slowly than the emulator reads it.
    pub(super) fn archive(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, (path, node)) in (1u32..).zip(&self.nodes) {
            let name = path.to_string_lossy();
            let name = name.trim_start_matches('/');
            match node {
                Node::Folder => entry(&mut out, number, name, 0o040_755, (0, 0), &[]),
                Node::File { content, executable } => {
                    entry(
                        &mut out,
                        number,
                        name,
                        if *executable { 0o100_755 } else { 0o100_644 },
                        (0, 0),
                        content,
                    );
                }
                Node::Console => entry(&mut out, number, name, 0o020_600, (5, 1), &[]),
            }
        }
        entry(&mut out, 0, "TRAILER!!!", 0, (0, 0), &[]);
        out
    }
}

fn entry(out: &mut Vec<u8>, number: u32, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
    let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    out.extend_from_slice(b"070701");
    let fields = [
        number,
        mode,
        0,
        0,
        1,
        0,
        size(content.len()),
        0,
        0,
        device.0,
        device.1,
        size(name.len() + 1),
        0,
    ];
    for field in fields {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Shared libraries and the loader, as `ldd` names them; none for a static program.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let Ok(text) = process::read(Command::new("ldd").arg(program)) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = text
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect();
    files.retain(|file| file.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o444 != 0));
    files
}

/// The guest's init. Mount sources are called `none`: a name that is a file would be mounted as a loop device.
fn init(tasks: &[Task]) -> String {
    let mut text = String::from(
        "#!/bin/busybox sh\n\
        /bin/busybox --install -s /bin\n\
        export PATH=/bin HOME=/root TMPDIR=/tmp SENTINEL_VM=1 SENTINEL_BIN=/sentinel RUST_BACKTRACE=1\n\
        mount -t proc none /proc\n\
        mount -t sysfs none /sys\n\
        mount -t devtmpfs none /dev\n\
        mount -t tmpfs none /tmp\n\
        mount -t tmpfs none /run\n\
        mkdir -p /dev/shm /dev/pts && mount -t tmpfs none /dev/shm && mount -t devpts none /dev/pts\n\
        mount -t cgroup2 none /sys/fs/cgroup\n\
        mount -t bpf none /sys/fs/bpf\n\
        mount -t debugfs none /sys/kernel/debug\n\
        mount -t tracefs none /sys/kernel/tracing\n\
        for c in cpu memory pids; do echo +$c > /sys/fs/cgroup/cgroup.subtree_control; done\n\
        ip link set lo up\n\
        hostname guest\n\
        for m in /modules/*.ko; do [ -f $m ] && insmod $m; done\n\
        stty -onlcr 2>/dev/null\n\
        echo \"SENTINEL-VM ready $(uname -r)\"\n",
    );
    for task in tasks {
        text.push_str(&format!(
            "echo \"SENTINEL-VM begin {0}\"\ntimeout -k 5 {2} {1} 2>/tmp/err\nc=$?\necho\necho \"SENTINEL-VM end {0} $c\"\nsed 's/^/stderr: /' /tmp/err\n",
            task.name, task.command, task.limit_s
        ));
    }
    text.push_str("echo \"SENTINEL-VM done\"\nsync\npoweroff -f\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_one_that_cpio_reads() {
        let mut system = Initramfs::default();
        system.text("/a/b/file", "hello", true);
        let archive = system.archive();
        assert!(archive.starts_with(b"070701") && archive.len() % 4 == 0);
        let text = String::from_utf8_lossy(&archive);
        let at = |name: &str| text.find(&format!("{name}\0")).unwrap();
        assert!(
            at("a") < at("a/b") && at("a/b") < at("a/b/file"),
            "folders come before what is in them"
        );
        assert!(text.contains("hello") && text.contains("TRAILER!!!"));
    }

    #[test]
    fn init_marks_begin_and_end_of_each_task_and_powers_off() {
        let text = init(&[Task {
            name: "check".into(),
            command: "/sentinel check --json".into(),
            limit_s: 9,
        }]);
        assert!(
            text.contains("SENTINEL-VM begin check\"\ntimeout -k 5 9 /sentinel check --json"),
            "{text}"
        );
        assert!(text.contains("SENTINEL-VM end check $c") && text.ends_with("poweroff -f\n"));
    }
}
