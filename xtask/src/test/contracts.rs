//! The contracts in `tests/`: built as the caller, run as root against the running kernel, one test at a time unless it needs
//! none. Never runs a contract in parallel with another: they share one kernel.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::libtest::{self, Row};
use crate::{process, report::Tally, run, workspace::Workspace};

/// A contract that hangs is ended after this long.
const LIMIT_S: u32 = 1500;

/// What is chosen of the workspace. Unit tests and contracts choose the same, or else cargo builds what they share twice, because
/// features of dependencies differ by choice.
pub(super) const WORKSPACE: [&str; 5] = [
    "--workspace",
    "--exclude",
    "sentinel-ebpf",
    "--features",
    "sentinel-tests/otlp",
];

/// One built test program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contract {
    /// Name of its file in `tests/tests/`.
    pub(crate) name: String,
    /// The program.
    pub(crate) program: PathBuf,
}

impl Contract {
    /// How many of its tests run at once. Those named for the pipeline judge samples that are made up: they share no kernel, and time
    /// does not matter to them.
    fn threads(&self) -> &'static str {
        if self.name.starts_with("pipeline") {
            "--test-threads=2"
        } else {
            "--test-threads=1"
        }
    }
}

/// What one contract's run gave.
pub(crate) struct Ran {
    /// Counts.
    pub(crate) tally: Tally,
    /// What is worth a line in the summary.
    pub(crate) note: String,
    /// Rows for the table of kernels.
    pub(crate) rows: Vec<Row>,
}

/// Builds every contract.
pub(crate) fn build(workspace: &Workspace) -> Result<Vec<Contract>> {
    let mut command = run::cargo(workspace);
    // Their own build of the agent's library is the one with everything in it; the shipped agent is built without.
    command.args(["test", "--quiet", "--no-run"]).args(WORKSPACE);
    command
        .args(["--message-format", "json-render-diagnostics", "--target-dir"])
        .arg(workspace.target());
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} could not be started", process::shown(&command)))?;
    if !output.status.success() {
        bail!("the contracts in tests/ could not be built");
    }
    Ok(programs(&String::from_utf8_lossy(&output.stdout)))
}

/// The test programs in cargo's messages, by name.
fn programs(messages: &str) -> Vec<Contract> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
        target: Target,
        profile: Profile,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Profile {
        test: bool,
    }
    let mut found: Vec<Contract> = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.profile.test && message.target.kind.iter().any(|kind| kind == "test"))
        .filter_map(|message| {
            Some(Contract {
                name: message.target.name,
                program: message.executable?,
            })
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Runs one contract against this kernel; `agent` is the shipped binary it may start.
pub(crate) fn run(contract: &Contract, agent: &Path, filter: Option<&str>) -> Result<Ran> {
    let timeout = process::which("timeout").context("`timeout` (coreutils) is not on PATH")?;
    let envs = [
        ("SENTINEL_BIN", agent.display().to_string()),
        ("RUST_BACKTRACE", "1".into()),
    ];
    let mut command = process::as_root(&timeout, &envs)?;
    command
        .args(["--kill-after=10", &LIMIT_S.to_string()])
        .arg(&contract.program);
    command.args([contract.threads(), "--nocapture"]).args(filter);
    let (status, output) = stream(&mut command)?;
    Ok(judge(&output, status))
}

fn judge(output: &str, status: ExitStatus) -> Ran {
    let (tally, note) = conclude(output, status.success(), &status.to_string());
    Ran {
        tally,
        note,
        rows: libtest::rows(output),
    }
}

/// Counts and a note; a program that ended badly has failed at least once, whatever it printed before.
pub(crate) fn conclude(output: &str, ended_well: bool, ending: &str) -> (Tally, String) {
    let Some(mut tally) = libtest::tally(output) else {
        return (Tally::FAILED, format!("{ending} before its summary"));
    };
    if !ended_well && tally.failed == 0 {
        tally.failed = 1;
        return (tally, format!("{ending} after its summary"));
    }
    let failed = libtest::failures(output);
    let skipped = libtest::skips(output);
    let mut notes = Vec::new();
    if !failed.is_empty() {
        notes.push(format!("failed: {}", failed.join(", ")));
    }
    if !skipped.is_empty() {
        notes.push(format!("skipped: {}", skipped.join("; ")));
    }
    (tally, notes.join(". "))
}

/// Runs `command`, showing its standard output as it comes and keeping it.
pub(crate) fn stream(command: &mut Command) -> Result<(ExitStatus, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} could not be started", process::shown(command)))?;
    let mut kept = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).context("reading a test's output")? > 0 {
            std::io::stdout()
                .write_all(&line)
                .context("writing to standard output")?;
            kept.append(&mut line);
        }
    }
    let status = child.wait().context("waiting for a test program")?;
    Ok((status, String::from_utf8_lossy(&kept).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_programs_of_cargos_messages_are_contracts() {
        let messages = r#"{"reason":"compiler-artifact","executable":null,"target":{"name":"sentinel","kind":["lib"]},"profile":{"test":false}}
{"reason":"compiler-artifact","executable":"/t/sensors-1","target":{"name":"sensors","kind":["test"]},"profile":{"test":true}}
{"reason":"compiler-artifact","executable":"/t/lib-1","target":{"name":"sentinel_tests","kind":["lib"]},"profile":{"test":true}}
{"reason":"build-finished","success":true}"#;
        let expected = Contract {
            name: "sensors".into(),
            program: "/t/sensors-1".into(),
        };
        assert_eq!(programs(messages), [expected]);
    }

    #[test]
    fn a_program_that_died_counts_as_failed() {
        assert_eq!(conclude("running 2 tests\n", false, "signal 9").0, Tally::FAILED);
        let (tally, note) = conclude("test result: ok. 2 passed; 0 failed; 0 ignored\n", false, "signal 9");
        assert_eq!((tally.passed, tally.failed), (2, 1));
        assert!(note.contains("after its summary"), "{note}");
    }
}
