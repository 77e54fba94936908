//! Plans that wait and leases that hold, each on a line with what is left of its time.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{
    actions::Item,
    paint::Palette,
    state::{Focus, Model},
    text,
};
use crate::{act::lease::Effect, config::Autonomy, show::escape};

/// Columns of an action's name.
const ACTION: usize = 12;
/// Columns of the countdown.
const COUNTDOWN: usize = 16;
/// Columns of the scope.
const SCOPE: usize = 20;

/// What the panel is called.
pub(super) fn title(model: &Model) -> String {
    let items = model.items();
    let waiting = items.iter().filter(|item| item.waits()).count();
    format!(
        "actions: {waiting} waiting for approval, {} held",
        items.len() - waiting
    )
}

/// Lines it would like to have; none when there is nothing to tell.
pub(super) fn wanted(model: &Model) -> usize {
    let items = model.items().len();
    match (items, note(model)) {
        (0, None) => 0,
        (0, Some(_)) => 1,
        (items, _) => items + 1,
    }
}

/// Why there is nothing to see, where an agent that may act does not tell.
fn note(model: &Model) -> Option<&str> {
    let acts = model.autonomy().is_some_and(|autonomy| autonomy != Autonomy::Observe);
    model.actions.missing.as_deref().filter(|_| acts && !model.is_alone())
}

/// The lines that fit.
pub(super) fn lines(model: &Model, width: usize, height: usize, palette: Palette) -> Vec<Line<'static>> {
    let items = model.items();
    if items.is_empty() {
        let note = note(model).map(|why| Line::styled(escape::cut(&escape::line(why), width), palette.dim()));
        return note.into_iter().take(height).collect();
    }
    let mut lines = vec![Line::styled(escape::cut(&title(model), width), palette.heading())];
    let cursor = model.item_cursor(&items);
    let room = height.saturating_sub(1);
    let first = (cursor + 1).saturating_sub(room);
    for (index, item) in items.into_iter().enumerate().skip(first).take(room) {
        let here = model.focus == Focus::Actions && index == cursor;
        lines.push(line(model, item, here, width, palette));
    }
    lines.truncate(height);
    lines
}

/// One of them.
pub(super) fn line(model: &Model, item: Item<'_>, here: bool, width: usize, palette: Palette) -> Line<'static> {
    let left = model.left_s(item);
    let (word, style, countdown) = if item.waits() {
        (
            "waits",
            palette.level(crate::judge::verdict::Level::Watch),
            "dropped in",
        )
    } else {
        ("holds", palette.good(), "lapses in")
    };
    let name = escape::cut(&text::words(&escape::line(item.action())), ACTION);
    let scope = escape::line(item.scope());
    let scope = scope.rsplit('/').find(|part| !part.is_empty()).unwrap_or(&scope);
    let countdown = format!("{countdown} {left} s");
    let scope_columns = SCOPE.max(width / 4);
    let mut line = Line::default();
    line.push_span(if here { "> " } else { "  " });
    line.push_span(Span::styled(word, style));
    let chosen = if here { palette.chosen() } else { Style::new() };
    line.push_span(" ");
    line.push_span(Span::styled(format!("{name:<ACTION$}"), chosen));
    line.push_span(format!(
        " {} {countdown:<COUNTDOWN$} ",
        escape::column(scope, scope_columns)
    ));
    let used = 2 + 5 + 1 + ACTION + 1 + scope_columns + 1 + COUNTDOWN + 1;
    let rest = escape::cut(&escape::line(&remark(item)), width.saturating_sub(used));
    line.push_span(Span::styled(rest, palette.dim()));
    line
}

fn remark(item: Item<'_>) -> String {
    match item {
        Item::Plan(_) => "a approves".to_owned(),
        Item::Lease(lease) => {
            let effect = effect(lease.effect);
            match (lease.refused, lease.allowed) {
                (Some(refused), Some(allowed)) => {
                    format!("{refused} refused, {allowed} let through; {effect}")
                }
                _ => format!("{effect}; {}", lease.detail),
            }
        }
    }
}

/// Whether it had the effect that was expected, in words.
pub(super) const fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Pending => "effect not told yet",
        Effect::Met => "works as expected",
        Effect::Missed => "effect missed",
        Effect::Unknown => "effect cannot be told",
    }
}
