//! A user of this host, looked up once at start.

use std::path::PathBuf;

use nix::unistd::{Uid, User};

/// Who a hook runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group. A hook gets this group and no supplementary ones.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
}

impl Account {
    /// The user of this name; `None` when the host has none, or does not tell.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        User::from_name(name).ok().flatten().map(Self::from)
    }

    /// The user the agent runs as; `None` when the host has no name for it.
    #[must_use]
    pub fn own() -> Option<Self> {
        User::from_uid(Uid::effective()).ok().flatten().map(Self::from)
    }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            home: user.dir,
        }
    }
}
