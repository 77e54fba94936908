//! The one way to send an event: what does not fit is counted.

use sentinel_common::{event::Event, loss};

use crate::{count::lost, maps::EVENTS};

/// Sends an event.
#[inline(always)]
pub(crate) fn emit(event: Event) {
    match EVENTS.reserve::<Event>(0) {
        Some(mut entry) => {
            entry.write(event);
            entry.submit(0);
        }
        None => lost(loss::EVENT_DROPPED),
    }
}
