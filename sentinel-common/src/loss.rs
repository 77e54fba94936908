//! Every way to lose or miss something, one counter each: those the programs notice in the map `LOSS`, and after them those
//! that only the agent can, because what is missing is a program that did not run.

/// A cgroup found no free slot and counts into [`crate::id::SLOT_OTHER`].
pub const NO_FREE_SLOT: usize = 0;
/// A cgroup's slot could not be written down (the table was full or busy); this one count went to `other`.
pub const SLOT_NOT_STORED: usize = 1;
/// The id of a task's cgroup could not be read.
pub const NO_CGROUP_ID: usize = 2;
/// A switch was not attributed because the CPU had not seen the task come: once per CPU at start, and wherever the kernel did not
/// report the switch before.
pub const SWITCH_UNSEEN: usize = 3;
/// A thread's entry in the table of waits belonged to another: waits before a migration in the queue are missing.
pub const WAIT_FALLBACK: usize = 4;
/// A run-queue sample could not be read.
pub const RUN_QUEUE_UNREAD: usize = 5;
/// A run-queue sample named another CPU than the one it was taken on.
pub const RUN_QUEUE_OTHER_CPU: usize = 6;
/// Resident pages of an address space seen for the first time or again after eviction: no movement is known.
pub const RSS_FIRST_SEEN: usize = 7;
/// Resident pages could not be read.
pub const RSS_UNREAD: usize = 8;
/// The kernel gave no storage for a socket: its packets count, its role and turns do not.
pub const NO_SOCKET_STORAGE: usize = 9;
/// A packet had no full socket: it counts for its cgroup, without role and turn.
pub const NO_SOCKET: usize = 10;
/// A packet's headers could not be read, or it is neither TCP nor UDP: it counts without turns and flags.
pub const UNPARSED_PACKET: usize = 11;
/// A socket was older than the agent: its role was inferred from its ports.
pub const ROLE_INFERRED: usize = 12;
/// The kernel refused to report state changes of a socket: failures and retransmits on it are missing.
pub const NO_SOCKET_CALLBACKS: usize = 13;
/// A destination could not be stored.
pub const DESTINATION_NOT_STORED: usize = 14;
/// The ring buffer was full, or the program that reports removals was left out: an event is missing.
pub const EVENT_DROPPED: usize = 15;

/// A CPU's counts of pages could not be read.
pub const PAGES_UNREAD: usize = 16;
/// The kernel moved a CPU's counts of pages to another one, as it does when a CPU goes offline: what came since the last reading is
/// missing.
pub const PAGES_MOVED: usize = 17;

/// How many ways the programs count.
pub const LOSSES: usize = 18;

/// The kernel ran a program of the scheduler sensor not, because it was running on that CPU already: switches are missing.
pub const SCHED_RUN_MISSED: usize = 18;
/// The same of the page-allocation sensor: movements of resident pages are missing.
pub const MEM_RUN_MISSED: usize = 19;
/// A run-queue sample that was due was not taken: another program had the CPU for itself, or the CPU came after the agent.
pub const RUN_QUEUE_SAMPLE_MISSED: usize = 20;

/// How many ways there are, with those the agent counts.
pub const LOSS_KINDS: usize = 21;

/// Names, by index; also the field names on every surface.
pub const LOSS_NAMES: [&str; LOSS_KINDS] = [
    "no_free_slot",
    "slot_not_stored",
    "no_cgroup_id",
    "switch_unseen",
    "wait_fallback",
    "run_queue_unread",
    "run_queue_other_cpu",
    "rss_first_seen",
    "rss_unread",
    "no_socket_storage",
    "no_socket",
    "unparsed_packet",
    "role_inferred",
    "no_socket_callbacks",
    "destination_not_stored",
    "event_dropped",
    "pages_unread",
    "pages_moved",
    "sched_run_missed",
    "mem_run_missed",
    "run_queue_sample_missed",
];

/// Kinds after which the count is there all the same, only less exactly or with less detail.
pub const LESS_EXACT: [&str; 5] = [
    LOSS_NAMES[WAIT_FALLBACK],
    LOSS_NAMES[RSS_FIRST_SEEN],
    LOSS_NAMES[UNPARSED_PACKET],
    LOSS_NAMES[ROLE_INFERRED],
    LOSS_NAMES[RUN_QUEUE_SAMPLE_MISSED],
];
