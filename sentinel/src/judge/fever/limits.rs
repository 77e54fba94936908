//! What a scope may still take: its own limits, and what the host has available.

use crate::{judge::context::Context, sense::sample::ScopeSample};

/// What the kernel needs for itself before it kills: `MemAvailable` never falls to zero, MB and share of all memory.
const RESERVE_MB: f64 = 40.0;
const RESERVE_SHARE: f64 = 0.005;

/// The limits of a scope, MB.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
    /// Share that is left before anything has to be taken back, 0 to 1.
    pub(super) free_share: f64,
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
        let limit = match (scope.memory_max_bytes, scope.memory_high_bytes) {
            (Some(max), Some(high)) => Some(max.min(high)),
            (max, high) => max.or(high),
        };
        // Page cache gives way: a cgroup that is full of it has room.
        let reclaimable_mb = megabytes(scope.memory_reclaimable_bytes.unwrap_or(0));
        let own = limit.zip(scope.memory_current_bytes).map(|(limit, current)| Room {
            left_mb: (megabytes(limit) - megabytes(current) + reclaimable_mb).clamp(0.0, megabytes(limit)),
            limit_mb: megabytes(limit),
            is_host: false,
            is_exact: scope.memory_reclaimable_bytes.is_some(),
            free_share: (1.0 - current as f64 / (limit as f64).max(1.0)).max(0.0),
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
        let host = context.available_mb.map(|available_mb| Room {
            left_mb: (available_mb - RESERVE_MB - RESERVE_SHARE * context.total_mb.unwrap_or(0.0)).max(0.0),
            limit_mb: context.total_mb.unwrap_or(available_mb),
            is_host: true,
            is_exact: true,
            free_share: context
                .total_mb
                .map_or(1.0, |total_mb| available_mb / total_mb.max(1.0)),
        });
        match (self.own, host) {
            (Some(own), Some(host)) if own.left_mb <= host.left_mb => Some(own),
            (own, host) => host.or(own),
        }
    }
}
