//! What one surface says beside what another says.

use anyhow::{Context as _, Result, ensure};
use sentinel::{judge::verdict::Signal, show::state::Document};

use crate::http;

/// Every number of the document that has a series is in the metrics, and the same.
///
/// # Errors
/// One is missing or another.
pub fn agree(document: &Document, metrics: &str) -> Result<usize> {
    let mut compared = 0;
    for scope in &document.scopes {
        let path = if scope.path.is_empty() {
            &scope.name
        } else {
            &scope.path
        };
        let path = path.replace('\\', "\\\\").replace('"', "\\\"");
        for signal in &scope.signals {
            let level = format!(
                "sentinel_signal_level{{scope=\"{path}\",signal=\"{}\"}}",
                signal.signal.name()
            );
            let shown = http::series(metrics, &level).with_context(|| format!("no {level}"))?;
            ensure!(shown == f64::from(signal.level as u8), "{level} {shown}: {signal:?}");
            let (name, scale) = match signal.signal {
                Signal::Jitter => ("sentinel_jitter_seconds", 1e-3),
                Signal::Fever => ("sentinel_fever_bytes_per_second", 1e6),
                Signal::Amplification => ("sentinel_amplification_ratio", 1.0),
                Signal::Cost => anyhow::bail!("a scope that costs: {signal:?}"),
            };
            let value = http::series(metrics, &format!("{name}{{scope=\"{path}\"}}"));
            ensure!(
                value == signal.value.map(|value| value * scale),
                "{name} {value:?}: {signal:?}"
            );
            compared += 1;
        }
    }
    for counts in &document.totals.verdicts {
        for (level, count) in counts.each() {
            let name = format!(
                "sentinel_verdicts_total{{signal=\"{}\",level=\"{}\"}}",
                counts.signal.name(),
                level.name()
            );
            ensure!(
                http::series(metrics, &name) == Some(count as f64),
                "{name} is not {count}"
            );
        }
    }
    Ok(compared)
}
