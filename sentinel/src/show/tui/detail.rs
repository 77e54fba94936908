//! Everything that is known about one scope, as lines.

use ratatui::text::{Line, Span};

use super::{
    actions::Item,
    history::{MOST, ScopeKey, key},
    paint::Palette,
    panel, scopes,
    state::Model,
    text,
};
use crate::{
    judge::verdict::{Level, Signal},
    show::{
        escape,
        state::{Document, ScopeState, SignalState},
        summary::span,
        words,
    },
};

/// Lines of one row at the most.
const ROW_LINES: usize = 4;

/// The lines.
pub(super) fn lines(model: &Model, wanted: ScopeKey, width: usize, palette: Palette) -> Vec<Line<'static>> {
    let (Some(document), Some(scope)) = (model.document(), model.scope(wanted)) else {
        let text = "this scope is gone, or no longer among the most severe; Esc goes back";
        return vec![Line::styled(escape::cut(text, width), palette.dim())];
    };
    let mut page = Lines {
        lines: Vec::new(),
        width,
        palette,
    };
    page.names(scope);
    let items = model.items();
    for item in items.into_iter().filter(|item| item.scope() == scope.path) {
        page.item(item);
    }
    for state in &scope.signals {
        page.signal(model, scope, state);
    }
    page.incidents(document, scope);
    page.log(document, scope);
    page.lines
}

struct Lines {
    lines: Vec<Line<'static>>,
    width: usize,
    palette: Palette,
}

