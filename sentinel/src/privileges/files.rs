//! Which files may still be opened, and who may still be connected to: Landlock, where the kernel has it.
//!
//! Also no TCP connection to a port that is not named can be made, none can be listened for any more, no signal goes out and
//! no abstract socket is reached, as far as the kernel can forbid that.

use std::{fmt, path::PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// What the agent still opens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Read below these.
    pub read: Vec<PathBuf>,
    /// Files made, replaced and removed in these directories.
    pub write: Vec<PathBuf>,
    /// TCP connections are made to these ports.
    pub connect: Vec<u16>,
}

/// How far the kernel holds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All that this version of sentinel knows to ask for.
    Full,
    /// What this kernel knows of it.
    Part,
    /// Nothing: the kernel has no Landlock, or it is turned off.
    None,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "Landlock",
            Self::Part => "Landlock as far as this kernel has it",
            Self::None => "no Landlock: this kernel has none, or it is turned off (boot with lsm=landlock,...)",
        })
    }
}

/// What is asked for: the kernel of this interface, or less where it is older.
const NEWEST: ABI = ABI::V6;

/// Restricts this thread and all that it starts, for good.
///
/// # Errors
/// The kernel refuses although it has Landlock.
pub(super) fn restrict(files: &Files) -> Result<Reach, RulesetError> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::ReadDir
        | AccessFs::ReadFile
        | AccessFs::WriteFile
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
        | AccessFs::Truncate;
    let ruleset = allow(ruleset, &files.read, read)?;
    let mut ruleset = allow(ruleset, &files.write, write)?;
    for port in &files.connect {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    let status = ruleset.restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Reach::Full,
        RulesetStatus::PartiallyEnforced => Reach::Part,
        RulesetStatus::NotEnforced => Reach::None,
    })
}

/// What is not there cannot be opened anyway.
fn allow(
    mut ruleset: RulesetCreated,
    paths: &[PathBuf],
    access: landlock::BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    for path in paths {
        if let Ok(found) = PathFd::new(path) {
            let access = if path.is_dir() {
                access
            } else {
                access & AccessFs::from_file(NEWEST)
            };
            ruleset = ruleset.add_rule(PathBeneath::new(found, access))?;
        }
    }
    Ok(ruleset)
}

#[cfg(test)]
mod tests {
    use std::{fs, net::TcpStream, thread};

    use super::*;

    #[test]
    fn only_what_is_named_can_be_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (open, closed) = (dir.path().join("open"), dir.path().join("closed"));
        for each in [&open, &closed] {
            fs::create_dir(each).unwrap();
            fs::write(each.join("file"), "text").unwrap();
        }
        let files = Files {
            read: vec![open.clone(), dir.path().join("missing")],
            write: Vec::new(),
            connect: vec![10],
        };
        // In a thread of its own: the other tests go on as they were.
        let tried = thread::spawn(move || {
            let reach = restrict(&files).unwrap();
            (
                reach,
                fs::read(open.join("file")).is_ok(),
                fs::read(closed.join("file")).is_ok(),
                fs::write(open.join("file"), "other").is_ok(),
                ["127.0.0.1:9", "127.0.0.1:10"].map(|to| TcpStream::connect(to).map_err(|error| error.kind()).err()),
            )
        });
        let (reach, read, other, written, connected) = tried.join().unwrap();
        if reach == Reach::None {
            println!("skipped: {reach}");
            return;
        }
        assert!(read && !other && !written, "{read} {other} {written}");
        if reach == Reach::Full {
            assert_eq!(connected[0], Some(std::io::ErrorKind::PermissionDenied));
            assert_ne!(
                connected[1],
                Some(std::io::ErrorKind::PermissionDenied),
                "its port is named"
            );
        }
    }
}
