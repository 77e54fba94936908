//! Differences of counters: the one place where wrap and reset are dealt with.
//!
//! Counters of a slot only grow, modulo 2^64 (buckets: 2^32), and are never set back, not even when the slot gets a
//! new owner: what was read last under the old owner is where the new one begins. So a difference is a wrapping
//! subtraction, always. Pure functions of now and before.

use sentinel_common::{
    loss::{LOSS_KINDS, LOSS_NAMES},
    mem::{MemCounters, RSS_ANON, RSS_FILE, RSS_SHMEM},
    net::{NetCounters, PATH_EXTERNAL, PATH_LOOPBACK, Traffic as TrafficCounters},
    net_counters,
    sched::{RunQueueCounters, SchedCounters},
};

use super::sample::{Loss, Mem, Net, RunQueue, Sched, Traffic};

/// What the scheduler sensor counted between two readings.
#[must_use]
pub fn sched(now: &SchedCounters, before: &SchedCounters) -> Sched {
    let mut buckets = now.buckets;
    for (bucket, before) in buckets.iter_mut().zip(before.buckets) {
        *bucket = bucket.wrapping_sub(before);
    }
    Sched {
        waits: now.waits.wrapping_sub(before.waits),
        wait_ns: now.wait_ns.wrapping_sub(before.wait_ns),
        wait_units_squared: now.wait_units_squared.wrapping_sub(before.wait_units_squared),
        on_cpu_ns: now.on_cpu_ns.wrapping_sub(before.on_cpu_ns),
        voluntary: now.voluntary.wrapping_sub(before.voluntary),
        involuntary: now.involuntary.wrapping_sub(before.involuntary),
        buckets,
    }
}

/// What the page sensor counted between two readings. `rss` tells whether resident pages are measured here.
#[must_use]
pub fn mem(now: &MemCounters, before: &MemCounters, rss: bool) -> Mem {
    // Movements go both ways: the difference is a signed number.
    let moved = |kind: usize| rss.then(|| now.rss_pages[kind].wrapping_sub(before.rss_pages[kind]).cast_signed());
    Mem {
        allocated_pages: now.allocated_pages.wrapping_sub(before.allocated_pages),
        freed_pages: now.freed_pages.wrapping_sub(before.freed_pages),
        rss_anon_pages: moved(RSS_ANON),
        rss_file_pages: moved(RSS_FILE),
        rss_shmem_pages: moved(RSS_SHMEM),
        oom_kills: now.oom_kills.wrapping_sub(before.oom_kills),
    }
}

/// What the network sensor counted between two readings.
#[must_use]
pub fn net(now: &NetCounters, before: &NetCounters) -> Net {
    macro_rules! differences {
        ($($field:ident),+) => {
            Net {
                external: traffic(&now.traffic[PATH_EXTERNAL], &before.traffic[PATH_EXTERNAL]),
                loopback: traffic(&now.traffic[PATH_LOOPBACK], &before.traffic[PATH_LOOPBACK]),
                $($field: now.$field.wrapping_sub(before.$field),)+
            }
        };
    }
    net_counters!(differences)
}

fn traffic(now: &TrafficCounters, before: &TrafficCounters) -> Traffic {
    Traffic {
        ingress_packets: now.ingress_packets.wrapping_sub(before.ingress_packets),
        ingress_bytes: now.ingress_bytes.wrapping_sub(before.ingress_bytes),
        egress_packets: now.egress_packets.wrapping_sub(before.egress_packets),
        egress_bytes: now.egress_bytes.wrapping_sub(before.egress_bytes),
    }
}

/// Run-queue samples between two readings.
#[must_use]
pub fn run_queue(now: &RunQueueCounters, before: &RunQueueCounters) -> RunQueue {
    RunQueue {
        samples: now.samples.wrapping_sub(before.samples),
        length: now.length.wrapping_sub(before.length),
        length_squared: now.length_squared.wrapping_sub(before.length_squared),
    }
}

/// Losses between two readings; only kinds that are not zero.
#[must_use]
pub fn losses(now: &[u64; LOSS_KINDS], before: &[u64; LOSS_KINDS]) -> Vec<Loss> {
    let counts = LOSS_NAMES.iter().zip(now.iter().zip(before));
    counts
        .filter(|(_, (now, before))| now != before)
        .map(|(kind, (now, before))| Loss {
            kind: (*kind).to_owned(),
            count: now.wrapping_sub(*before),
        })
        .collect()
}

/// Adds up scopes for the host.
pub fn add_sched(sum: &mut Sched, part: &Sched) {
    sum.waits += part.waits;
    sum.wait_ns += part.wait_ns;
    sum.wait_units_squared = sum.wait_units_squared.wrapping_add(part.wait_units_squared);
    sum.on_cpu_ns += part.on_cpu_ns;
    sum.voluntary += part.voluntary;
    sum.involuntary += part.involuntary;
    for (sum, part) in sum.buckets.iter_mut().zip(part.buckets) {
        *sum = sum.saturating_add(part);
    }
}

/// Adds up scopes for the host.
pub fn add_mem(sum: &mut Mem, part: &Mem) {
    sum.allocated_pages += part.allocated_pages;
    sum.freed_pages += part.freed_pages;
    let add = |sum: &mut Option<i64>, part: Option<i64>| *sum = part.map(|part| sum.unwrap_or(0) + part);
    add(&mut sum.rss_anon_pages, part.rss_anon_pages);
    add(&mut sum.rss_file_pages, part.rss_file_pages);
    add(&mut sum.rss_shmem_pages, part.rss_shmem_pages);
    sum.oom_kills += part.oom_kills;
}

/// Adds up scopes for the host.
pub fn add_net(sum: &mut Net, part: &Net) {
    macro_rules! sums {
        ($($field:ident),+) => { $(sum.$field += part.$field;)+ };
    }
    net_counters!(sums);
    add_traffic(&mut sum.external, &part.external);
    add_traffic(&mut sum.loopback, &part.loopback);
}

fn add_traffic(sum: &mut Traffic, part: &Traffic) {
    sum.ingress_packets += part.ingress_packets;
    sum.ingress_bytes += part.ingress_bytes;
    sum.egress_packets += part.egress_packets;
    sum.egress_bytes += part.egress_bytes;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_wrapped_gives_the_true_difference() {
        let mut before = SchedCounters {
            waits: u64::MAX - 1,
            ..SchedCounters::default()
        };
        let mut now = SchedCounters {
            waits: 3,
            ..SchedCounters::default()
        };
        (before.buckets[5], now.buckets[5]) = (u32::MAX, 9);
        let delta = sched(&now, &before);
        assert_eq!((delta.waits, delta.buckets[5]), (5, 10));
    }

    #[test]
    fn resident_pages_go_both_ways_and_are_unknown_where_not_measured() {
        let mut before = MemCounters::default();
        let mut now = MemCounters::default();
        before.rss_pages[RSS_ANON] = 10;
        now.rss_pages[RSS_ANON] = 7;
        assert_eq!(mem(&now, &before, true).rss_anon_pages, Some(-3));
        assert_eq!(mem(&now, &before, false).rss_anon_pages, None);
    }

    #[test]
    fn only_what_was_lost_is_listed() {
        let before = [1; LOSS_KINDS];
        let mut now = before;
        now[2] += 4;
        assert_eq!(
            losses(&now, &before),
            [Loss {
                kind: LOSS_NAMES[2].to_owned(),
                count: 4
            }]
        );
    }
}
