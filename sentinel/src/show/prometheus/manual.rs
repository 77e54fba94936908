//! `docs/METRICS.md`, written from the catalogue; a test compares the two.

use std::fmt::Write as _;

use super::{
    CATALOGUE,
    metric::{Kind, Metric},
};
use crate::show::state::MOST_SCOPES;

/// The whole file.
#[must_use]
pub fn manual() -> String {
    let mut text = format!(
        "# Metrics\n\n\
         *Written from the code by `SENTINEL_WRITE_DOCS=1 cargo test -p sentinel --lib metrics_manual`; do not edit.*\n\n\
         `sentinel run` serves OpenMetrics text at `/metrics` on `listen` (default `127.0.0.1:9464`). All of it comes from the\n\
         same document as [the API](API.md), so it says what the page and the journal say.\n\n\
         - Names are `sentinel_<name>_<unit>`, units are base units, and counters end in `_total`. A counter begins anew with the run.\n\
         - What was not measured has no sample: absent is not zero.\n\
         - The {MOST_SCOPES} most severe scopes have series of their own; the others are counted in `sentinel_scopes_not_listed`.\n  \
           `scope` is the cgroup's path, or `host` or `other`. What does not print in it is spelled out, as `\\u{{1b}}`; a path of more\n  \
           than 200 columns is cut and ends with `#` and the cgroup's id.\n\
         - A build with the feature `otlp` also sends them to an OpenTelemetry collector (`[otlp]` in [CONFIG](CONFIG.md)): the same\n  \
           numbers under the same names without `_total`, counters as cumulative sums, units as UCUM writes them. Verdicts and\n  \
           outcomes go there as log records: the fields of the journal, `SENTINEL_VERDICT` as `sentinel.verdict`, and so on.\n  \
           While the collector is away 24 exports and 4,096 records wait; what is dropped beyond that counts in\n  \
           `sentinel_surface_lost_records_total`.\n\
         - [`deploy/alerts.yml`](../deploy/alerts.yml) and [`deploy/dashboard.json`](../deploy/dashboard.json) use them.\n"
    );
    for (title, part) in ["The agent and the host", "Scopes"].iter().zip(CATALOGUE) {
        let _ = write!(
            text,
            "\n## {title}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n"
        );
        part.iter().for_each(|metric| row(&mut text, metric));
    }
    text
}

fn row(text: &mut String, metric: &Metric) {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let _ = writeln!(
        text,
        "| `{}` | {kind} | {} | {} |",
        metric.full_name(),
        labels.join(", "),
        metric.help
    );
}
