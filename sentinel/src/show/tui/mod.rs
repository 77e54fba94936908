//! `sentinel top`: a run on a terminal, live, with keys.
//!
//! Owns the terminal from start to end, and gives it back as it was. In: documents of a run, what the agent holds and
//! what waits, keys. Out: cells on a screen, and what the person asks of the agent. [`state`] keeps what is known and
//! chosen and never draws; [`view`] draws and never reads; [`feed`] asks the agent; [`run`](mod@run) passes on from one
//! to the other. Nothing here judges, and nothing is done to the host but what a person confirmed.
#![forbid(unsafe_code)]

mod actions;
mod detail;
pub mod feed;
mod help;
mod history;
pub mod inside;
mod keys;
mod paint;
mod panel;
mod rows;
pub mod run;
mod scopes;
mod screen;
pub mod state;
mod text;
pub mod view;

pub use self::{
    paint::Palette,
    run::{Ends, TopError, run},
    state::{Ask, Model, News},
};

#[cfg(test)]
mod tests;
