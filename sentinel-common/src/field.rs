//! Fields of kernel structures that programs read from typed pointers. Where they lie differs between kernels: in the object each
//! reading bears a placeholder, and the loader puts the offset in its place. So a reading is one instruction, and the one
//! object runs everywhere.

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $index:literal;)+) => {
        $($(#[$doc])* pub const $name: i16 = $index;)+

        /// Names, by index.
        pub const FIELD_NAMES: [&str; FIELDS] = [$(stringify!($name)),+];
    };
}

/// How many there are.
pub const FIELDS: usize = 12;

/// Offset in the object of the field with index 0. Offsets that big are in no structure that is read, and in no record.
pub const PLACEHOLDER: i16 = 0x7f00;

fields! {
    /// `task_struct.pid`
    TASK_PID = 0;
    /// `task_struct.sched_info.run_delay`
    TASK_RUN_DELAY = 1;
    /// `task_struct.se.sum_exec_runtime`
    TASK_EXEC = 2;
    /// `task_struct.nvcsw`
    TASK_NVCSW = 3;
    /// `task_struct.cgroups`
    TASK_CGROUPS = 4;
    /// `css_set.dfl_cgrp`
    CSS_SET_CGROUP = 5;
    /// `cgroup.kn`
    CGROUP_KN = 6;
    /// `kernfs_node.id`
    KERNFS_ID = 7;
    /// The count of file pages in `mm_struct`.
    MM_RSS_FILE = 8;
    /// Of anonymous pages.
    MM_RSS_ANON = 9;
    /// Of swap entries.
    MM_RSS_SWAP = 10;
    /// Of shared-memory pages.
    MM_RSS_SHMEM = 11;
}
