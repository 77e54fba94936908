//! What one event costs inside the kernel, and what all of them cost.
//!
//! Owns what was timed lately. In: events that were counted, and what some of them took. Out: the share of a CPU that the
//! programs took. A price is that of the last seconds, on the caches and under the load of this host then: an event that comes
//! seldom finds cold caches and costs many times what one of many does. Never asks the kernel.

use std::array;

use sentinel_common::cost::SENSORS;

use crate::kernel::Timed;

/// Part of what was timed before that still counts one tick later: the price is that of some ten ticks.
const KEPT: f64 = 0.9;

/// What is known of prices.
#[derive(Clone, Debug, Default)]
pub(super) struct Prices {
    read: [Timed; SENSORS],
    lately: [Lately; SENSORS],
}

/// What was timed of one sensor, the older the less.
#[derive(Clone, Copy, Debug, Default)]
struct Lately {
    events: f64,
    ns: f64,
}

impl Prices {
    /// Takes what was timed since the start. To be called at every tick.
    pub(super) fn learn(&mut self, timed: &[Timed; SENSORS]) {
        for ((read, now), lately) in self.read.iter_mut().zip(timed).zip(&mut self.lately) {
            let before = std::mem::replace(read, *now);
            let events = now.events.wrapping_sub(before.events);
            // A run that took no longer than reading the clock can have counted below zero.
            let ns = now.ns.wrapping_sub(before.ns).cast_signed();
            // What is seldom is remembered until it comes again.
            if events > 0 {
                lately.events = lately.events * KEPT + events as f64;
                lately.ns = lately.ns * KEPT + ns as f64;
            }
        }
    }

    /// Share of one CPU that the programs of each sensor took for so many events in so long a time. `None` where none was timed
    /// as yet.
    pub(super) fn shares(&self, events: [u64; SENSORS], elapsed_ns: u64) -> [Option<f64>; SENSORS] {
        array::from_fn(|sensor| {
            let price_ns = match (events[sensor], self.lately[sensor]) {
                (0, _) => 0.0,
                (_, lately) if lately.events > 0.0 => (lately.ns / lately.events).max(0.0),
                _ => return None,
            };
            Some(price_ns * events[sensor] as f64 / elapsed_ns.max(1) as f64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn timed(events: u64, ns: i64) -> Timed {
        Timed {
            events,
            ns: ns.cast_unsigned(),
        }
    }

    fn close(share: Option<f64>, expected: f64) -> bool {
        share.is_some_and(|share| (share - expected).abs() < 1e-9)
    }

    #[test]
    fn all_events_cost_what_those_did_that_were_timed() {
        let mut prices = Prices::default();
        assert_eq!(prices.shares([1, 0, 1], SECOND), [None, Some(0.0), None]);
        prices.learn(&[timed(32, 32 * 24), timed(64, 64 * 20), timed(0, 0)]);
        let shares = prices.shares([1_000_000, 100_000, 10], SECOND);
        assert!(close(shares[0], 0.024), "24 ns a switch: {shares:?}");
        assert!(close(shares[1], 0.002), "20 ns a page: {shares:?}");
        assert_eq!(shares[2], None, "no packet was timed");
    }

    #[test]
    fn the_price_follows_the_load_and_stays_where_nothing_comes() {
        let mut prices = Prices::default();
        let price = |prices: &Prices| prices.shares([SECOND; SENSORS], SECOND)[0].unwrap();
        let (mut events, mut ns) = (0, 0);
        let mut tick = |prices: &mut Prices, each: i64| {
            events += 64;
            ns += 64 * each;
            prices.learn(&[timed(events, ns), timed(0, 0), timed(0, 0)]);
        };
        for _ in 0..50 {
            tick(&mut prices, 700);
        }
        assert!((price(&prices) - 700.0).abs() < 1.0);
        for _ in 0..30 {
            tick(&mut prices, 40);
        }
        assert!(
            (40.0..80.0).contains(&price(&prices)),
            "caches are warm: {}",
            price(&prices)
        );
        let before = price(&prices);
        for _ in 0..1_000 {
            let read = prices.read;
            prices.learn(&read);
        }
        assert!((price(&prices) - before).abs() < 1e-9);
    }

    #[test]
    fn a_program_faster_than_a_clock_costs_nothing_and_not_less() {
        let mut prices = Prices::default();
        prices.learn(&[timed(64, -300); SENSORS]);
        assert_eq!(prices.shares([1_000; SENSORS], 1_000), [Some(0.0); SENSORS]);
    }
}
