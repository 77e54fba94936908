//! `fuzz`: builds the parsers of foreign bytes with coverage and lets a fuzzer look for bytes that break them. What it finds
//! interesting is kept in target/fuzz, so that the next run begins where the last one ended. Never touches the kernel, and
//! runs as whoever calls it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    process,
    report::{Report, Tally},
    run,
    workspace::Workspace,
};

/// Folders of seeds, which are the names of the targets.
const SEEDS: &str = "tests/fuzz/seeds";
/// Coverage as the fuzzer wants it, with the compiler's own passes.
const COVERAGE: [&str; 8] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];
/// Longest input, bytes.
const MAX_BYTES: u32 = 16 * 1024;
/// An input that takes longer is a finding too, seconds.
const SLOW_S: u32 = 10;
/// More memory than this is a finding too, megabytes.
const MEMORY_MB: u32 = 1024;

/// How long to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Seconds for each target.
    pub(crate) seconds: u64,
    /// Or this many executions of each, whichever is first.
    pub(crate) executions: Option<u64>,
}

/// Looks into the targets named (all, if none is); one step each.
pub(crate) fn fuzz(workspace: &Workspace, names: &[String], effort: Effort, report: &mut Report) {
    let mut program = None;
    report.check("fuzzer", || {
        program = Some(build(workspace)?);
        Ok(())
    });
    let Some(program) = program else { return };
    let all = match targets(workspace) {
        Ok(all) => all,
        Err(error) => return report.check("fuzz targets", || Err(error)),
    };
    if let Some(unknown) = names.iter().find(|name| !all.contains(name)) {
        let known = all.join(", ");
        return report.check("fuzz targets", || {
            bail!("there is no target {unknown}; there are {known}")
        });
    }
    for name in all.iter().filter(|name| names.is_empty() || names.contains(name)) {
        report.step(&format!("fuzz {name}"), || look(workspace, &program, name, effort));
    }
}

/// Names of all targets.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root().join(SEEDS);
    let entries = fs::read_dir(&folder).with_context(|| format!("the folder {}", folder.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// Builds the fuzzer. Everything in it is counted but what only runs while building, for which a target must be named.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let host = host_triple()?;
    let target = workspace.target().join("fuzz").join("build");
    let mut command = run::cargo(workspace);
    command.env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\x1f"));
    command.args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "sentinel-fuzz",
        "--features",
        "fuzzer",
    ]);
    command.args([
        "--config",
        "profile.release.lto=false",
        "--config",
        "profile.release.strip=false",
        // Built in a third of the time, and the fuzzer is about as fast.
        "--config",
        "profile.release.opt-level=1",
    ]);
    command.args(["--target", &host, "--target-dir"]).arg(&target);
    process::run(&mut command)
        .context("the fuzzer could not be built: it takes a C++ compiler (`apt-get install g++`)")?;
    Ok(target.join(host).join("release").join("sentinel-fuzz"))
}

fn host_triple() -> Result<String> {
    let said = process::read(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

/// One target, for so long.
fn look(workspace: &Workspace, program: &Path, name: &str, effort: Effort) -> Result<(Tally, String)> {
    let folder = workspace.target().join("fuzz").join(name);
    let (corpus, found) = (folder.join("corpus"), folder.join("found"));
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).with_context(|| format!("the folder {}", folder.display()))?;
    }
    let mut command = Command::new(program);
    command
        .env("SENTINEL_FUZZ_TARGET", name)
        .arg(&corpus)
        .arg(workspace.root().join(SEEDS).join(name));
    command.arg(format!("-max_total_time={}", effort.seconds));
    command.args(effort.executions.map(|executions| format!("-runs={executions}")));
    command.arg(format!("-artifact_prefix={}/", found.display()));
    command.args([
        format!("-max_len={MAX_BYTES}"),
        format!("-timeout={SLOW_S}"),
        format!("-rss_limit_mb={MEMORY_MB}"),
        "-print_final_stats=1".into(),
        "-verbosity=1".into(),
    ]);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} could not be started", process::shown(&command)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        println!("{}", process::tail(&said, 40));
        let file = said
            .lines()
            .find_map(|line| Some(line.split_once("Test unit written to ")?.1));
        bail!(
            "{name} breaks; the bytes are in {}: run `SENTINEL_FUZZ_TARGET={name} {} FILE`, mend it, and keep them in {SEEDS}/{name}",
            file.unwrap_or("no file"),
            program.display()
        );
    }
    let sum = summary(&said);
    ensure!(
        sum.executions > 0,
        "nothing was executed:\n{}",
        process::tail(&said, 10)
    );
    let note = format!(
        "{} executions, {} each second, {} edges",
        sum.executions, sum.per_s, sum.edges
    );
    println!("{note}");
    Ok((Tally::PASSED, note))
}

/// What the fuzzer says at its end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    executions: u64,
    per_s: u64,
    /// Places in the code that were reached.
    edges: u64,
}

fn summary(said: &str) -> Summary {
    let stat = |name: &str| {
        let value = said
            .lines()
            .find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.split_once(':'));
        value.and_then(|(_, number)| number.trim().parse().ok()).unwrap_or(0)
    };
    let words: Vec<&str> = said.split_whitespace().collect();
    let edges = words.windows(2).rev().find(|pair| pair[0] == "cov:");
    Summary {
        executions: stat("number_of_executed_units"),
        per_s: stat("average_exec_per_sec"),
        edges: edges.and_then(|pair| pair[1].parse().ok()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_run_is_read() {
        let said = "#2\tINITED cov: 26 ft: 27 corp: 1/1b exec/s: 0 rss: 30Mb\n#99\tDONE   cov: 31 ft: 40 corp: 3/9b lim: 4 exec/s: 9\n\
            stat::number_of_executed_units: 99\nstat::average_exec_per_sec:     49\n";
        let sum = Summary {
            executions: 99,
            per_s: 49,
            edges: 31,
        };
        assert_eq!(summary(said), sum);
        assert_eq!(summary("Done"), Summary::default());
    }

    #[test]
    fn every_target_has_a_folder_and_the_other_way_round() {
        let workspace = Workspace::new();
        let lib = fs::read_to_string(workspace.root().join("tests/fuzz/src/lib.rs")).expect("the targets");
        for name in targets(&workspace).expect("folders") {
            assert!(lib.contains(&format!("name: \"{name}\"")), "{name}");
        }
        let named = lib.matches("        name: \"").count();
        assert_eq!(named, targets(&workspace).expect("folders").len());
    }
}
