//! Where scopes fail to connect to most. Looks only where attempts fail, and at most once a second: the table costs system calls.

use std::{collections::HashMap, net::IpAddr};

use super::Live;
use crate::sense::sample::{Destination, Sample, ScopeSample};

/// Failed attempts in one reading from which on it is worth knowing where to.
const FAILURES_WORTH_A_LOOK: u64 = 2;
/// Time between two looks at the table of destinations: each costs two system calls per entry.
const DESTINATIONS_REST_NS: u64 = 1_000_000_000;

impl Live {
    /// Where the scopes of these slots fail to connect to most, by slot.
    fn worst_destinations(&self) -> HashMap<u32, Destination> {
        let mut worst: HashMap<u32, Destination> = HashMap::new();
        for (key, counts) in self.kernel.destinations() {
            let found = Destination {
                address: address(&key),
                port: key.port,
                attempts: counts.attempts,
                failures: counts.failures,
            };
            // The address decides between equals: the table has no order.
            let rank = |one: &Destination| (one.failures, one.attempts, one.address, one.port);
            let kept = worst.entry(key.slot).or_insert(found);
            if rank(&found) > rank(kept) {
                *kept = found;
            }
        }
        worst
    }

    /// Names the worst destination of each scope whose attempts fail.
    pub(super) fn read_destinations(&mut self, sample: &mut Sample, slots: &[u32]) {
        let fails = |part: &ScopeSample| {
            part.net
                .is_some_and(|net| net.connect_failures >= FAILURES_WORTH_A_LOOK)
        };
        let now_ns = sample.now.monotonic_ns;
        let rested = self
            .last
            .destinations_ns
            .is_none_or(|at| now_ns.saturating_sub(at) >= DESTINATIONS_REST_NS);
        if !rested || !sample.scopes.iter().any(fails) {
            return;
        }
        self.last.destinations_ns = Some(now_ns);
        let worst = self.worst_destinations();
        for (part, slot) in sample.scopes.iter_mut().zip(slots) {
            if fails(part) {
                part.worst_destination = worst.get(slot).copied().filter(|one| one.failures > 0);
            }
        }
    }
}

fn address(destination: &sentinel_common::net::Destination) -> IpAddr {
    let bytes = destination.address;
    if destination.version == 4 {
        IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])
    } else {
        IpAddr::from(bytes)
    }
}
