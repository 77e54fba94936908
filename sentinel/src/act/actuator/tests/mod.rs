//! What needs no cgroup: messages, floors and the journal. What the kernel does with it is in `tests/tests/actuators.rs`.

mod journal;
mod knobs;
mod messages;

use crate::act::action::{Action, LeaseId, Order, Target, Ttl};

fn lease(id: &str) -> LeaseId {
    LeaseId::new(id).unwrap()
}

fn target() -> Target {
    Target::new("/shop.slice/api.service", 4711).unwrap()
}

fn order(action: Action) -> Result<Order, crate::act::action::ActionError> {
    let ttl = Ttl::try_from(10_000).unwrap();
    Order::new(lease("01J-a"), target(), action, ttl, "api crowds the CPU")
}
