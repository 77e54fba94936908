//! The rules themselves, each with its exceptions and their reasons. Never reads a file.

use super::{
    Finding,
    source::{Mention, Source, Unsafe},
};

/// The stages, first to last. A stage imports itself and earlier ones.
pub(super) const ORDER: [&str; 14] = [
    "time",
    "single",
    "config",
    "privileges",
    "kernel",
    "sense",
    "judge",
    "memory",
    "act",
    "prove",
    "show",
    "agent",
    "cli",
    "main",
];

/// An import that points up and is right all the same.
struct Exception {
    /// The stage that imports.
    from: &'static str,
    /// What it imports; everything below it is meant too.
    to: &'static str,
    /// Why.
    reason: &'static str,
}

const EXCEPTIONS: [Exception; 1] = [Exception {
    from: "config",
    to: "judge::verdict",
    reason: "a hook is configured by signal and level, and both words are plain enums defined where verdicts are",
}];

/// A place where `unsafe` may stand.
struct UnsafePlace {
    /// File or folder, from the workspace's root.
    path: &'static str,
    /// The macro it must stand in, if only there.
    in_macro: Option<&'static str>,
}

const UNSAFE_PLACES: [UnsafePlace; 3] = [
    // Raw system calls and mapped kernel memory: the one module that talks to the kernel.
    UnsafePlace {
        path: "sentinel/src/kernel/",
        in_macro: None,
    },
    // eBPF programs read kernel pointers; the verifier is their borrow checker.
    UnsafePlace {
        path: "sentinel-ebpf/",
        in_macro: None,
    },
    // `Pod` for shared records: written once, beside the assertions that make it true.
    UnsafePlace {
        path: "sentinel-common/src/lib.rs",
        in_macro: Some("pod"),
    },
];

/// The crates only `kernel/` may name.
const KERNEL_CRATES: [&str; 3] = ["aya", "aya_log", "aya_obj"];

/// Everything wrong with one file.
pub(super) fn broken_by(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    if !source.has_header {
        found.push(source.finding(
            1,
            "does not open with `//!`: what it owns, what comes in and goes out, what it never does",
        ));
    }
    found.extend(
        source
            .unsafes
            .iter()
            .filter_map(|place| unsafe_elsewhere(source, place)),
    );
    if let Some(stage) = stage_of(&source.path) {
        let Some(own) = rank(stage) else {
            found.push(source.finding(
                1,
                &format!("`{stage}` has no place in the order; give it one in xtask/src/layers/rules.rs"),
            ));
            return found;
        };
        let mentions = source.mentions.iter();
        found.extend(
            mentions
                .clone()
                .filter_map(|mention| reversed(source, stage, own, mention)),
        );
        found.extend(mentions.filter_map(|mention| aya_elsewhere(source, stage, mention)));
    }
    found
}

/// The stage a file of the agent belongs to; `lib.rs` only lists the stages and belongs to none.
fn stage_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("sentinel/src/")?;
    let first = inside.split('/').next()?;
    let stage = first.strip_suffix(".rs").unwrap_or(first);
    (stage != "lib").then_some(stage)
}

fn rank(stage: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == stage)
}

fn reversed(source: &Source, stage: &str, own: usize, mention: &Mention) -> Option<Finding> {
    let path = mention.path.strip_prefix("crate::")?;
    let target = path.split("::").next()?;
    // Names at the crate's root that are no stage (a re-export, a macro) belong to lib.rs.
    if rank(target)? <= own || exception(stage, path).is_some() {
        return None;
    }
    let said = format!(
        "`{stage}` imports `crate::{path}`, which comes after it: pass plain data, or move what both need down"
    );
    Some(source.finding(mention.line, &said))
}

fn exception(stage: &str, path: &str) -> Option<&'static str> {
    EXCEPTIONS
        .iter()
        .find(|entry| {
            entry.from == stage
                && path
                    .strip_prefix(entry.to)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
        .map(|entry| entry.reason)
}

fn aya_elsewhere(source: &Source, stage: &str, mention: &Mention) -> Option<Finding> {
    let name = mention.path.split("::").next()?;
    (stage != "kernel" && KERNEL_CRATES.contains(&name)).then(|| {
        source.finding(
            mention.line,
            &format!("`{stage}` uses `{name}`: only `kernel/` talks to the kernel"),
        )
    })
}

fn unsafe_elsewhere(source: &Source, place: &Unsafe) -> Option<Finding> {
    let allowed = UNSAFE_PLACES.iter().any(|entry| {
        source.path.starts_with(entry.path)
            && entry
                .in_macro
                .is_none_or(|name| place.in_macro.as_deref() == Some(name))
    });
    (!allowed).then(|| {
        source.finding(
            place.line,
            "`unsafe` stands only in sentinel/src/kernel/, sentinel-ebpf/ and sentinel-common's `pod!`",
        )
    })
}

/// What is excepted, for messages and tests.
#[cfg(test)]
pub(super) fn reasons() -> impl Iterator<Item = &'static str> {
    EXCEPTIONS.iter().map(|entry| entry.reason)
}
