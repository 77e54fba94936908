//! Names of maps, constants and programs in the object, written once. A map is named after what it holds, a program
//! after its hook.

/// Map: [`crate::sched::CpuState`] by CPU.
pub const CPU_STATE: &str = "CPU_STATE";
/// Map: [`crate::sched::SchedCounters`] by CPU × slots + slot.
pub const SCHED: &str = "SCHED";
/// Map: [`crate::sched::TaskWait`] by thread id modulo its size.
pub const TASK_WAITS: &str = "TASK_WAITS";
/// Map: [`crate::sched::RunQueueCounters`] by CPU.
pub const RUN_QUEUE: &str = "RUN_QUEUE";
/// Map: [`crate::mem::MemCounters`] by CPU × slots + slot.
pub const MEM: &str = "MEM";
/// Map: [`crate::mem::MmPages`] by address.
pub const MM_PAGES: &str = "MM_PAGES";
/// Map: [`crate::net::NetCounters`] by CPU × slots + slot.
pub const NET: &str = "NET";
/// Map: [`crate::net::SocketState`] by socket.
pub const SOCKETS: &str = "SOCKETS";
/// Map: [`crate::net::DestinationCounters`] by [`crate::net::Destination`].
pub const DESTINATIONS: &str = "DESTINATIONS";
/// Map: queue of [`crate::id::FreeSlot`].
pub const FREE_SLOTS: &str = "FREE_SLOTS";
/// Map: slot by cgroup id.
pub const CGROUP_SLOTS: &str = "CGROUP_SLOTS";
/// Map: [`crate::id::CachedSlot`] by [`crate::id::cache_index`].
pub const SLOT_CACHE: &str = "SLOT_CACHE";
/// Map: [`crate::id::SlotOwner`] by slot.
pub const SLOT_OWNERS: &str = "SLOT_OWNERS";
/// Map: losses by CPU × [`crate::loss::LOSSES`] + index.
pub const LOSS: &str = "LOSS";
/// Map: ring buffer of [`crate::event::Event`].
pub const EVENTS: &str = "EVENTS";
/// Map: [`crate::budget::Policy`] by cgroup and hook.
pub const POLICIES: &str = "POLICIES";
/// Map: [`crate::budget::Budget`] by [`crate::budget::Policy::budget`].
pub const BUDGETS: &str = "BUDGETS";
/// Map: [`crate::budget::InboundSocket`] by socket.
pub const INBOUND_SOCKETS: &str = "INBOUND_SOCKETS";
