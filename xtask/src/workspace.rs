//! Where things are in this workspace. Owns every path under `target/` that xtask writes; never writes anything itself.

use std::path::{Path, PathBuf};

/// The folders and files that tasks share.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace this xtask was built in.
    pub(crate) fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap_or_else(|| Path::new("."));
        Self {
            root: root.to_path_buf(),
        }
    }

    /// Folder of the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Everything built here.
    pub(crate) fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Target directory of the eBPF half: its own, because compiler and flags differ.
    pub(crate) fn bpf_build(&self) -> PathBuf {
        self.target().join("bpf-build")
    }

    /// The eBPF object that the agent carries; `sentinel/build.rs` looks here.
    pub(crate) fn bpf_object(&self) -> PathBuf {
        self.target().join("bpf").join("sentinel.o")
    }

    /// What is made to be installed.
    pub(crate) fn packages(&self) -> PathBuf {
        self.target().join("package")
    }

    /// Everything of the QEMU matrix.
    pub(crate) fn vm(&self) -> PathBuf {
        self.target().join("vm")
    }
}
