//! What series are compared with: windows of counts, dispersion, trend, derivatives, and a series' own past. Pure
//! arithmetic in constant memory; nothing here knows a signal, and nothing that is not finite enters.
#![forbid(unsafe_code)]

mod baseline;
#[cfg(test)]
pub(in crate::judge) mod chance;
pub(in crate::judge) mod dispersion;
mod past;
#[cfg(test)]
mod properties;
mod rank;
mod rhythm;
pub(in crate::judge) mod steps;
pub(in crate::judge) mod trajectory;
pub(in crate::judge) mod trend;
pub(in crate::judge) mod window;

pub(in crate::judge) use baseline::{Baseline, Learn};
pub(in crate::judge) use past::{At, Past};
