//! Draws a [`Model`]. Reads nothing and keeps nothing: the same model gives the same cells.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span, Text},
};
use unicode_width::UnicodeWidthStr as _;

use super::{
    detail, help,
    paint::Palette,
    panel, scopes,
    state::{Model, Page},
    text,
};
use crate::{
    judge::verdict::Level,
    show::{escape, state::Document, summary::span, view::count, words},
};

/// Lines of the terminal from which the log is shown too.
const LOG_FROM: u16 = 32;
/// Lines of the log.
const LOG: u16 = 6;
/// The keys, from the most to the least needed.
const KEYS: [&str; 10] = [
    "q quit",
    "? help",
    "Enter details",
    "a approve",
    "l lift",
    "/ filter",
    "s sort",
    "p pause",
    "w alarms only",
    "Tab actions",
];

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, model: &Model, palette: Palette) {
    let area = frame.area();
    let width = usize::from(area.width);
    // A third at the most: the list stays.
    let wanted = u16::try_from(panel::wanted(model)).unwrap_or(u16::MAX);
    let panel_lines = wanted.min(area.height / 3);
    let log_lines = if area.height >= LOG_FROM { LOG } else { 0 };
    let [top, body, log, actions, message, keys] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(0),
        Constraint::Length(log_lines),
        Constraint::Length(panel_lines),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    put(frame, top, head(model, width, palette));
    match &model.page {
        Page::Scopes => {
            let [heading, list] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(body);
            put(frame, heading, vec![scopes::heading(model, width, palette)]);
            put(frame, list, scopes::lines(model, width, list.height.into(), palette));
        }
        Page::Detail(wanted, first) => {
            let lines = detail::lines(model, *wanted, width, palette);
            put(frame, body, lines.into_iter().skip((*first).into()).collect());
        }
        Page::Help => put(frame, body, help::lines(palette)),
    }
    if let Some(document) = model.document() {
        put(frame, log, said(document, width, log.height.into(), palette));
    }
    put(
        frame,
        actions,
        panel::lines(model, width, actions.height.into(), palette),
    );
    put(frame, message, vec![bottom(model, width, palette)]);
    put(frame, keys, vec![Line::styled(hints(model, width), palette.dim())]);
}

/// Lines of the list or the details on a screen of this height: what a page of details may be scrolled by.
pub(super) fn body_lines(model: &Model, height: u16) -> u16 {
    let wanted = u16::try_from(panel::wanted(model)).unwrap_or(u16::MAX);
    let log = if height >= LOG_FROM { LOG } else { 0 };
    height.saturating_sub(4 + wanted.min(height / 3) + log)
}

fn put(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'static>>) {
    frame.render_widget(Text::from(lines), area);
}

/// Who, how long, how fresh; levels and rates.
fn head(model: &Model, width: usize, palette: Palette) -> Vec<Line<'static>> {
    let Some(document) = model.document() else {
        return vec![Line::styled("sentinel top", palette.bold())];
    };
    let (fresh, style) = match (model.is_paused(), model.stale_s()) {
        (true, _) => ("PAUSED".to_owned(), palette.level(Level::Watch)),
        (false, Some(stale)) => (format!("NO NEWS FOR {stale} s"), palette.bad()),
        (false, None) => (String::new(), Style::new()),
    };
    let right = format!("{fresh} {}", text::clock(&document.time));
    let agent = &document.agent;
    let alone = if model.is_alone() { ", no agent" } else { "" };
    let left = format!(
        "sentinel on {}{alone} · {} · up {} · {} late of {}",
        escape::line(&document.host.name),
        agent.autonomy.name(),
        span(agent.uptime_s),
        agent.late_ticks,
        count(agent.ticks, "tick"),
    );
    let room = width.saturating_sub(right.width() + 1);
    vec![
        Line::from(vec![
            Span::styled(escape::column(&left, room), palette.bold()),
            Span::raw(" "),
            Span::styled(escape::cut(&right, width), style),
        ]),
        levels(document, width, palette),
    ]
}

