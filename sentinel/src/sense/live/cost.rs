//! What the programs cost, and leaving some of them out. Decides neither how much is too much nor what is left out.

use sentinel_common::cost::{OF_MEM, OF_NET, OF_SCHED, SENSORS, off};

use super::Live;
use crate::{
    sense::{
        price::Prices,
        sample::Host,
        spare::{ProgramShares, Spared},
    },
    time::Now,
};

/// What events cost, and how many there were since the last tick.
#[derive(Debug, Default)]
pub(super) struct Costs {
    prices: Prices,
    events: [u64; SENSORS],
    packet_runs: u64,
    idle_left: u64,
    tick_ns: Option<u64>,
    shares: ProgramShares,
}

impl Live {
    /// Counts what a reading has found; at a tick, what it cost.
    pub(super) fn count_cost(&mut self, host: &Host, now: Now, tick: bool) {
        let costs = &mut self.costs;
        costs.events[OF_SCHED] += host.sched.as_ref().map_or(0, |sched| sched.waits);
        let blocks = |by_order: &[u64]| by_order.iter().sum::<u64>();
        costs.events[OF_MEM] += host
            .mem
            .as_ref()
            .map_or(0, |mem| blocks(&mem.allocated) + blocks(&mem.freed));
        if !tick {
            return;
        }
        let runs = self.kernel.packet_runs();
        costs.events[OF_NET] = runs.wrapping_sub(costs.packet_runs);
        costs.packet_runs = runs;
        let idle = self.kernel.idle_left();
        costs.events[OF_SCHED] += idle.wrapping_sub(costs.idle_left);
        costs.idle_left = idle;
        let events = std::mem::take(&mut costs.events);
        costs.prices.learn(&self.kernel.timed());
        self.kernel.time_some();
        let Some(before_ns) = costs.tick_ns.replace(now.monotonic_ns) else {
            return;
        };
        let elapsed_ns = now.monotonic_ns.saturating_sub(before_ns);
        let shares = costs.prices.shares(events, elapsed_ns);
        let share = |sensor: usize, runs: bool| shares[sensor].filter(|_| runs);
        costs.shares = ProgramShares {
            // Where its own signal is off the switch hook attributes for the others, and is not known.
            sched: share(OF_SCHED, self.measures.sched),
            mem: share(OF_MEM, self.measures.mem),
            net: share(OF_NET, self.measures.net),
        };
    }

    pub(super) const fn shares(&self) -> ProgramShares {
        self.costs.shares
    }

    /// What runs, or only does not because it is left out.
    pub(super) fn can_be_spared(&self) -> Spared {
        Spared {
            mem: self.kernel.runs("mem"),
            net: self.kernel.runs("net"),
        }
    }

    /// A sensor that is taken up again begins with this moment: nothing was counted while it was left out. One that was lost
    /// meanwhile stays lost.
    pub(super) fn leave_out(&mut self, spared: Spared, now: Now) {
        let bit = |is_off: bool, sensor: usize| if is_off { off(sensor) } else { 0 };
        self.kernel
            .switch_off(bit(spared.mem, OF_MEM) | bit(spared.net, OF_NET));
        let runs = self.can_be_spared();
        self.measures.mem = runs.mem && !spared.mem;
        let net = runs.net && !spared.net;
        if net && !self.measures.net {
            self.last.net_ns = Some(now.monotonic_ns);
        }
        self.measures.net = net;
    }
}
