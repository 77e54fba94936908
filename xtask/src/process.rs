//! Running other programs. Comes in: a command; goes out: its result, or an error that names the command and how it ended.
//! Never decides what to run, and never ends a process it did not start.

use std::{
    env, fmt,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

/// Something this machine lacks, with the way to get it. The process then exits with 3.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// The one place here that reads the clock: how long a step took.
#[expect(
    clippy::disallowed_methods,
    reason = "the developer's tool measures its own steps; nothing is judged by it"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// True if this process may do what root may do.
pub(crate) fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// A command that runs as root with `envs` set: directly when already root, else through `sudo`.
pub(crate) fn as_root(program: &Path, envs: &[(&str, String)]) -> Result<Command> {
    if is_root() {
        let mut command = Command::new(program);
        command.envs(envs.iter().map(|(name, value)| (name, value)));
        return Ok(command);
    }
    let Some(sudo) = which("sudo") else {
        return Err(Missing(format!(
            "`{}` needs root, and there is no `sudo` here: run the same command as root",
            program.display()
        ))
        .into());
    };
    let mut command = Command::new(sudo);
    command.arg("env");
    command.args(envs.iter().map(|(name, value)| format!("{name}={value}")));
    command.arg(program);
    Ok(command)
}

/// Runs `command` with this terminal; an error unless it exits with 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs `command` without input and collects what it prints; an error only if it cannot start.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .output()
        .with_context(|| cannot_start(command))
}

/// Standard output of `command`; an error with the end of its standard error unless it exits with 0.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", shown(command), output.status, tail(&error, 8));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where `name` is: on `PATH`, or where a distribution keeps root's tools.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| is_executable(file))
}

/// True for a file with an executable bit.
pub(crate) fn is_executable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The last `lines` lines of `text`.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    format!("`{}`", words.join(" "))
}

fn cannot_start(command: &Command) -> String {
    format!("{} could not be started", shown(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_named_with_its_last_words() {
        let error = read(Command::new("sh").args(["-c", "echo why >&2; exit 4"])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("echo why") && text.contains("exit status: 4") && text.ends_with("why"),
            "{text}"
        );
    }

    #[test]
    fn which_finds_a_program_and_no_other() {
        assert!(which("sh").is_some());
        assert_eq!(which("no-such-program-here"), None);
    }

    #[test]
    fn the_tail_of_a_short_text_is_all_of_it() {
        assert_eq!(tail("a\nb\n", 5), "a\nb");
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
    }
}
