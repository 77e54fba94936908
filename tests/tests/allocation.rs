//! Contract: judging a sample that changes nothing allocates nothing, so that memory does not grow with uptime.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering},
};

use sentinel::{
    config::Config,
    judge::{Judge, JudgeConfig},
};
use sentinel_tests::synthetic::{Rig, origin};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`; the pointer came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_sample_that_changes_nothing_allocates_nothing() {
    let config = Config::default();
    let mut rig = Rig::new(1, &config, &["worker", "leaker", "a", "b", "c"]);
    rig.load("worker").busy_tasks = 4.0;
    rig.load("leaker").grows_mb = 20.0;
    rig.run(40.0);
    let mut judge = Judge::new(JudgeConfig::from(&config), origin().into());
    let mut verdicts = Vec::new();
    let (warm_up, steady) = rig.samples.split_at(rig.samples.len() / 2);
    for sample in warm_up {
        judge.observe(sample, &mut verdicts);
    }
    assert!(verdicts.len() >= 2, "both faults are there: {verdicts:#?}");
    let (said, before) = (verdicts.len(), ALLOCATIONS.load(Ordering::Relaxed));
    for sample in steady {
        judge.observe(sample, &mut verdicts);
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), before);
    assert_eq!(verdicts.len(), said);
}
