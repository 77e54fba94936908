//! Adds outcomes up: by signal, by kind, and in all.

use sentinel::judge::verdict::{Level, Signal};
use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF as _};

use super::outcome::{ForecastScore, Outcome};

/// Hours in a week.
pub const WEEK_H: f64 = 168.0;

/// What some outcomes come to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Scenarios.
    pub runs: u64,
    /// Faults in them.
    pub faults: u64,
    /// Faults found in time.
    pub found: u64,
    /// Delays of those, seconds, in order.
    pub delays_s: Vec<f64>,
    /// Faults for which a cause was given, and right ones among them.
    pub causes: u64,
    /// As above.
    pub causes_right: u64,
    /// Times to clear, seconds, in order; infinity where it was asked for and did not come.
    pub clears_s: Vec<f64>,
    /// Faults that had to stay detected, and those that were lost before their end.
    pub staying: u64,
    /// As above.
    pub lost: u64,
    /// Hours of healthy hosts.
    pub healthy_h: f64,
    /// Those of them with ticks of a second or less.
    pub healthy_fine_h: f64,
    /// False verdicts on healthy hosts (`watch` and above), vetoes among them.
    pub false_verdicts: u64,
    /// As above.
    pub false_vetoes: u64,
    /// Those with ticks of a second or less.
    pub false_fine_verdicts: u64,
    /// Verdicts about bystanders in faulty scenarios, vetoes among them.
    pub beside: u64,
    /// As above.
    pub beside_vetoes: u64,
    /// Readings with a forecast where there must be none.
    pub wrong_forecasts: u64,
    /// Forecasts of leaks.
    pub forecasts: Vec<ForecastScore>,
    /// Phases that had to be named; times until they were, seconds, in order.
    pub phases: u64,
    /// As above.
    pub phases_s: Vec<f64>,
    /// Scenarios in which a phase must not be named, and those in which it was.
    pub never_phases: u64,
    /// As above.
    pub wrong_phases: u64,
}

impl Tally {
    /// Of these outcomes; of one signal only, or of all.
    #[must_use]
    pub fn of<'a>(outcomes: impl Iterator<Item = &'a Outcome>, signal: Option<Signal>) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes {
            tally.add(outcome, signal);
        }
        for times in [&mut tally.delays_s, &mut tally.clears_s, &mut tally.phases_s] {
            times.sort_by(f64::total_cmp);
        }
        tally
    }

    fn add(&mut self, outcome: &Outcome, signal: Option<Signal>) {
        let wanted = |other: Signal| signal.is_none_or(|signal| signal == other);
        self.runs += 1;
        if !outcome.faulty {
            self.healthy_h += outcome.hours;
            self.healthy_fine_h += if outcome.fine { outcome.hours } else { 0.0 };
        }
        for wrong in outcome.wrong.iter().filter(|wrong| wanted(wrong.signal)) {
            let veto = u64::from(wrong.level == Level::Veto);
            if outcome.faulty {
                self.beside += 1;
                self.beside_vetoes += veto;
            } else {
                self.false_verdicts += 1;
                self.false_vetoes += veto;
                self.false_fine_verdicts += u64::from(outcome.fine);
            }
        }
        if wanted(Signal::Fever) {
            self.wrong_forecasts += outcome.wrong_forecasts;
        }
        if wanted(Signal::Amplification)
            && let Some(wrong) = outcome.wrong_phase
        {
            self.never_phases += 1;
            self.wrong_phases += u64::from(wrong);
        }
        for finding in outcome.findings.iter().filter(|finding| wanted(finding.signal)) {
            self.faults += 1;
            self.found += u64::from(finding.delay_s.is_some());
            self.delays_s.extend(finding.delay_s);
            if let Some((_, right)) = finding.cause {
                self.causes += 1;
                self.causes_right += u64::from(right);
            }
            if finding.clears_s.is_some() && finding.delay_s.is_some() {
                self.clears_s.push(finding.clear_s.unwrap_or(f64::INFINITY));
            }
            if let Some(lost) = finding.lost {
                self.staying += 1;
                self.lost += u64::from(lost > 0);
            }
            self.forecasts.extend(finding.forecast);
            if let Some(phase) = finding.phase {
                self.phases += 1;
                self.phases_s.extend(phase);
            }
        }
    }

    /// Share of faults found; `None` without faults.
    #[must_use]
    pub fn detection(&self) -> Option<f64> {
        share(self.found, self.faults)
    }

    /// Share of causes that are right.
    #[must_use]
    pub fn cause_accuracy(&self) -> Option<f64> {
        share(self.causes_right, self.causes)
    }

    /// Weeks of healthy hosts.
    #[must_use]
    pub fn healthy_weeks(&self) -> f64 {
        self.healthy_h / WEEK_H
    }

    /// Share of leaks for which the interval that came with the alarm held the true time; one without forecast does not.
    #[must_use]
    pub fn alarm_coverage(&self) -> Option<f64> {
        let inside = self
            .forecasts
            .iter()
            .filter(|score| score.alarm_inside == Some(true))
            .count();
        share(inside as u64, self.forecasts.len() as u64)
    }

    /// Mean share of forecasts whose interval held the true time, over leaks with any.
    #[must_use]
    pub fn life_coverage(&self) -> Option<f64> {
        mean(
            self.forecasts
                .iter()
                .filter(|score| score.given > 0.0)
                .map(|score| score.inside),
        )
    }

    /// Median time before exhaustion of the first forecast, seconds.
    #[must_use]
    pub fn lead_s(&self) -> Option<f64> {
        let mut leads: Vec<f64> = self.forecasts.iter().map(|score| score.lead_s.unwrap_or(0.0)).collect();
        leads.sort_by(f64::total_cmp);
        quantile(&leads, 0.5)
    }

    /// Mean share of life with a good forecast.
    #[must_use]
    pub fn good(&self) -> Option<f64> {
        mean(self.forecasts.iter().map(|score| score.good))
    }
}

