//! Whether it is worth reading often. Owns what was counted over the last second, and until when it is. In: samples, and whether
//! anything was said of them. Out: yes or no. Never changes what is read, and drops no count: what is read later is in a sample that says
//! how much time it covers.

use std::sync::Arc;

use super::sample::{Sample, Scope};

/// Time over which it is looked at what happens, less what a timer is late.
const SECOND_NS: u64 = 900_000_000;
/// How long something is expected to go on, or to come again, after it was seen.
const LASTS_NS: u64 = 10_000_000_000;
/// What the whole host may do and still count as quiet, per second: time on CPU and waited for one, milliseconds; units of work on
/// one side; packets. Each lies that far below what a judge takes for anything, that it stays below even if all of a second
/// happens in the time between two readings.
const QUIET_CPU_MS: f64 = 100.0;
const QUIET_WAIT_MS: f64 = 10.0;
const QUIET_WORK: f64 = 1.0;
const QUIET_PACKETS: f64 = 100.0;

/// Whether to read often.
#[derive(Debug, Default)]
pub struct Attention {
    until_ns: u64,
    roster: Arc<Vec<Arc<Scope>>>,
    second: Counted,
    lasts: bool,
}

/// What happened over some time.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    sched_ns: u64,
    net_ns: u64,
    on_cpu_ns: u64,
    wait_ns: u64,
    work: u64,
    packets: u64,
}

impl Attention {
    /// Takes in a sample, and whether anything was said of it. That is worth looking closer for a while, as is something that
    /// happens, a cgroup that comes or goes, and the beginning, of which nothing is known yet.
    pub fn observe(&mut self, sample: &Sample, said: bool) {
        let counted = &mut self.second;
        if let (Some(ns), Some(sched)) = (sample.elapsed.sched_ns, &sample.host.sched) {
            counted.sched_ns += ns;
            counted.on_cpu_ns += sched.on_cpu_ns;
            counted.wait_ns += sched.wait_ns;
        }
        if let (Some(ns), Some(net)) = (sample.elapsed.net_ns, &sample.host.net) {
            let failed = net.connect_failures + net.retransmits + net.given_up;
            let paths = [net.external, net.loopback];
            counted.net_ns += ns;
            counted.work += net.work_out().max(net.work_in()).max(failed);
            counted.packets += paths
                .iter()
                .map(|path| path.ingress_packets.max(path.egress_packets))
                .sum::<u64>();
        }
        let over = counted.sched_ns.max(counted.net_ns) >= SECOND_NS;
        let busy = over && !std::mem::take(counted).is_quiet();
        let others = !Arc::ptr_eq(&self.roster, &sample.roster);
        if others {
            self.roster = Arc::clone(&sample.roster);
        }
        let now_ns = sample.now.monotonic_ns;
        if said || busy || others || self.until_ns == 0 {
            self.until_ns = now_ns.saturating_add(LASTS_NS);
        }
        self.lasts = now_ns < self.until_ns;
    }

    /// Whether it was worth it at the last sample.
    #[must_use]
    pub const fn lasts(&self) -> bool {
        self.lasts
    }
}

impl Counted {
    fn is_quiet(&self) -> bool {
        let below = |count: f64, ns: u64, most_per_s: f64| count * 1e9 <= most_per_s * ns as f64;
        below(self.on_cpu_ns as f64 / 1e6, self.sched_ns, QUIET_CPU_MS)
            && below(self.wait_ns as f64 / 1e6, self.sched_ns, QUIET_WAIT_MS)
            && below(self.work as f64, self.net_ns, QUIET_WORK)
            && below(self.packets as f64, self.net_ns, QUIET_PACKETS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sense::sample::{Elapsed, Host, Net, Sched, Traffic};
    use crate::time::Now;

    const MS: u64 = 1_000_000;

    /// A sample at this time, of as much before it.
    fn sample(at_ms: u64, elapsed_ms: u64, sched: Sched, net: Net, roster: &Arc<Vec<Arc<Scope>>>) -> Sample {
        Sample {
            now: Now {
                monotonic_ns: at_ms * MS,
                ..Now::default()
            },
            elapsed: Elapsed {
                sched_ns: Some(elapsed_ms * MS),
                mem_ns: None,
                net_ns: Some(elapsed_ms * MS),
            },
            host: Host {
                sched: Some(sched),
                net: Some(net),
                ..Host::default()
            },
            roster: Arc::clone(roster),
            ..Sample::default()
        }
    }

    /// Whether it lasts after some quiet seconds and one like this, read in so many parts.
    fn after(parts: u64, sched: Sched, net: Net) -> bool {
        let roster = Arc::default();
        let mut attention = Attention::default();
        let mut lasts = |at_ms, elapsed_ms, sched, net| {
            attention.observe(&sample(at_ms, elapsed_ms, sched, net, &roster), false);
            attention.lasts()
        };
        let (still, silent) = (Sched::default(), Net::default());
        assert!(lasts(1000, 1000, still, silent), "of the beginning nothing is known");
        assert!(!lasts(20_000, 1000, still, silent));
        let mut found = lasts(20_000 + 1000 / parts, 1000 / parts, sched, net);
        for part in 2..=parts {
            found = lasts(20_000 + part * 1000 / parts, 1000 / parts, still, silent);
        }
        assert_eq!(lasts(30_900, 0, still, silent), found);
        assert!(!lasts(31_000, 1000, still, silent));
        found
    }

    #[test]
    fn what_a_host_does_all_the_time_is_quiet_however_often_it_was_read_and_more_is_not() {
        let sched = |on_cpu_ms: u64, wait_ms: u64| Sched {
            on_cpu_ns: on_cpu_ms * MS,
            wait_ns: wait_ms * MS,
            ..Sched::default()
        };
        let asked = |accepts: u64| Net {
            accepts,
            ..Net::default()
        };
        let sent = |egress_packets: u64| Net {
            loopback: Traffic {
                egress_packets,
                ..Traffic::default()
            },
            ..Net::default()
        };
        for parts in [1, 5] {
            assert!(!after(parts, sched(50, 5), asked(1)));
            assert!(after(parts, sched(150, 5), Net::default()));
            assert!(after(parts, sched(50, 20), Net::default()));
            assert!(after(parts, Sched::default(), asked(2)));
            assert!(!after(parts, Sched::default(), sent(90)));
            assert!(after(parts, Sched::default(), sent(200)));
        }
    }

    #[test]
    fn what_was_said_and_a_cgroup_that_comes_or_goes_are_worth_it() {
        let mut attention = Attention::default();
        let mut lasts = |at_ms, roster: &Arc<Vec<Arc<Scope>>>, said| {
            let quiet = sample(at_ms, 200, Sched::default(), Net::default(), roster);
            attention.observe(&quiet, said);
            attention.lasts()
        };
        let (one, none) = (Arc::new(vec![Arc::default()]), Arc::new(Vec::new()));
        assert!(lasts(1000, &one, false));
        assert!(!lasts(20_000, &one, false));
        assert!(lasts(21_000, &none, false) && lasts(30_900, &none, false));
        assert!(!lasts(31_000, &none, false));
        assert!(lasts(40_000, &none, true));
        assert!(!lasts(50_000, &none, false));
    }
}
