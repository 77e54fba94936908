//! A program run to its end, and what can be said about that.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    lines::Lines,
    paths,
    process::{Process, ending},
};

/// How long streams may stay open after their program.
const LIMIT: Duration = Duration::from_secs(5);

/// Exit codes.
pub mod code {
    /// Done.
    pub const DONE: i32 = 0;
    /// Failed while running.
    pub const FAILED: i32 = 1;
    /// Bad usage or configuration.
    pub const USAGE: i32 = 2;
    /// This host cannot.
    pub const CANNOT: i32 = 3;
    /// The level of `--fail-on` was reached.
    pub const REACHED: i32 = 4;
}

/// What a program said and how it ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// How it ended, in words.
    pub ending: String,
    /// Lines of standard output.
    pub stdout: Vec<String>,
    /// Lines of standard error that are not empty.
    pub stderr: Vec<String>,
}

impl Ended {
    pub(crate) fn new(status: std::process::ExitStatus, stdout: Vec<String>, stderr: Vec<String>) -> Self {
        let stderr = stderr.into_iter().filter(|line| !line.trim().is_empty()).collect();
        Self {
            code: status.code(),
            ending: ending(status),
            stdout,
            stderr,
        }
    }

    /// Ticks that were late, from the closing line on standard error: `.. ticks, N of them late`.
    ///
    /// # Errors
    /// There is no such line.
    pub fn late_ticks(&self) -> Result<u64> {
        let number = |line: &String| -> Option<u64> {
            let (before, _) = line.split_once(" of them late")?;
            before.rsplit(' ').next()?.parse().ok()
        };
        let found = self.stderr.iter().rev().find_map(number);
        found.with_context(|| format!("no `N of them late` in {:?}", self.stderr))
    }

    /// The lines of standard output as JSON.
    ///
    /// # Errors
    /// One is not JSON.
    pub fn json(&self) -> Result<Vec<Value>> {
        let parse = |line: &String| serde_json::from_str(line).with_context(|| format!("not JSON: {line:?}"));
        self.stdout.iter().map(parse).collect()
    }

    /// The only sentence on standard error.
    ///
    /// # Errors
    /// There is none, or more than one line, or the trace of a panic.
    pub fn sentence(&self) -> Result<&str> {
        match self.stderr.as_slice() {
            [line] if !line.contains("panicked") && line.len() < 500 => Ok(line),
            other => bail!("not one clear sentence ({}): {other:#?}", self.ending),
        }
    }
}

/// A refusal: one sentence on standard error that says these, nothing on standard output, and this exit code.
///
/// # Errors
/// It is something else.
pub fn refused(ended: &Ended, code: i32, says: &[&str]) -> Result<()> {
    ensure!(
        ended.code == Some(code),
        "{} instead of exit code {code}: {:?}",
        ended.ending,
        ended.stderr
    );
    let sentence = ended.sentence()?;
    println!("exit {code}: {sentence}");
    ensure!(ended.stdout.is_empty(), "{:?}", ended.stdout);
    for part in says {
        let said = sentence.to_lowercase().contains(&part.to_lowercase());
        ensure!(said, "says nothing of {part:?}: {sentence}");
    }
    Ok(())
}

/// Runs the agent with other arguments to its end.
///
/// # Errors
/// It could not be started, or does not end in time.
pub fn invoke<S: AsRef<OsStr>>(args: &[S], limit: Duration) -> Result<Ended> {
    invoke_through::<&str, S>(&[], args, limit)
}

/// The same by way of another command.
///
/// # Errors
/// It could not be started, or does not end in time.
pub fn invoke_through<T: AsRef<OsStr>, S: AsRef<OsStr>>(through: &[T], args: &[S], limit: Duration) -> Result<Ended> {
    let through: Vec<OsString> = through.iter().map(|part| part.as_ref().to_owned()).collect();
    finish(command(&through, None)?.args(args), limit)
}

/// Runs a command to its end.
///
/// # Errors
/// It could not be started, or does not end in time.
pub fn finish(command: &mut Command, limit: Duration) -> Result<Ended> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = Process::spawn(command)?;
    let stdout = Lines::read(process.child().stdout.take().context("no stdout")?);
    let stderr = Lines::read(process.child().stderr.take().context("no stderr")?);
    let status = process
        .wait(limit)
        .with_context(|| format!("stderr: {:?}", stderr.texts()))?;
    if !stdout.closed(LIMIT) || !stderr.closed(LIMIT) {
        bail!("{command:?} is gone and something still holds its streams");
    }
    Ok(Ended::new(status, stdout.texts(), stderr.texts()))
}

/// The agent's command, through another one if there is one; the shipped agent unless another build is named.
pub(crate) fn command(through: &[OsString], program: Option<&Path>) -> Result<Command> {
    let program = program.map_or_else(paths::sentinel, |program| Ok(program.to_owned()))?;
    let mut command = match through.split_first() {
        None => Command::new(program),
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    command.env_remove("NO_COLOR");
    Ok(command)
}

/// A file of this content in a folder of its own, which goes when the folder's guard does.
///
/// # Errors
/// It cannot be written.
pub fn file(name: &str, content: &[u8]) -> Result<(TempDir, PathBuf)> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join(name);
    fs::write(&path, content)?;
    Ok((dir, path))
}

/// A temporary path as an argument.
#[must_use]
pub fn text(path: &Path) -> &str {
    path.to_str()
        .unwrap_or_else(|| unreachable!("temporary paths are UTF-8"))
}

/// The agent as a user without any right, from a copy in `dir`: the build folder need not be readable for others.
/// Arguments of the agent are to be added.
///
/// # Errors
/// The copy cannot be made, or there is no `setpriv`.
pub fn as_nobody(dir: &Path) -> Result<Command> {
    let program = dir.join("sentinel");
    fs::copy(paths::sentinel()?, &program)?;
    let mut command = Command::new(paths::tool("setpriv", "util-linux")?);
    let rights = "--reuid 65534 --regid 65534 --clear-groups --inh-caps=-all";
    command.args(rights.split(' ')).arg(program);
    Ok(command)
}
