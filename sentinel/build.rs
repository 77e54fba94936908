//! Finds the eBPF object that `cargo xtask setup` built and tells the agent where it is. Builds nothing itself, so that
//! the agent needs no eBPF tools once the object exists.

use std::{env, path::PathBuf};

const OVERRIDE: &str = "SENTINEL_BPF_OBJECT";

fn main() {
    println!("cargo::rerun-if-env-changed={OVERRIDE}");
    let chosen = env::var_os(OVERRIDE).map(PathBuf::from);
    let here = env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    let object = chosen.unwrap_or_else(|| here.with_file_name("target").join("bpf").join("sentinel.o"));
    println!("cargo::rerun-if-changed={}", object.display());
    if object.is_file() {
        println!("cargo::rustc-env=SENTINEL_BPF_OBJECT_PATH={}", object.display());
    } else {
        println!(
            "cargo::error=the eBPF object is missing: run `cargo xtask setup`, which builds {}, or name another one in {OVERRIDE}",
            object.display()
        );
    }
}
