//! Helpers shared by the contracts.

pub mod synthetic;
