//! What differs between kernels and machines and is not a field of a typed pointer (see [`sentinel_common::field`]): offsets for
//! helpers that read, and sizes. User space sets every one before load; the verifier then knows them as constants.

use aya_ebpf::Global;

macro_rules! constants {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $value:expr;)+) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub(crate) static $name: Global<$type> = Global::new($value);
    )+};
}

constants! {
    /// Index of the first counter of the bank that all CPUs share: CPUs × slots.
    SHARED_BANK: u32 = 0;

    /// `task_struct.se.cfs_rq`
    TASK_CFS_RQ: u32 = 0;
    /// `cfs_rq.rq`
    CFS_RQ_RQ: u32 = 0;
    /// `rq.nr_running`
    RQ_NR_RUNNING: u32 = 0;
    /// `rq.cpu`
    RQ_CPU: u32 = 0;
    /// 1 where the run-queue counts tasks that sleep already (delayed dequeue).
    RQ_HAS_DELAYED: u8 = 0;
    /// `rq.cfs.h_nr_queued`
    RQ_QUEUED: u32 = 0;
    /// `rq.cfs.h_nr_runnable`
    RQ_RUNNABLE: u32 = 0;

    /// From a CPU's run-queue to its count of the pages allocated in the first zone, modulo 2^64.
    PAGES_FROM_RQ: u64 = 0;
    /// Zones; 0 where pages are not counted.
    ZONES: u32 = 0;
    /// Of the words from there on, the one that counts pages freed.
    PAGES_FREED: u32 = 0;

    /// Offset of the count of file pages in `mm_struct`; the other kinds follow.
    MM_RSS: u32 = 0;
    /// From one kind to the next.
    MM_RSS_STRIDE: u32 = 0;

    /// 1 where the counts are read by a helper because the verifier does not see through their type.
    RSS_BY_HELPER: u8 = 0;

    /// 1 where `mark_victim` passes the task, 0 where it passes a pid.
    VICTIM_IS_TASK: u8 = 0;

    /// 1 where a program may choose the error that `connect` ends with.
    CHOOSES_ERROR: u8 = 0;
}
