//! Attempts by destination, so that user space can name the one that a storm hits. Costs a hash per attempt, none per
//! packet.

use sentinel_common::{
    loss,
    net::{Destination, DestinationCounters},
};

use crate::{
    count::{add_atomic, lost},
    maps::DESTINATIONS,
};

/// Address family of IPv4.
pub(super) const AF_INET: u32 = 2;

/// A destination from the words of an address as the kernel keeps them, and a port in host order.
#[inline(always)]
pub(super) fn of(slot: u32, family: u32, words: [u32; 4], port: u16) -> Destination {
    let mut destination = Destination {
        slot,
        port,
        version: if family == AF_INET { 4 } else { 6 },
        ..Destination::default()
    };
    for (bytes, word) in destination.address.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
    destination
}

/// Counts an attempt.
#[inline(always)]
pub(super) fn attempted(destination: &Destination) {
    match DESTINATIONS.get_ptr_mut(destination) {
        // SAFETY: the pointer comes from the map.
        Some(seen) => add_atomic(unsafe { &mut (*seen).attempts }, 1),
        None => {
            let first = DestinationCounters {
                attempts: 1,
                failures: 0,
            };
            if DESTINATIONS.insert(destination, first, 0).is_err() {
                lost(loss::DESTINATION_NOT_STORED);
            }
        }
    }
}

/// Counts the failure of an attempt.
#[inline(always)]
pub(super) fn failed(destination: &Destination) {
    match DESTINATIONS.get_ptr_mut(destination) {
        // SAFETY: the pointer comes from the map.
        Some(seen) => add_atomic(unsafe { &mut (*seen).failures }, 1),
        None => lost(loss::DESTINATION_NOT_STORED),
    }
}
