//! Where a scope's attempts fail most, and whether it is the same place again and again. The counts of a destination
//! grow for ever, so two readings of the same one tell how often it is tried.

use crate::sense::sample::Destination;

use super::super::evidence::SECOND_NS;

/// Two looks further apart than this do not belong together.
const APART_NS: u64 = 5 * SECOND_NS;
/// What was not seen for this long is not shown.
const STALE_NS: u64 = 30 * SECOND_NS;

/// The destination that was worst when that was last looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Worst {
    seen: Option<(Destination, u64)>,
    failures_per_s: Option<f64>,
}

impl Worst {
    /// Takes in what a reading that ends at `now_ns` says; most readings say nothing.
    pub(super) fn observe(&mut self, now_ns: u64, found: Option<Destination>) {
        if let Some((_, at_ns)) = self.seen
            && now_ns.saturating_sub(at_ns) > APART_NS
        {
            self.failures_per_s = None;
        }
        let Some(found) = found else { return };
        self.failures_per_s = self.seen.and_then(|(last, at_ns)| {
            let apart_ns = now_ns.saturating_sub(at_ns);
            let same = (last.address, last.port) == (found.address, found.port);
            (same && apart_ns > 0 && apart_ns <= APART_NS)
                .then(|| found.failures.saturating_sub(last.failures) as f64 / (apart_ns as f64 / 1e9))
        });
        self.seen = Some((found, now_ns));
    }

    /// The destination, while it is known to fail.
    #[must_use]
    pub(super) fn shown(&self, now_ns: u64) -> Option<Destination> {
        self.seen
            .filter(|(_, at_ns)| now_ns.saturating_sub(*at_ns) <= STALE_NS)
            .map(|(destination, _)| destination)
    }

    /// Attempts per second that fail at that one destination; `None` until it was seen twice in a row.
    #[must_use]
    pub(super) const fn failures_per_s(&self) -> Option<f64> {
        self.failures_per_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16, failures: u64) -> Option<Destination> {
        Some(Destination {
            address: [127, 0, 0, 1].into(),
            port,
            attempts: failures,
            failures,
        })
    }

    #[test]
    fn one_place_that_fails_again_and_again_is_told_from_many_that_fail_once() {
        let mut worst = Worst::default();
        worst.observe(SECOND_NS, at(80, 100));
        assert_eq!(worst.failures_per_s(), None, "once is not again");
        worst.observe(2 * SECOND_NS, None);
        worst.observe(3 * SECOND_NS, at(80, 300));
        assert_eq!(worst.failures_per_s(), Some(100.0));
        worst.observe(4 * SECOND_NS, at(81, 301));
        assert_eq!(worst.failures_per_s(), None, "another place");
        assert!(worst.shown(5 * SECOND_NS).is_some());
        assert!(worst.shown(60 * SECOND_NS).is_none(), "it is over");
    }
}
