//! What the agent leaves out so that it does not cost more than it may, and when it takes it up again. Pure.
//!
//! Owns the mean of what was spent, and what is left out. In: what was spent between two ticks. Out: what to leave out from
//! now on, and what there is to say about it. Never measures, and never turns anything off by itself.

use crate::{
    judge::own_cost::{Cost, Step},
    sense::spare::{ProgramShares, Spared},
};

/// Time over which what is spent is averaged, seconds. A minute holds its budget even where what is spent jumps to five
/// times as much.
const MEAN_S: f64 = 10.0;
/// Nothing is judged before: the start is work that does not come again.
const SETTLE_NS: u64 = 10_000_000_000;
/// Share of the budget above which something is left out: before it is exceeded.
const DOWN_AT: f64 = 0.9;
/// Share of the budget below which what was left out is tried again.
const UP_BELOW: f64 = 0.7;
/// What leaving out would not save so much of the budget is kept.
const WORTH: f64 = 0.1;
/// Time after which what was left out is tried again; twice as long each time it could not be kept.
const PAUSE_NS: u64 = 30_000_000_000;
const LONGEST_PAUSE_NS: u64 = 32 * 60 * 1_000_000_000;
/// What was taken up again and stayed for so long can be kept.
const KEPT_NS: u64 = 600_000_000_000;

/// What was spent between two ticks, shares of one CPU. `None` where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spent {
    /// The agent's own process.
    pub(super) agent: Option<f64>,
    /// Of that, readings between ticks.
    pub(super) between: Option<f64>,
    /// The programs in the kernel.
    pub(super) programs: ProgramShares,
}

impl Spent {
    fn total(&self) -> f64 {
        self.agent.unwrap_or(0.0) + self.programs.sum()
    }

    /// What a step would save.
    fn saved_by(&self, step: Step) -> f64 {
        match step {
            Step::Readings => self.between.unwrap_or(0.0),
            Step::Pages => self.programs.mem.unwrap_or(0.0),
            Step::Packets => self.programs.net.unwrap_or(0.0),
        }
    }

    /// What was not known counts from nothing, so that one tick alone does not decide; what is not known any more does not count.
    fn mix(mean: Option<f64>, now: Option<f64>, weight: f64) -> Option<f64> {
        let mean = mean.unwrap_or(0.0);
        now.map(|now| mean + (now - mean) * weight)
    }

    fn towards(&mut self, now: &Self, weight: f64) {
        let mean = &mut self.programs;
        self.agent = Self::mix(self.agent, now.agent, weight);
        self.between = Self::mix(self.between, now.between, weight);
        mean.sched = Self::mix(mean.sched, now.programs.sched, weight);
        mean.mem = Self::mix(mean.mem, now.programs.mem, weight);
        mean.net = Self::mix(mean.net, now.programs.net, weight);
    }

    /// Without what a step saves.
    fn without(&mut self, step: Step) {
        match step {
            Step::Readings => {
                let between = self.between.take().unwrap_or(0.0);
                self.agent = self.agent.map(|agent| (agent - between).max(0.0));
            }
            Step::Pages => self.programs.mem = None,
            Step::Packets => self.programs.net = None,
        }
    }
}

/// What can be left out: what runs, and is read between ticks at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Can {
    /// Readings between ticks happen.
    pub(super) readings: bool,
    /// Sensors that can be switched off.
    pub(super) sensors: Spared,
}

impl Can {
    const fn take(self, step: Step) -> bool {
        match step {
            Step::Readings => self.readings,
            Step::Pages => self.sensors.mem,
            Step::Packets => self.sensors.net,
        }
    }
}

/// Holds the budget.
#[derive(Debug)]
pub(super) struct Governor {
    can: Can,
    began_ns: Option<u64>,
    last_ns: u64,
    mean: Spent,
    taken: Vec<Step>,
    /// When the last step was taken or given back.
    turned_ns: u64,
    pause_ns: u64,
    /// What was given back last, as long as it may turn out that it cannot be kept.
    tried: Option<(Step, u64)>,
    /// It was said that the budget cannot be held.
    over: bool,
}

impl Governor {
    /// Of what can be left out.
    pub(super) fn new(can: Can) -> Self {
        Self {
            can,
            began_ns: None,
            last_ns: 0,
            mean: Spent::default(),
            taken: Vec::new(),
            turned_ns: 0,
            pause_ns: PAUSE_NS,
            tried: None,
            over: false,
        }
    }

    /// Steps that are taken.
    pub(super) fn taken(&self) -> &[Step] {
        &self.taken
    }

