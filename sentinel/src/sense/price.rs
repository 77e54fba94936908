//! What one event costs inside the kernel, and what all of them cost.
//!
//! Owns what was counted while the kernel timed the programs. In: events that were counted, and what the kernel timed. Out:
//! the price of an event by sensor, once enough were timed, and with it the share of a CPU that the programs took. A price
//! is of the events of the first seconds, on the caches and the load of this host then. Never asks the kernel.

use crate::kernel::{OF_MEM, OF_SCHED, Ran, Timed};

/// Sensors that have a price, in the order of [`Timed::programs`].
pub(super) const SENSORS: usize = 3;
/// Events of a sensor that have to be timed: the mean of so many is known to a few percent.
const ENOUGH: u64 = 2_000;
/// That have to be timed at the least, where no more come.
const LEAST: u64 = 100;
/// Timing goes on for so long at the most, nanoseconds, and to the next tick: it costs every program on the host. A sensor with
/// fewer events by then stays without a price.
const LONGEST_NS: u64 = 1_900_000_000;

/// What is known of prices.
#[derive(Clone, Debug, Default)]
pub(super) struct Prices {
    /// Nanoseconds for each event.
    known: [Option<f64>; SENSORS],
    /// What was timed when counting began, and when that was.
    base: Option<(Timed, u64)>,
    /// Events since then.
    events: [u64; SENSORS],
}

impl Prices {
    /// Counts events.
    pub(super) fn count(&mut self, events: [u64; SENSORS]) {
        if self.base.is_some() {
            for (sum, events) in self.events.iter_mut().zip(events) {
                *sum += events;
            }
        }
    }

    /// Takes what was timed until now. `true` once there is nothing more to be learned from timing.
    pub(super) fn learn(&mut self, timed: &Timed, now_ns: u64) -> bool {
        let Some((base, began_ns)) = self.base else {
            self.base = Some((*timed, now_ns));
            return false;
        };
        let over = now_ns.saturating_sub(began_ns) >= LONGEST_NS;
        let enough = if over { LEAST } else { ENOUGH };
        let empty: [Option<f64>; 2] = std::array::from_fn(|of| {
            let ran = since(&timed.empty[of], &base.empty[of]);
            (ran.runs >= enough).then(|| ran.ns as f64 / ran.runs as f64)
        });
        // Packets come in a rhythm of their own: the smaller is taken off, so that their price is rather too high.
        let fastest = empty.iter().flatten().copied().reduce(f64::min);
        let timing_ns = [
            empty[OF_SCHED],
            empty[OF_MEM],
            fastest.filter(|_| empty.iter().all(Option::is_some)),
        ];
        let programs = timed.programs.iter().zip(&base.programs);
        for (sensor, (now, before)) in programs.enumerate() {
            let (ran, events) = (since(now, before), self.events[sensor]);
            if self.known[sensor].is_none()
                && events >= enough
                && let Some(timing_ns) = timing_ns[sensor]
            {
                let own_ns = ran.ns as f64 - ran.runs as f64 * timing_ns;
                self.known[sensor] = Some(own_ns.max(0.0) / events as f64);
            }
        }
        over || self.known.iter().all(Option::is_some)
    }

    /// Share of one CPU that the programs of each sensor took for so many events in so long a time. `None` where the price
    /// is not known.
    pub(super) fn shares(&self, events: [u64; SENSORS], elapsed_ns: u64) -> [Option<f64>; SENSORS] {
        let share = |sensor: usize| Some(self.known[sensor]? * events[sensor] as f64 / elapsed_ns.max(1) as f64);
        std::array::from_fn(share)
    }
}

fn since(now: &Ran, before: &Ran) -> Ran {
    Ran {
        runs: now.runs.saturating_sub(before.runs),
        ns: now.ns.saturating_sub(before.ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(reference: u64, programs: [(u64, u64); SENSORS]) -> Timed {
        Timed {
            empty: [55, 60].map(|each| Ran {
                runs: reference,
                ns: reference * each,
            }),
            programs: programs.map(|(runs, ns)| Ran { runs, ns }),
        }
    }

    #[test]
    fn an_event_costs_what_its_programs_took_without_what_timing_took() {
        let mut prices = Prices::default();
        prices.count([9_999; SENSORS]);
        assert!(
            !prices.learn(&timed(100, [(100, 7_900), (0, 0), (0, 0)]), 0),
            "nothing to compare with"
        );
        prices.count([10_000, 4_000, 10]);
        // Two programs for each page: each takes 70 with the timing, which takes 60 in that rhythm.
        let now = timed(10_100, [(10_100, 797_900), (8_000, 8_000 * 70), (10, 2_000)]);
        assert!(!prices.learn(&now, 1_000_000_000), "the third has too few");
        let shares = prices.shares([1_000_000, 100_000, 100_000], 1_000_000_000);
        assert!((shares[0].unwrap() - 0.024).abs() < 1e-9, "24 ns a switch: {shares:?}");
        assert!((shares[1].unwrap() - 0.002).abs() < 1e-9, "20 ns a page: {shares:?}");
        assert_eq!(shares[2], None);
        assert!(
            prices.learn(&now, LONGEST_NS + 1_000_000_001),
            "it is not timed for ever"
        );
        assert_eq!(prices.shares([0, 0, 1], 1)[2], None, "and stays unknown");
    }

    #[test]
    fn a_program_faster_than_an_empty_one_costs_nothing_and_not_less() {
        let mut prices = Prices::default();
        prices.learn(&timed(0, [(0, 0); SENSORS]), 0);
        prices.count([5_000; SENSORS]);
        assert!(prices.learn(&timed(5_000, [(5_000, 5_000); SENSORS]), 1));
        assert_eq!(prices.shares([1_000; SENSORS], 1_000), [Some(0.0); SENSORS]);
    }
}
