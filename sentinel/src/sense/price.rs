//! What one event costs inside the kernel, and what all of them cost.
//!
//! Owns what each CPU timed lately. In: how many events there were, and what some of them took. Out: what the programs took for
//! all of them. A price is that of the last seconds on one CPU, with its caches and its load: an event that comes seldom finds cold
//! caches and costs many times what one of many does. Never asks the kernel.

use sentinel_common::cost::SENSORS;

use crate::kernel::OfCpu;

/// Part of what was timed before that still counts one tick later: the price is that of some ten ticks.
const KEPT: f64 = 0.9;

/// What is known of prices.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    cpus: Vec<Cpu>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cpu {
    read: OfCpu,
    lately: [Lately; SENSORS],
}

/// What was timed of one sensor on one CPU, the older the less.
#[derive(Clone, Copy, Debug, Default)]
struct Lately {
    events: f64,
    ns: f64,
}

impl Lately {
    fn learn(&mut self, now: &OfCpu, before: &OfCpu, sensor: usize) {
        let (now, before) = (now.timed[sensor], before.timed[sensor]);
        let events = now.events.wrapping_sub(before.events);
        // A run that took no longer than reading the clock can have counted below zero.
        let ns = now.ns.wrapping_sub(before.ns).cast_signed();
        // What is seldom is remembered until it comes again.
        if events > 0 {
            self.events = self.events * KEPT + events as f64;
            self.ns = self.ns * KEPT + ns as f64;
        }
    }

    fn each_ns(self) -> Option<f64> {
        (self.events > 0.0).then(|| (self.ns / self.events).max(0.0))
    }
}

impl Prices {
    /// Takes what every CPU counted and timed since the start, always in the same order, and tells what the programs of each sensor
    /// took since the last time, nanoseconds. `None` where there were events and none was timed as yet.
    pub fn learn(&mut self, costs: impl Iterator<Item = OfCpu>) -> [Option<f64>; SENSORS] {
        // What a CPU has not timed yet costs what the others' events do.
        let elsewhere: [Lately; SENSORS] = std::array::from_fn(|sensor| {
            let of_sensor = self.cpus.iter().map(|cpu| cpu.lately[sensor]);
            of_sensor.fold(Lately::default(), |sum, cpu| Lately {
                events: sum.events + cpu.events,
                ns: sum.ns + cpu.ns,
            })
        });
        let mut spent_ns = [Some(0.0); SENSORS];
        for (index, now) in costs.enumerate() {
            if index == self.cpus.len() {
                self.cpus.push(Cpu::default());
            }
            let cpu = &mut self.cpus[index];
            let before = std::mem::replace(&mut cpu.read, now);
            for sensor in 0..SENSORS {
                let lately = &mut cpu.lately[sensor];
                lately.learn(&now, &before, sensor);
                let events = now.events[sensor].wrapping_sub(before.events[sensor]);
                if events > 0 {
                    let each_ns = lately.each_ns().or_else(|| elsewhere[sensor].each_ns());
                    let ns = each_ns.map(|ns| ns * f64::from(events));
                    spent_ns[sensor] = spent_ns[sensor].zip(ns).map(|(sum, ns)| sum + ns);
                }
            }
        }
        spent_ns
    }
}

#[cfg(test)]
mod tests {
    use sentinel_common::cost::Timed;

    use super::*;

    /// A CPU with as many events of the first sensor, of which some were timed.
    fn cpu(events: u32, timed: u64, ns: i64) -> OfCpu {
        let mut cpu = OfCpu::default();
        cpu.events[0] = events;
        cpu.timed[0] = Timed {
            events: timed,
            ns: ns.cast_unsigned(),
            ..Timed::default()
        };
        cpu
    }

    fn spent(prices: &mut Prices, cpus: &[OfCpu]) -> Option<f64> {
        prices.learn(cpus.iter().copied())[0]
    }

    #[test]
    fn each_cpus_events_cost_what_those_did_that_it_timed() {
        let mut prices = Prices::default();
        assert_eq!(prices.learn([OfCpu::default()].into_iter()), [Some(0.0); SENSORS]);
        let mut prices = Prices::default();
        let busy_and_calm = [cpu(1_000_000, 32, 32 * 24), cpu(100, 32, 32 * 700)];
        let spent = spent(&mut prices, &busy_and_calm).unwrap();
        assert!((spent - (24e6 + 70e3)).abs() < 1.0, "{spent}");
    }

    #[test]
    fn what_was_not_timed_costs_what_it_does_elsewhere_or_is_unknown() {
        let mut prices = Prices::default();
        let mut cpus = [cpu(10, 0, 0), cpu(0, 0, 0)];
        assert_eq!(spent(&mut prices, &cpus), None);
        cpus[0] = cpu(20, 10, 400);
        assert_eq!(spent(&mut prices, &cpus), Some(400.0));
        cpus[1] = cpu(5, 0, 0);
        assert_eq!(spent(&mut prices, &cpus), Some(200.0));
    }

    #[test]
    fn the_price_follows_the_load_and_stays_where_nothing_comes() {
        let mut prices = Prices::default();
        let (mut timed, mut ns, mut events) = (0, 0, u32::MAX - 100_000);
        prices.learn([cpu(events, 0, 0)].into_iter());
        let mut tick = |prices: &mut Prices, each: i64| {
            timed += 64;
            ns += 64 * each;
            // The count goes round.
            events = events.wrapping_add(1_000);
            spent(prices, &[cpu(events, timed, ns)]).unwrap() / 1_000.0
        };
        let cold = (0..50).map(|_| tick(&mut prices, 700)).last().unwrap();
        assert!((cold - 700.0).abs() < 1.0, "{cold}");
        let warm = (0..80).map(|_| tick(&mut prices, 40)).last().unwrap();
        assert!((warm - 40.0).abs() < 1.0, "caches are warm: {warm}");
        let mut read = prices.cpus[0].read;
        for _ in 0..1_000 {
            read.events[0] = read.events[0].wrapping_add(1);
            assert!((spent(&mut prices, &[read]).unwrap() - warm).abs() < 1e-9);
        }
    }

    #[test]
    fn a_program_faster_than_a_clock_costs_nothing_and_not_less() {
        let mut prices = Prices::default();
        assert_eq!(spent(&mut prices, &[cpu(1_000, 64, -300)]), Some(0.0));
    }
}
