//! The rules, tried on small made-up trees.

use super::*;

/// What is found in a tree of `files`, one line each without the advice.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    for name in CRATES {
        fs::create_dir_all(dir.path().join(name)).unwrap();
    }
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    findings(dir.path()).unwrap().iter().map(ToString::to_string).collect()
}

fn one(path: &str, text: &str) -> Vec<String> {
    found(&[(path, text)])
}

#[test]
fn an_import_of_an_earlier_stage_or_of_itself_is_fine() {
    let text = "//! Judges.\nuse crate::{sense::sample::Sample, judge::verdict::Verdict, time};\nuse super::verdict;\n";
    assert_eq!(one("sentinel/src/judge/signal.rs", text), [""; 0]);
}

#[test]
fn a_reversed_import_is_found_with_its_line() {
    let found = one(
        "sentinel/src/sense/mem.rs",
        "//! Senses.\n\nuse crate::{\n    time,\n    act::Outcome,\n};\n",
    );
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("sentinel/src/sense/mem.rs:5: `sense` imports `crate::act::Outcome`"),
        "{found:?}"
    );
}

#[test]
fn a_reversed_path_without_use_is_found() {
    let found = one(
        "sentinel/src/time.rs",
        "//! Time.\nfn f() -> crate::show::Snapshot { crate::agent::go() }\n",
    );
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_reversed_import_through_super_is_found() {
    let found = one(
        "sentinel/src/sense/mem.rs",
        "//! Senses.\nuse super::super::judge;\nmod inner { use super::super::super::act::Outcome; }\n",
    );
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_reversed_path_inside_a_macro_is_found() {
    let found = one(
        "sentinel/src/sense/mem.rs",
        "//! Senses.\nfn f() { println!(\"{}\", crate::show::NAME); }\n",
    );
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_test_module_is_held_to_the_order_too() {
    let found = one(
        "sentinel/src/sense/mem.rs",
        "//! Senses.\n#[cfg(test)]\nmod tests { use crate::judge::Verdict; }\n",
    );
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_comment_or_a_string_imports_nothing() {
    let text =
        "//! Senses, for [`crate::judge`].\n// use crate::judge;\nconst A: &str = \"use crate::judge; unsafe\";\n";
    assert_eq!(one("sentinel/src/sense/mem.rs", text), [""; 0]);
}

#[test]
fn who_may_see_is_no_import() {
    assert_eq!(
        one(
            "sentinel/src/sense/mem.rs",
            "//! Senses.\npub(in crate::sense) fn f() {}\n"
        ),
        [""; 0]
    );
}

#[test]
fn the_exception_for_config_covers_its_words_and_nothing_else() {
    assert_eq!(
        one(
            "sentinel/src/config.rs",
            "//! Config.\nuse crate::judge::verdict::{Level, Signal};\n"
        ),
        [""; 0]
    );
    assert_eq!(
        one(
            "sentinel/src/config.rs",
            "//! Config.\nuse crate::judge::verdict_other;\n"
        )
        .len(),
        1
    );
    assert_eq!(
        one("sentinel/src/time.rs", "//! Time.\nuse crate::judge::verdict::Level;\n").len(),
        1
    );
    assert!(rules::reasons().all(|reason| reason.len() > 20));
}

#[test]
fn a_stage_without_a_place_in_the_order_is_found() {
    let found = one("sentinel/src/util.rs", "//! Odds and ends.\n");
    assert!(found[0].contains("`util` has no place in the order"), "{found:?}");
}

#[test]
fn the_agents_last_files_import_everything() {
    let text = "//! Last.\nuse sentinel::{agent, show};\nuse crate::cli;\n";
    assert_eq!(
        found(&[
            ("sentinel/src/main.rs", text),
            ("sentinel/src/lib.rs", "//! List.\npub mod agent;\n")
        ]),
        [""; 0]
    );
}

#[test]
fn aya_is_used_in_kernel_only() {
    let text = "//! Uses it.\nuse aya::Ebpf;\nfn f(_: aya_log::EbpfLogger) {}\n";
    assert_eq!(one("sentinel/src/kernel/object.rs", text), [""; 0]);
    assert_eq!(one("sentinel/src/sense/mem.rs", text).len(), 2);
    assert_eq!(
        one(
            "sentinel/src/sense/mem.rs",
            "//! Senses.\nfn f() { aya::include_bytes_aligned!(\"x\"); }\n"
        )
        .len(),
        1
    );
}

#[test]
fn unsafe_stands_in_its_places_only() {
    let text = "//! Reads memory.\nfn f() { unsafe { g() } }\n";
    assert_eq!(one("sentinel/src/kernel/maps.rs", text), [""; 0]);
    assert_eq!(one("sentinel-ebpf/src/sense/mem.rs", text), [""; 0]);
    for elsewhere in [
        "sentinel/src/agent.rs",
        "sentinel-common/src/lib.rs",
        "tests/tests/abi.rs",
        "xtask/src/run.rs",
    ] {
        assert_eq!(one(elsewhere, text).len(), 1, "{elsewhere}");
    }
}

#[test]
fn forbidding_unsafe_is_not_unsafe() {
    assert_eq!(
        one("sentinel/src/time.rs", "//! Time.\n#![forbid(unsafe_code)]\n"),
        [""; 0]
    );
}

#[test]
fn the_shared_records_may_be_unsafe_in_their_one_macro() {
    let pod = "//! Shared.\nmacro_rules! pod { ($t:ty) => { unsafe impl aya::Pod for $t {} }; }\n";
    assert_eq!(one("sentinel-common/src/lib.rs", pod), [""; 0]);
    assert_eq!(
        one("sentinel-common/src/lib.rs", &pod.replace("pod {", "other {")).len(),
        1
    );
}

#[test]
fn a_file_without_a_header_is_found() {
    let found = one("sentinel/src/time.rs", "// Time.\n/// A function.\nfn f() {}\n");
    assert!(
        found[0].starts_with("sentinel/src/time.rs:1: does not open with `//!`"),
        "{found:?}"
    );
}

#[test]
fn a_file_that_is_not_rust_is_found_with_its_line() {
    let found = one("sentinel/src/time.rs", "//! Time.\nfn f( {}\n");
    assert!(found[0].starts_with("sentinel/src/time.rs:2: is not Rust"), "{found:?}");
}