    /// Sensors that are left out.
    pub(super) fn spared(&self) -> Spared {
        let taken = |step| self.taken.contains(&step);
        Spared {
            mem: taken(Step::Pages),
            net: taken(Step::Packets),
        }
    }

    /// The mean of what was spent, share of one CPU; `None` until it is judged.
    pub(super) fn mean(&self) -> Option<f64> {
        self.has_settled().then(|| self.mean.total())
    }

    fn has_settled(&self) -> bool {
        self.began_ns
            .is_some_and(|began_ns| self.last_ns.saturating_sub(began_ns) >= SETTLE_NS)
    }

    /// What is to be said, and to be done by [`Governor::taken`] from now on. `held`: something is being done about a scope,
    /// which must be seen until it is over.
    pub(super) fn tick(&mut self, spent: &Spent, budget: f64, held: bool, now_ns: u64) -> Option<Cost> {
        let Some(began_ns) = self.began_ns else {
            (self.began_ns, self.last_ns) = (Some(now_ns), now_ns);
            return None;
        };
        let seconds = |from_ns: u64| now_ns.saturating_sub(from_ns) as f64 / 1e9;
        let elapsed_s = seconds(self.last_ns);
        // The plain mean of all there is at first.
        let weight = (1.0 - (-elapsed_s / MEAN_S).exp()).max(elapsed_s / seconds(began_ns).max(elapsed_s));
        self.last_ns = now_ns;
        self.mean.towards(spent, weight);
        if !self.has_settled() {
            return None;
        }
        if self
            .tried
            .is_some_and(|(_, at_ns)| now_ns.saturating_sub(at_ns) > KEPT_NS)
        {
            (self.tried, self.pause_ns) = (None, PAUSE_NS);
        }
        if self.mean.total() > DOWN_AT * budget {
            return self.step_down(spent, budget, held, now_ns);
        }
        if self.over {
            self.over = false;
            return Some(self.cost(budget, None));
        }
        self.step_up(budget, now_ns)
    }

    /// Which step is told by the last tick too: after a jump the mean lags behind, and the first small saving would seem enough.
    fn step_down(&mut self, spent: &Spent, budget: f64, held: bool, now_ns: u64) -> Option<Cost> {
        let excess = self.mean.total().max(spent.total()) - DOWN_AT * budget;
        let saved_by = |step: Step| self.mean.saved_by(step).max(spent.saved_by(step));
        let worth = |step: &Step| saved_by(*step) >= WORTH * budget;
        // While something is done about a scope its sensors go on; reading them less often blinds nobody.
        let free = |step: &Step| self.can.take(*step) && !self.taken.contains(step);
        let open = |step: &Step| free(step) && (!held || *step == Step::Readings);
        let candidates: Vec<Step> = Step::ALL.into_iter().filter(open).filter(worth).collect();
        let enough = candidates.iter().find(|step| saved_by(**step) >= excess);
        let most = || candidates.iter().max_by(|a, b| saved_by(**a).total_cmp(&saved_by(**b)));
        let Some(step) = enough.or_else(most).copied() else {
            // Only what really is above it is worth a word.
            let over = self.mean.total() > budget && !held;
            return (over && !std::mem::replace(&mut self.over, true)).then(|| self.cost(budget, None));
        };
        if self.tried.take().is_some_and(|(tried, _)| tried == step) {
            self.pause_ns = (self.pause_ns * 2).min(LONGEST_PAUSE_NS);
        }
        self.taken.push(step);
        self.turned_ns = now_ns;
        // What it has cost is what there is to say.
        let cost = self.cost(budget, Some(step));
        self.mean.without(step);
        Some(cost)
    }

    /// The last step first. What it saves now is not known, as what is switched off counts nothing: it has to be tried.
    fn step_up(&mut self, budget: f64, now_ns: u64) -> Option<Cost> {
        self.taken.last()?;
        let due = now_ns.saturating_sub(self.turned_ns) >= self.pause_ns;
        if !due || self.mean.total() > UP_BELOW * budget {
            return None;
        }
        let step = self.taken.pop()?;
        self.tried = Some((step, now_ns));
        self.turned_ns = now_ns;
        Some(self.cost(budget, Some(step)))
    }

    fn cost(&self, budget: f64, turned: Option<Step>) -> Cost {
        Cost {
            budget,
            agent: self.mean.agent,
            programs: self.mean.programs,
            total: self.mean.total(),
            taken: self.taken.clone(),
            turned,
            over: self.over,
        }
    }
}

#[cfg(test)]
#[path = "governor_tests.rs"]
mod tests;