fn levels(document: &Document, width: usize, palette: Palette) -> Line<'static> {
    let mut line = Line::default();
    let mut used = 0;
    for level in [Level::Veto, Level::Watch, Level::Nominal, Level::Unknown] {
        let each = document.levels.iter().flat_map(|counts| counts.each());
        let sum: u64 = each.filter(|(at, _)| *at == level).map(|(_, count)| count).sum();
        let text = format!("{sum} {}", level.name());
        used += text.width() + 2;
        let style = if sum > 0 { palette.level(level) } else { palette.dim() };
        line.push_span(Span::styled(text, style));
        line.push_span("  ");
    }
    let rates = &document.host.rates;
    let own = document.agent.own;
    let own = own.cpu_share.map(|share| format!("itself {:.1} %", 100.0 * share));
    let parts = [
        rates
            .waiting_ms_per_s
            .map(|ms| format!("wait {} ms/s", text::short(Some(ms), false))),
        document
            .host
            .memory_available_bytes
            .map(|bytes| format!("{} free", text::bytes(Some(bytes)))),
        rates
            .attempts_per_s
            .map(|each| format!("{} connects/s", text::short(Some(each), false))),
        own,
    ];
    let mut rest = String::new();
    for part in parts.into_iter().flatten() {
        let gap = if rest.is_empty() { "" } else { " · " };
        if used + rest.width() + gap.width() + part.width() <= width {
            rest.push_str(gap);
            rest.push_str(&part);
        }
    }
    line.push_span(Span::styled(rest, palette.dim()));
    line
}

/// The last entries of the log, the latest at the bottom.
fn said(document: &Document, width: usize, height: usize, palette: Palette) -> Vec<Line<'static>> {
    if height == 0 {
        return Vec::new();
    }
    let heading = Line::styled("said", palette.heading());
    let skip = document.log.len().saturating_sub(height - 1);
    let entries = document.log.iter().skip(skip).map(|entry| {
        let (word, style) = match (entry.level, entry.well) {
            (Some(level), _) => (level.name(), palette.level(level)),
            (None, Some(false)) => ("failed", palette.bad()),
            (None, _) => ("action", palette.good()),
        };
        let text = format!(" {}", escape::line(&entry.text));
        Line::from(vec![
            Span::styled(format!("  {} ", text::clock(&entry.time)), palette.dim()),
            Span::styled(format!("{word:<8}"), style),
            Span::raw(escape::cut(&text, width.saturating_sub(19))),
        ])
    });
    std::iter::once(heading).chain(entries).collect()
}

/// A question, what is typed, or a message.
fn bottom(model: &Model, width: usize, palette: Palette) -> Line<'static> {
    if let Some(question) = &model.question {
        return Line::styled(escape::cut(&question.text, width), palette.chosen());
    }
    let mut choice = scopes::choice(model);
    if choice.is_empty() {
        choice = model.document().and_then(lacking).unwrap_or_default();
    }
    match model.message() {
        Some((text, bad)) if !model.typing => {
            let style = if bad { palette.bad() } else { palette.good() };
            Line::styled(escape::cut(&escape::line(text), width), style)
        }
        _ => Line::styled(escape::cut(&choice, width), palette.level(Level::Watch)),
    }
}

/// What the agent cannot do now: a sensor that does not run, or a surface that takes nothing.
fn lacking(document: &Document) -> Option<String> {
    let blind = document.unavailable.first();
    let blind = blind.map(|blind| escape::line(&format!("does not run: {}: {}", blind.sensor, blind.reason)));
    let mut surfaces = document
        .agent
        .surfaces
        .iter()
        .filter(|surface| surface.unwell.is_some());
    blind.or_else(|| surfaces.find_map(words::surface))
}

fn hints(model: &Model, width: usize) -> String {
    if model.question.is_some() {
        return escape::cut("y yes · any other key no", width);
    }
    if model.typing {
        return escape::cut("Enter keep · Esc clear", width);
    }
    let keys: &[&str] = match model.page {
        Page::Scopes => &KEYS,
        Page::Detail(..) => &["q quit", "Esc back", "↑↓ scroll", "a approve", "l lift", "p pause"],
        Page::Help => &["q quit", "Esc back"],
    };
    let mut line = String::new();
    for key in keys {
        let gap = if line.is_empty() { "" } else { " · " };
        if line.width() + gap.width() + key.width() > width {
            break;
        }
        line.push_str(gap);
        line.push_str(key);
    }
    line
}
