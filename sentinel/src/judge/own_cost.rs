//! What the agent costs, as a verdict about itself. Writes what was decided elsewhere; decides nothing.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    sense::{
        sample::{Scope, ScopeKind},
        spare::ProgramShares,
    },
    time::Now,
};

use super::{
    Verdict,
    evidence::Evidence,
    report::{Reporter, Statement},
    verdict::{Cause, Level, Signal},
};

/// What can be left out to save cost, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Readings between ticks: what happens is seen up to a tick later.
    Readings,
    /// The programs at pages: fever is unknown.
    Pages,
    /// The programs at packets and connections: amplification is unknown.
    Packets,
}

impl Step {
    /// All, in order.
    pub const ALL: [Self; 3] = [Self::Readings, Self::Pages, Self::Packets];

    /// Name in features and texts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Readings => "readings",
            Self::Pages => "pages",
            Self::Packets => "packets",
        }
    }

    const fn without(self) -> &'static str {
        match self {
            Self::Readings => "nothing is read between ticks",
            Self::Pages => "pages are not counted, and fever is unknown",
            Self::Packets => "packets are not counted, and amplification is unknown",
        }
    }

    const fn again(self) -> &'static str {
        match self {
            Self::Readings => "it reads between ticks again",
            Self::Pages => "pages are counted again",
            Self::Packets => "packets are counted again",
        }
    }
}

/// What the agent costs, shares of one CPU, and what it leaves out for that.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// What it may cost.
    pub budget: f64,
    /// What its process took in the mean of some seconds.
    pub agent: Option<f64>,
    /// What its programs took.
    pub programs: ProgramShares,
    /// All that is known, together.
    pub total: f64,
    /// What is left out now.
    pub taken: Vec<Step>,
    /// What was left out or taken up again right now.
    pub turned: Option<Step>,
    /// More than the budget, and nothing to be left out that would save enough.
    pub over: bool,
}

impl Cost {
    fn level(&self) -> Level {
        if self.over || !self.taken.is_empty() {
            Level::Watch
        } else {
            Level::Nominal
        }
    }

    fn summary(&self) -> String {
        let total = format!(
            "sentinel itself costs {:.2} % of one CPU, its budget is {:.2} %",
            self.total * 100.0,
            self.budget * 100.0
        );
        match self.turned {
            Some(step) if self.taken.contains(&step) => format!("{total}: {}", step.without()),
            Some(step) => format!("{total}: {}", step.again()),
            None if self.over => format!(
                "{total}: nothing that it could leave out would save enough; a longer `interval`, fewer `max_cgroups` or a larger `cost_budget` would"
            ),
            None => format!("{total}: within it again"),
        }
    }
}

/// The verdict.
pub(super) fn verdict(reporter: &mut Reporter, cost: &Cost, previous: &mut Level, now: Now) -> Verdict {
    let level = cost.level();
    let mut features = BTreeMap::new();
    let mut put = |name: &str, value: Option<f64>| {
        if let Some(value) = value {
            features.insert(name.to_owned(), value);
        }
    };
    put("budget_share", Some(cost.budget));
    put("agent_share", cost.agent);
    put("sched_programs_share", cost.programs.sched);
    put("mem_programs_share", cost.programs.mem);
    put("net_programs_share", cost.programs.net);
    for step in &cost.taken {
        put(&format!("without_{}", step.name()), Some(1.0));
    }
    let statement = Statement {
        scope: Arc::new(Scope {
            kind: ScopeKind::Agent,
            path: "sentinel".to_owned(),
            ..Scope::default()
        }),
        signal: Signal::Cost,
        level,
        previous: std::mem::replace(previous, level),
        cause: if level == Level::Nominal {
            Cause::None
        } else {
            Cause::OverBudget
        },
        evidence: Evidence {
            value: Some(cost.total * 100.0),
            features,
            coverage: 1.0,
            ..Evidence::default()
        },
        incident: None,
        calibration: None,
        lost: 0,
        summary: cost.summary(),
    };
    reporter.verdict(now, statement)
}
