//! Helpers shared by the contracts.
