//! Sums over all scopes, as the host's own counts are.

use sentinel::sense::sample::{Mem, Sched, ScopeSample};

/// Scheduler counts of all scopes.
pub(super) fn sum_sched(scopes: &[ScopeSample]) -> Sched {
    scopes
        .iter()
        .filter_map(|scope| scope.sched.as_ref())
        .fold(Sched::default(), |mut sum, one| {
            sum.waits += one.waits;
            sum.wait_ns += one.wait_ns;
            sum.wait_units_squared += one.wait_units_squared;
            sum.on_cpu_ns += one.on_cpu_ns;
            sum.voluntary += one.voluntary;
            sum.involuntary += one.involuntary;
            for (sum, one) in sum.buckets.iter_mut().zip(one.buckets) {
                *sum = sum.saturating_add(one);
            }
            sum
        })
}

/// Page counts of all scopes; resident pages where the kernel tells them.
pub(super) fn sum_mem(scopes: &[ScopeSample], rss_known: bool) -> Mem {
    let known = rss_known.then_some(0);
    let zero = Mem {
        rss_anon_pages: known,
        rss_file_pages: known,
        rss_shmem_pages: known,
        ..Mem::default()
    };
    let add = |sum: &mut Option<i64>, one: Option<i64>| *sum = sum.map(|sum| sum + one.unwrap_or(0));
    scopes
        .iter()
        .filter_map(|scope| scope.mem.as_ref())
        .fold(zero, |mut sum, one| {
            sum.allocated_pages += one.allocated_pages;
            sum.freed_pages += one.freed_pages;
            add(&mut sum.rss_anon_pages, one.rss_anon_pages);
            add(&mut sum.rss_file_pages, one.rss_file_pages);
            add(&mut sum.rss_shmem_pages, one.rss_shmem_pages);
            sum.oom_kills += one.oom_kills;
            sum
        })
}
