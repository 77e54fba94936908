//! What the programs cost, and leaving some of them out. Decides neither how much is too much nor what is left out.

use sentinel_common::cost::{OF_MEM, OF_NET, OF_SCHED, off};

use super::Live;
use crate::{
    sense::{
        price::Prices,
        spare::{ProgramShares, Spared},
    },
    time::Now,
};

/// What events cost.
#[derive(Debug, Default)]
pub(super) struct Costs {
    prices: Prices,
    tick_ns: Option<u64>,
    shares: ProgramShares,
}

impl Live {
    /// Learns what the programs cost since the last tick.
    pub(super) fn count_cost(&mut self, now: Now) {
        let costs = &mut self.costs;
        let spent_ns = costs.prices.learn(self.kernel.costs());
        self.kernel.time_some();
        let Some(before_ns) = costs.tick_ns.replace(now.monotonic_ns) else {
            return;
        };
        let elapsed_ns = now.monotonic_ns.saturating_sub(before_ns).max(1);
        let shares = spent_ns.map(|ns| ns.map(|ns| ns / elapsed_ns as f64));
        let share = |sensor: usize, runs: bool| shares[sensor].filter(|_| runs);
        costs.shares = ProgramShares {
            // Where its own signal is off the switch hook still attributes for the others.
            sched: share(OF_SCHED, self.measures.sched || shares[OF_SCHED] > Some(0.0)),
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
