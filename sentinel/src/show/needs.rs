//! What the agent needs of a host, and what was found. Filled in where hosts are probed; [`super::check`] renders it.

use serde::Serialize;

/// One need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    /// What is needed, in a few words.
    pub name: String,
    /// How it stands.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What would help; `None` when nothing is wrong.
    pub remedy: Option<String>,
    /// Whether the main job cannot run without it.
    pub required: bool,
}

/// How a need stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As needed.
    Ok,
    /// Runs, with less.
    Degraded,
    /// Not there.
    Missing,
}

impl Status {
    /// The name on every surface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Missing => "missing",
        }
    }
}

impl Need {
    /// Whether this alone keeps the main job from running.
    #[must_use]
    pub fn forbids(&self) -> bool {
        self.required && self.status == Status::Missing
    }
}

/// Whether the main job can run with these.
#[must_use]
pub fn can_run(needs: &[Need]) -> bool {
    !needs.iter().any(Need::forbids)
}
