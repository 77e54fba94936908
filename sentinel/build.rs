//! Finds the eBPF object that `cargo xtask setup` builds, so that the agent can carry it.

use std::{env, path::PathBuf, process::exit};

fn main() {
    println!("cargo:rerun-if-env-changed=SENTINEL_BPF_OBJECT");
    let object = env::var_os("SENTINEL_BPF_OBJECT").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/sentinel.o"),
        PathBuf::from,
    );
    println!("cargo:rerun-if-changed={}", object.display());
    match object.canonicalize() {
        Ok(path) => println!("cargo:rustc-env=SENTINEL_BPF_OBJECT_PATH={}", path.display()),
        Err(error) => {
            println!(
                "cargo:error=no eBPF object at {} ({error}): run `cargo xtask setup`, which builds it",
                object.display()
            );
            exit(1);
        }
    }
}
