//! Programs that count. They attach everywhere, read only, and change nothing.

mod cgroups;
mod destination;
mod mem;
mod net;
pub(crate) mod packet;
mod pages;
mod rss;
mod run_queue;
mod sched;
mod sock_ops;
