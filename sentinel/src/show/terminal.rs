//! The sink for a reader: a head, a line per verdict and outcome, a status line on a terminal, and a closing summary.
//!
//! Keeps what the text needs from one tick to the next; [`super::view`] draws, [`super::screen`] writes.

use std::time::Duration;

use super::{
    Publication, Sink, SinkError, Snapshot,
    encode::Body,
    screen::Screen,
    status::{Rates, status},
    view::{self, Opening, Totals},
    words,
};

/// The sink.
pub struct Terminal {
    screen: Screen,
    rates: Rates,
    totals: Totals,
}

impl Terminal {
    /// Prints the head of the run.
    #[must_use]
    pub fn start(screen: Screen, opening: &Opening) -> Self {
        screen.print(&format!("{}\n", view::opening(opening, &screen.style())));
        Self {
            screen,
            rates: Rates::default(),
            totals: Totals::default(),
        }
    }

    /// What the run came to so far.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    fn add(&mut self, snapshot: &Snapshot) {
        self.rates.update(&snapshot.sample, snapshot.origin.page_bytes);
        self.rates.forget(&snapshot.unavailable);
        self.totals.ticks = snapshot.ticks;
        self.totals.late_ticks = snapshot.late_ticks;
        for verdict in &snapshot.verdicts {
            *self.totals.verdicts.entry(verdict.level).or_default() += 1;
        }
        for outcome in &snapshot.outcomes {
            if words::ended_well(outcome) {
                self.totals.actions_well += 1;
            } else {
                self.totals.actions_failed += 1;
            }
        }
        self.totals.losses.clone_from(&snapshot.losses);
        self.totals.cost = snapshot.own.cost_share.zip(snapshot.own.budget_share);
    }
}

impl Sink for Terminal {
    fn name(&self) -> &'static str {
        "terminal"
    }

    fn publish(&mut self, publication: &Publication<'_>) -> Result<(), SinkError> {
        let Publication { snapshot, records, .. } = *publication;
        self.add(snapshot);
        let style = self.screen.style();
        let mut lines = String::new();
        for record in records {
            lines.push_str(&match &record.body {
                Body::Verdict(verdict) => view::verdict(verdict, &style),
                Body::Outcome(outcome) => view::outcome(outcome, &style),
            });
        }
        if self.screen.has_status() {
            self.screen.redraw(&lines, status(snapshot, &self.rates, &style));
        } else {
            self.screen.print(&lines);
        }
        SinkError::from_health(self.name(), self.screen.health(snapshot.now.monotonic_ns))
    }

    fn lost(&self) -> u64 {
        self.screen.lost()
    }

    fn finish(&mut self, patience: Duration) {
        let closing = view::closing(&self.totals, &self.screen.style());
        self.screen.redraw(&format!("\n{closing}"), String::new());
        self.screen.finish(patience);
    }
}
