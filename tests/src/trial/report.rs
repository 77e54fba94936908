//! What a trial found: a table, bounds that held or broke, and the machine it was found on.

use std::fmt;

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use serde_json::Value;

use super::machine::Machine;

/// What a trial found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub trial: &'static str,
    /// Heads of the table's columns.
    pub heads: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
    /// What had to hold.
    pub bounds: Vec<Bound>,
    /// One line for each thing that went wrong, with what is needed to look into it.
    pub findings: Vec<String>,
    /// Every run.
    pub runs: Vec<Value>,
    /// What else the machine did.
    pub machine: Machine,
}

/// Something that had to hold.
#[derive(Debug, Serialize)]
pub struct Bound {
    /// In words, with the limit.
    pub what: String,
    /// What was measured.
    pub measured: String,
    /// Whether it held.
    pub held: bool,
}

impl Bound {
    /// What had to hold, what was measured, and whether it held.
    #[must_use]
    pub fn new(what: impl Into<String>, measured: impl Into<String>, held: bool) -> Self {
        Self {
            what: what.into(),
            measured: measured.into(),
            held,
        }
    }
}

impl Report {
    /// True when every bound held, and there was one.
    #[must_use]
    pub fn held(&self) -> bool {
        !self.bounds.is_empty() && self.bounds.iter().all(|bound| bound.held)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = table(&self.heads);
        table.add_rows(&self.rows);
        writeln!(f, "{}\n{table}", self.trial)?;
        for finding in &self.findings {
            writeln!(f, "  {finding}")?;
        }
        let mut bounds = self::table(&["bound".into(), "measured".into(), "held".into()]);
        for bound in &self.bounds {
            let held = if bound.held { "yes" } else { "NO" };
            bounds.add_row([bound.what.as_str(), bound.measured.as_str(), held]);
        }
        writeln!(f, "{bounds}")?;
        write!(f, "machine: {}", self.machine)
    }
}

fn table(heads: &[String]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(heads);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(held: &[bool]) -> Report {
        Report {
            trial: "storm",
            heads: vec!["backend".into()],
            rows: vec![vec!["dead".into()]],
            bounds: held
                .iter()
                .map(|held| Bound::new("p95 <= 1 s", "0.5 s", *held))
                .collect(),
            findings: vec!["run 7: none".into()],
            runs: Vec::new(),
            machine: Machine {
                cpus: 2,
                busy_share: 0.25,
                steal_share: 0.0,
                load_1m: 0.5,
            },
        }
    }

    #[test]
    fn one_broken_bound_breaks_a_report_and_none_at_all_does_too() {
        assert!(report(&[true, true]).held());
        assert!(!report(&[true, false]).held());
        assert!(!report(&[]).held());
    }

    #[test]
    fn a_reader_sees_rows_findings_bounds_and_the_machine() {
        let text = report(&[false]).to_string();
        for part in ["dead", "run 7", "p95 <= 1 s", "NO", "25 % of them busy"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
