//! A document as text for a reader: what `sentinel status` prints. State in, text out.

use super::{
    escape,
    state::{Document, IncidentState, ScopeState, SignalState},
    view::{DIM, Style, count, paint},
    words,
};
use crate::judge::verdict::{Level, Signal};

/// Calm scopes that are listed when nothing is wrong.
const CALM_SCOPES: usize = 5;
/// Columns of a scope's name.
const NAME_COLUMNS: usize = 28;
/// Columns of a sentence.
const SENTENCE_COLUMNS: usize = 200;

/// The text, whole lines.
#[must_use]
pub fn render(document: &Document, style: &Style) -> String {
    let agent = &document.agent;
    let mut text = format!(
        "{} since {}, sentinel {}, {}: {}, {} late\n",
        escape::line(&document.host.name),
        span(agent.uptime_s),
        agent.version,
        agent.autonomy.name(),
        count(agent.ticks, "tick"),
        agent.late_ticks,
    );
    text.push_str(&format!("{}\n", levels(document, style)));
    let alarmed = document
        .scopes
        .iter()
        .filter(|scope| scope.level >= Level::Watch)
        .count();
    for scope in document.scopes.iter().take(alarmed.max(CALM_SCOPES)) {
        text.push_str(&row(scope, style));
    }
    let hidden = document.scopes.len().saturating_sub(alarmed.max(CALM_SCOPES)) as u64 + document.rest.scopes;
    if hidden > 0 {
        text.push_str(&style.paint(
            DIM,
            &format!(
                "{hidden} more {}, none of them worse\n",
                if hidden == 1 { "scope" } else { "scopes" }
            ),
        ));
    }
    let open: Vec<_> = document
        .incidents
        .iter()
        .filter(|incident| incident.ended.is_none())
        .collect();
    for incident in &open {
        text.push_str(&sentence(incident, style));
    }
    if open.is_empty() {
        text.push_str("no incident is open\n");
    }
    for sensor in &document.unavailable {
        text.push_str(&format!(
            "does not run: {}: {}\n",
            sensor.sensor,
            escape::line(&sensor.reason)
        ));
    }
    for surface in document.agent.surfaces.iter().filter_map(words::surface) {
        text.push_str(&format!("surface {surface}\n"));
    }
    text.push_str(&style.paint(DIM, &own(document)));
    text
}

fn levels(document: &Document, style: &Style) -> String {
    let sum = |level: Level| -> u64 {
        let counts = document.levels.iter().flat_map(|counts| counts.each());
        counts.filter(|(each, _)| *each == level).map(|(_, count)| count).sum()
    };
    let levels = [Level::Veto, Level::Watch, Level::Nominal, Level::Unknown];
    let words = levels.map(|level| {
        let text = format!("{} {}", sum(level), level.name());
        if sum(level) > 0 {
            style.paint(paint(level), &text)
        } else {
            text
        }
    });
    format!("signals: {}", words.join(", "))
}

fn row(scope: &ScopeState, style: &Style) -> String {
    let signals = Signal::ALL.map(|signal| {
        let found = scope.signals.iter().find(|state| state.signal == signal);
        let cell = found.map_or_else(|| "-".to_owned(), value);
        let level = found.map_or(Level::Unknown, |state| state.level);
        let cell = format!("{:<13} {:<15}", signal.name(), cell);
        if level >= Level::Watch {
            style.paint(paint(level), &cell)
        } else {
            cell
        }
    });
    let level = style.paint(paint(scope.level), &format!("{:<7}", scope.level.name()));
    format!(
        "  {level}  {}  {}\n",
        escape::column(&scope.name, NAME_COLUMNS),
        signals.join(" ").trim_end()
    )
}

fn value(state: &SignalState) -> String {
    let unit = if state.signal == Signal::Amplification {
        String::new()
    } else {
        format!(" {}", state.unit)
    };
    let trend = match state.velocity_per_s {
        Some(velocity) if velocity > 0.0 => " +",
        Some(velocity) if velocity < 0.0 => " -",
        _ => "",
    };
    state
        .value
        .map_or_else(|| "-".to_owned(), |value| format!("{value:.2}{unit}{trend}"))
}

fn sentence(incident: &IncidentState, style: &Style) -> String {
    let age = style.paint(paint(incident.level), &format!("for {}", span(incident.seconds)));
    format!(
        "  {age}: {}\n",
        escape::cut(&escape::line(&incident.summary), SENTENCE_COLUMNS)
    )
}

fn own(document: &Document) -> String {
    let own = document.agent.own;
    let share = own
        .cpu_share
        .map_or_else(|| "-".to_owned(), |share| format!("{:.2} %", 100.0 * share));
    let memory = own.resident_bytes.map_or_else(
        || "-".to_owned(),
        |bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    );
    let programs = match own.programs.sum() {
        sum if sum > 0.0 => format!(", its programs in the kernel {:.2} %", 100.0 * sum),
        _ => String::new(),
    };
    let budget = own
        .budget_share
        .map_or_else(String::new, |budget| format!(", budget {:.2} %", 100.0 * budget));
    format!("sentinel itself: {share} of one CPU{programs}{budget}, {memory}\n")
}

/// `42 s`, `12 min`, `3.5 h`, `2.1 d`.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::{
        samples::{self, HOSTILE},
        state::{Chronicle, Facts, SurfaceState},
    };

    #[test]
    fn a_reader_sees_level_value_trend_and_own_cost_and_no_command() {
        let mut snapshot = samples::snapshot(HOSTILE);
        snapshot
            .portraits
            .push(samples::portrait(samples::scope("/calm"), Level::Nominal, None));
        snapshot.own.resident_bytes = Some(15 << 20);
        let mut document = Chronicle::new(Facts::default()).record(&snapshot);
        document.agent.surfaces = vec![SurfaceState {
            name: "journald".to_owned(),
            lost: 3,
            unwell: None,
        }];
        let text = render(&document, &Style::plain());
        assert!(text.contains("\nsurface journald: 3 lost\n"), "{text}");
        assert!(text.contains("amplification 3.10 +"), "{text}");
        assert!(text.contains("signals: 1 veto, 0 watch"), "{text}");
        assert!(text.contains("15.0 MiB") && text.contains("- of one CPU"), "{text}");
        assert!(text.chars().all(|char| char == '\n' || escape::prints(char)), "{text}");
        assert!(text.contains("no incident is open"));
    }
}
