//! What a scope may still take: its own limits, and what the host has available.

use crate::{judge::context::Context, sense::sample::ScopeSample};

/// The limits of a scope, MB.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::judge) struct Limits {
    /// What the nearest limit of the scope or of a cgroup above it still allows, and that limit.
    own: Option<Room>,
}

/// Memory that may still be taken, MB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Room {
    /// What is left.
    pub(super) left_mb: f64,
    /// Of how much.
    pub(super) limit_mb: f64,
    /// It is the host's memory and not a limit of the scope.
    pub(super) is_host: bool,
    /// What is left is known without the page cache in it.
    pub(super) is_exact: bool,
}

impl Room {
    /// Share that is left, 0 to 1.
    #[must_use]
    pub(super) fn share(&self) -> f64 {
        if self.limit_mb > 0.0 {
            (self.left_mb / self.limit_mb).min(1.0)
        } else {
            0.0
        }
    }
}

impl Limits {
    /// Of a scope.
    #[must_use]
    pub(in crate::judge) fn of(scope: &ScopeSample) -> Self {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let own = scope
            .memory_max_bytes
            .zip(scope.memory_current_bytes)
            .map(|(max, current)| Room {
                left_mb: (megabytes(max) - megabytes(current)).max(0.0),
                limit_mb: megabytes(max),
                is_host: false,
                is_exact: false,
            });
        Self { own }
    }

    /// The scope's own limit, or `None`.
    #[must_use]
    pub(super) const fn own(&self) -> Option<Room> {
        self.own
    }

    /// The nearer of its own and the host's.
    #[must_use]
    pub(super) fn nearest(&self, context: &Context) -> Option<Room> {
        let host = context.available_mb.map(|left_mb| Room {
            left_mb,
            limit_mb: context.total_mb.unwrap_or(left_mb),
            is_host: true,
            is_exact: true,
        });
        match (self.own, host) {
            (Some(own), Some(host)) if own.left_mb <= host.left_mb => Some(own),
            (own, host) => host.or(own),
        }
    }
}
