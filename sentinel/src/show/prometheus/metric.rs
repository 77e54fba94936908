//! What a metric is, what it reads from, and what it gives.

use std::collections::BTreeSet;

use crate::show::{
    escape,
    state::{Document, ScopeState},
    web::Served,
};

/// Columns of a scope's path in a label.
const SCOPE_COLUMNS: usize = 200;

/// One metric of the catalogue.
#[derive(Debug)]
pub(in crate::show) struct Metric {
    /// Its name up to the unit.
    pub(in crate::show) name: &'static str,
    /// Base unit, the next part of the name; empty for none.
    pub(in crate::show) unit: &'static str,
    pub(in crate::show) kind: Kind,
    pub(in crate::show) labels: &'static [&'static str],
    /// One sentence.
    pub(in crate::show) help: &'static str,
    /// Where its samples come from.
    pub(super) read: fn(&View<'_>, &mut Samples),
}

/// Whether it only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::show) enum Kind {
    Counter,
    Gauge,
}

impl Metric {
    /// The name with its unit, without what only a text format adds.
    pub(in crate::show) fn name_with_unit(&self) -> String {
        let unit = if self.unit.is_empty() { "" } else { "_" };
        format!("{}{unit}{}", self.name, self.unit)
    }

    /// The name as a query writes it.
    pub(super) fn full_name(&self) -> String {
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{total}", self.name_with_unit())
    }
}

/// One value with its labels, in the order of the metric's.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::show) struct Sample {
    pub(in crate::show) labels: Vec<String>,
    pub(in crate::show) value: f64,
}

/// Samples of one metric.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<Sample>);

impl Samples {
    /// Adds one; what was not measured is left out.
    pub(super) fn add(&mut self, labels: &[&str], value: impl Into<Option<f64>>) {
        if let Some(value) = value.into().filter(|value| value.is_finite()) {
            self.0.push(Sample {
                labels: labels.iter().map(|label| (*label).to_owned()).collect(),
                value,
            });
        }
    }

    pub(super) fn into_vec(self) -> Vec<Sample> {
        self.0
    }
}

/// What metrics read from.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) document: &'a Document,
    /// `None` where nothing is served.
    pub(super) served: Option<&'a Served>,
    /// Scopes with their label. No two have the same: of two cgroups of one path the more severe is shown.
    pub(super) scopes: Vec<(String, &'a ScopeState)>,
}

impl<'a> View<'a> {
    pub(super) fn new(document: &'a Document, served: Option<&'a Served>) -> Self {
        let mut seen = BTreeSet::new();
        let labelled = document.scopes.iter().map(|scope| (label(scope), scope));
        Self {
            document,
            served,
            scopes: labelled.filter(|(label, _)| seen.insert(label.clone())).collect(),
        }
    }
}

/// The path, or `host` or `other`.
fn label(scope: &ScopeState) -> String {
    let path = if scope.path.is_empty() {
        &scope.name
    } else {
        &scope.path
    };
    path_label(path, scope.cgroup_id)
}

/// A path as a label; one that is cut ends with the id, so that two long ones stay two.
pub(super) fn path_label(path: &str, cgroup_id: u64) -> String {
    let path = escape::line(path);
    let cut = escape::cut(&path, SCOPE_COLUMNS);
    if cut == path {
        path
    } else {
        format!("{cut}#{cgroup_id}")
    }
}