/// A tally in the few numbers that are compared. `None` where there is no data.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    /// Faults.
    pub faults: u64,
    /// Share of them found in time.
    pub detection: Option<f64>,
    /// Seconds from onset to verdict, of those found.
    pub delay_median_s: Option<f64>,
    /// As above.
    pub delay_p95_s: Option<f64>,
    /// Hours of healthy hosts.
    pub healthy_h: f64,
    /// False verdicts per host-week.
    pub false_verdicts_per_week: Option<f64>,
    /// What their rate is at most, with 95 % confidence.
    pub false_verdicts_per_week_most: f64,
    /// False vetoes per host-week.
    pub false_vetoes_per_week: Option<f64>,
    /// What their rate is at most, with 95 % confidence.
    pub false_vetoes_per_week_most: f64,
    /// Share of leaks for which the alarm's interval held the true time.
    pub forecast_coverage: Option<f64>,
    /// Median time before exhaustion of the first forecast, seconds.
    pub forecast_lead_s: Option<f64>,
    /// Share of causes that are right.
    pub cause_accuracy: Option<f64>,
}

impl Tally {
    /// The few numbers that are compared.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let weeks = self.healthy_weeks();
        let rate = |events: u64| (weeks > 0.0).then(|| events as f64 / weeks);
        Summary {
            faults: self.faults,
            detection: self.detection(),
            delay_median_s: quantile(&self.delays_s, 0.5),
            delay_p95_s: quantile(&self.delays_s, 0.95),
            healthy_h: self.healthy_h,
            false_verdicts_per_week: rate(self.false_verdicts),
            false_verdicts_per_week_most: rate_at_most(self.false_verdicts, weeks),
            false_vetoes_per_week: rate(self.false_vetoes),
            false_vetoes_per_week_most: rate_at_most(self.false_vetoes, weeks),
            forecast_coverage: self.alarm_coverage(),
            forecast_lead_s: self.lead_s(),
            cause_accuracy: self.cause_accuracy(),
        }
    }
}

/// A share; `None` of nothing.
#[must_use]
pub fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    (count > 0.0).then(|| sum / count)
}

/// The value below which that share of them lies, by nearest rank; `sorted` is in order. `None` of nothing.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// The rate per unit of time that is exceeded with a probability of 5 % at most when `events` were seen in `time`:
/// half the 95 % quantile of chi-squared with 2 (events + 1) degrees of freedom (F. Garwood, 1936). Infinity for no time.
#[must_use]
pub fn rate_at_most(events: u64, time: f64) -> f64 {
    let degrees = 2.0 * (events as f64 + 1.0);
    ChiSquared::new(degrees).map_or(f64::INFINITY, |chi| chi.inverse_cdf(0.95) / 2.0 / time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_seen_in_three_weeks_is_at_most_one_a_week() {
        assert!((rate_at_most(0, 2.9957) - 1.0).abs() < 1e-4);
        assert!((rate_at_most(5, 1.0) - 10.513).abs() < 1e-3);
    }

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(quantile(&values, 0.5), Some(2.0));
        assert_eq!(quantile(&values, 0.95), Some(4.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
