//! A lease: one action on one cgroup, held for a time, renewed only while there is reason to, and undone by itself.
//!
//! `held` is one of them, `need` whether it is needed still, `effect` what it should bring, all pure; `order` says how much
//! is taken, `protected` from whom nothing is. `desk` keeps them all: `rules` which act, `caps` how many at once,
//! `planning` what would be ordered, `keeping` a lease from order to end, `hearing` what the hands said of it, `person`
//! what is asked over the socket, `said` what there is to tell.
//! Nothing here touches a cgroup or the kernel, and nothing decides that a scope is in trouble.

mod caps;
mod desk;
mod effect;
mod hearing;
mod held;
mod keeping;
mod need;
mod order;
mod person;
mod planning;
mod protected;
mod rules;
mod said;
mod view;

use tokio::sync::oneshot;

pub(super) use self::{desk::Desk, planning::Draft};
pub use self::{
    protected::Protected,
    view::{Effect, LeaseView, WaitingView},
};
use super::control::Reply;

/// Whom to tell what came of an order, and what to say when it was done.
#[derive(Debug)]
struct Answer {
    to: oneshot::Sender<Reply>,
    done: String,
}