impl Lines {
    fn row(&mut self, name: &str, value: &str) {
        let parts = text::wrap(&escape::line(value), self.width.saturating_sub(12), ROW_LINES);
        for (index, part) in parts.into_iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            self.lines.push(Line::from(vec![
                Span::styled(format!("  {name:<9} "), self.palette.dim()),
                Span::raw(part),
            ]));
        }
    }

    fn names(&mut self, scope: &ScopeState) {
        let title = format!("{} · {}", scope.level.name(), escape::line(&scope.name));
        self.lines.push(Line::styled(
            escape::cut(&title, self.width),
            self.palette.level(scope.level),
        ));
        if !scope.path.is_empty() {
            self.row("cgroup", &format!("{} (id {})", scope.path, scope.cgroup_id));
        }
        if let Some(unit) = &scope.unit {
            self.row("unit", unit);
        }
        if let Some(container) = &scope.container {
            self.row("container", container);
        }
    }

    fn item(&mut self, item: Item<'_>) {
        let action = text::words(item.action());
        match item {
            Item::Plan(plan) => {
                self.row("waits", &format!("{action}: {}", plan.plan.reason));
                if let Some(expects) = &plan.plan.expects {
                    self.row("expects", expects);
                }
            }
            Item::Lease(lease) => {
                let by = lease
                    .rule
                    .as_ref()
                    .map_or_else(|| "by hand".to_owned(), |rule| format!("rule {rule}"));
                self.row(
                    "holds",
                    &format!("{action}, {by}, since {}: {}", text::clock(&lease.began), lease.detail),
                );
                self.row(
                    "expects",
                    &format!("{}; {}", lease.expects, panel::effect(lease.effect)),
                );
            }
        }
    }

    fn signal(&mut self, model: &Model, scope: &ScopeState, state: &SignalState) {
        self.lines.push(Line::default());
        let value = text::value(state.signal, state.value);
        let unit = if state.signal == Signal::Amplification {
            ""
        } else {
            &state.unit
        };
        let columns = self.width.saturating_sub(36).min(MOST);
        let values = model.history().last(key(scope), state.signal, columns);
        self.lines.push(Line::from(vec![
            Span::styled(format!("{:<13} ", state.signal.name()), self.palette.heading()),
            Span::styled(format!("{:<8}", state.level.name()), self.palette.level(state.level)),
            Span::raw(format!("{value:>6} {unit:<5}")),
            Span::styled(
                text::spark(&values, state.baseline, columns),
                self.palette.cell(state.level),
            ),
        ]));
        let why = scopes::why(state);
        if !why.is_empty() {
            self.row("why", &why);
        }
        if let (Some(previous), Some(since)) = (state.previous, &state.since) {
            self.row(
                "since",
                &format!("{}, before that {}", text::clock(since), previous.name()),
            );
        }
        if state.velocity_per_s.is_some() || state.acceleration_per_s2.is_some() {
            self.row("course", &course(state));
        }
        if let Some(past) = &state.baseline {
            let mut usual = format!(
                "{} ± {}",
                text::short(Some(past.mean), false),
                text::short(Some(past.sigma), false)
            );
            if let Some(sigma) = state.sigma {
                usual.push_str(&format!(", {} sigmas above", text::short(Some(sigma), false)));
            }
            if let Some(rarity) = state.rarity {
                usual.push_str(&format!(", as rare as 1 in 10^{rarity:.1} readings"));
            }
            self.row("usual", &usual);
        }
        self.outlook(state);
        for action in &state.plan {
            self.row("plan", &words::planned(action));
        }
    }

    fn outlook(&mut self, state: &SignalState) {
        if let Some(forecast) = &state.forecast {
            let latest = forecast.latest_s.map_or_else(|| "never".to_owned(), span);
            let limit = text::bytes(Some(forecast.limit_bytes));
            let text = format!(
                "{limit} reached in {} (from {} to {latest})",
                span(forecast.exhaustion_s),
                span(forecast.earliest_s),
            );
            self.row("left", &text);
        }
        if let Some(risk) = &state.risk {
            let text = format!(
                "{} requests/s, {} attempts for each that fails, {} answered/s: a failure {}",
                text::short(Some(risk.load_per_s), false),
                text::short(Some(risk.attempts_per_failure), false),
                text::short(Some(risk.capacity_per_s), false),
                if risk.overload >= 1.0 {
                    "would last"
                } else {
                    "would pass"
                },
            );
            self.row("risk", &text);
        }
        if let Some(target) = &state.destination {
            let text = format!(
                "{}, {} of {} attempts failed",
                std::net::SocketAddr::from((target.address, target.port)),
                target.failures,
                target.attempts
            );
            self.row("to", &text);
        }
    }

    fn incidents(&mut self, document: &Document, scope: &ScopeState) {
        let own = document.incidents.iter();
        let own: Vec<_> = own
            .filter(|incident| (incident.kind, incident.cgroup_id) == key(scope))
            .collect();
        if own.is_empty() {
            return;
        }
        self.lines.push(Line::default());
        self.lines.push(Line::styled("incidents", self.palette.heading()));
        for incident in own {
            let state = if incident.ended.is_some() { "lasted" } else { "open for" };
            let flapping = if incident.flapping { ", comes and goes" } else { "" };
            let text = format!(
                "{} {}, {state} {}, peak {} {}{flapping}",
                incident.signal.name(),
                text::words(incident.cause.name()),
                span(incident.seconds),
                incident.peak_level.name(),
                text::value(incident.signal, incident.peak),
            );
            self.row(text::clock(&incident.began), &text);
        }
    }

    fn log(&mut self, document: &Document, scope: &ScopeState) {
        let own: Vec<_> = document.log.iter().filter(|entry| entry.name == scope.name).collect();
        if own.is_empty() {
            return;
        }
        self.lines.push(Line::default());
        self.lines.push(Line::styled("said", self.palette.heading()));
        for entry in own.iter().rev() {
            let level = entry.level.map_or("action", Level::name);
            self.row(text::clock(&entry.time), &format!("{level:<8} {}", entry.text));
        }
    }
}

fn course(state: &SignalState) -> String {
    format!(
        "{} per s, {} per s²",
        text::short(state.velocity_per_s, true),
        text::short(state.acceleration_per_s2, true)
    )
}
