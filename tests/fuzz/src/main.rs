//! The fuzzer's program: the target is named by `SENTINEL_FUZZ_TARGET`, everything else is the fuzzer's own command line.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sentinel_fuzz::Target;

fn target() -> &'static Target {
    static TARGET: OnceLock<&'static Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("SENTINEL_FUZZ_TARGET").unwrap_or_default();
        sentinel_fuzz::find(&name).unwrap_or_else(|| panic!("SENTINEL_FUZZ_TARGET names no target: {name:?}"))
    })
}

fuzz_target!(|bytes: &[u8]| (target().run)(bytes));
