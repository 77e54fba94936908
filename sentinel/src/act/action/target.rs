//! The cgroup that something is done to.

use serde::{Deserialize, Serialize};

use super::error::{ActionError, start};

/// Longest path of a target, bytes.
const MAX_PATH_BYTES: usize = 1024;
/// Longest name of one cgroup, bytes: `NAME_MAX` of the kernel.
const MAX_NAME_BYTES: usize = 255;
/// The root of the hierarchy has this id.
const ROOT_ID: u64 = 1;

/// One cgroup: where it is, and which one it was when it was judged. Never the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawTarget")]
pub struct Target {
    path: String,
    cgroup_id: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTarget {
    path: String,
    cgroup_id: u64,
}

impl TryFrom<RawTarget> for Target {
    type Error = ActionError;

    fn try_from(raw: RawTarget) -> Result<Self, ActionError> {
        Self::new(raw.path, raw.cgroup_id)
    }
}

impl Target {
    /// Checks that `path` is one of a cgroup below the root, from the root of the hierarchy, and `cgroup_id` one that
    /// such a cgroup can have. Whether they belong together is looked at when it is used.
    ///
    /// # Errors
    /// See [`ActionError::Target`].
    pub fn new(path: impl Into<String>, cgroup_id: u64) -> Result<Self, ActionError> {
        let path = path.into();
        let named = |name: &str| (1..=MAX_NAME_BYTES).contains(&name.len()) && name != "." && name != "..";
        let why = match path.strip_prefix('/') {
            _ if path.len() > MAX_PATH_BYTES => Some("it is longer than 1024 bytes"),
            _ if path.contains('\0') => Some("it has a zero byte"),
            None => Some("it does not begin at the root"),
            Some("") => Some("it is the root"),
            Some(names) if !names.split('/').all(named) => Some("a name in it is empty, too long, `.` or `..`"),
            Some(_) if cgroup_id <= ROOT_ID => Some("its cgroup_id is that of no cgroup below the root"),
            Some(_) => None,
        };
        match why {
            Some(why) => Err(ActionError::Target {
                path: start(&path),
                why,
            }),
            None => Ok(Self { path, cgroup_id }),
        }
    }

    /// From the root of the hierarchy, with a leading slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// cgroup v2 id: the inode of its directory.
    #[must_use]
    pub const fn cgroup_id(&self) -> u64 {
        self.cgroup_id
    }
}
