//! `setup`: everything the eBPF half needs, found or installed, then the object. Idempotent; one line per need.
//! Never builds the agent itself.

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    bpf, linker,
    toolchain::{self, Toolchain},
    workspace::Workspace,
};

/// What the eBPF half is built with.
pub(crate) struct Tools {
    /// Compiler with its `core` source.
    pub(crate) toolchain: Toolchain,
    /// `bpf-linker`.
    pub(crate) linker: PathBuf,
}

/// Finds or installs the tools and builds the object.
pub(crate) fn setup(workspace: &Workspace) -> Result<Tools> {
    let toolchain = toolchain::find_or_install()?;
    let linker = linker::find_or_install(&toolchain)?;
    let tools = Tools { toolchain, linker };
    bpf::build(workspace, &tools)?;
    Ok(tools)
}
