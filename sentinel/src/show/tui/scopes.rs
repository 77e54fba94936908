//! The list of scopes: level, name, three signals as line and number, time left; below each that is not well, why.

use ratatui::{
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr as _;

use super::{
    history::key,
    paint::Palette,
    rows::{self, Sort, exhaustion_s, signal, worst},
    state::{Focus, Model},
    text,
};
use crate::{
    judge::verdict::{Cause, Level, Phase, Signal},
    show::{
        escape,
        state::{ScopeState, SignalState},
        summary::span,
        view::count,
    },
};

/// Columns of the level.
const LEVEL: usize = 7;
/// Columns of a number.
const NUMBER: usize = 6;
/// Columns of the time left.
const LEFT: usize = 7;
/// Columns that are always taken: cursor, level, the time left, five gaps.
const FIXED: usize = 2 + LEVEL + LEFT + 5;
/// The least columns of a name, and the most before lines get longer.
const NAME: usize = 12;
const NAME_AT_MOST: usize = 40;
/// Columns of a line at the most.
const SPARK_AT_MOST: usize = 60;
/// Columns before the sentence below a scope.
const INDENT: usize = 6;
/// Lines of that sentence for the scope under the cursor; others get one.
const SENTENCE_LINES: usize = 3;

/// How the columns of a line are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Columns {
    name: usize,
    spark: usize,
    left: bool,
}

impl Columns {
    /// On a narrow terminal the lines get shorter first, then the time left goes.
    fn of(width: usize) -> Self {
        let left = width >= FIXED + NAME + 3 * NUMBER;
        let fixed = if left { FIXED } else { FIXED - LEFT - 1 };
        let free = width.saturating_sub(fixed + 3 * NUMBER);
        // A name wants two fifths; a line has a gap before its number.
        let name = (free * 2 / 5).clamp(NAME, NAME_AT_MOST);
        let spark = (free.saturating_sub(name) / 3).saturating_sub(1).min(SPARK_AT_MOST);
        let lines = if spark == 0 { 0 } else { 3 * (spark + 1) };
        Self {
            name: free.saturating_sub(lines),
            spark,
            left,
        }
    }

    const fn cell(self) -> usize {
        if self.spark == 0 {
            NUMBER
        } else {
            self.spark + 1 + NUMBER
        }
    }
}

/// The heading.
pub(super) fn heading(model: &Model, width: usize, palette: Palette) -> Line<'static> {
    let columns = Columns::of(width);
    let mark = |sort: Sort, text: &str| {
        if sort == model.sort {
            format!("{text}▾")
        } else {
            text.to_owned()
        }
    };
    let mut line = format!(
        "  {} {}",
        escape::column(&mark(Sort::Severity, "level"), LEVEL),
        escape::column(&mark(Sort::Name, "scope"), columns.name)
    );
    for (which, wide, narrow) in [
        (Signal::Jitter, "jitter ms", "jit ms"),
        (Signal::Fever, "fever MB/s", "MB/s"),
        (Signal::Amplification, "amplification", "ampl"),
    ] {
        let room = columns.cell();
        let name = if wide.width() < room { wide } else { narrow };
        let text = escape::cut(&mark(Sort::By(which), name), room);
        line.push_str(&format!(" {text:>room$}"));
    }
    if columns.left {
        line.push_str(&format!(" {:>LEFT$}", mark(Sort::Exhaustion, "left")));
    }
    Line::styled(line, palette.heading())
}

/// The lines that fit into `height`, with the cursor among them.
pub(super) fn lines(model: &Model, width: usize, height: usize, palette: Palette) -> Vec<Line<'static>> {
    let Some(document) = model.document() else {
        return vec![Line::styled("  waiting for the agent …", palette.dim())];
    };
    let shown = model.rows();
    let cursor = model.cursor(&shown);
    let blocks: Vec<Vec<Line<'static>>> = shown
        .iter()
        .enumerate()
        .map(|(index, scope)| {
            let here = index == cursor && model.focus == Focus::Scopes;
            block(model, scope, here, width, palette)
        })
        .collect();
    let mut page = Vec::new();
    for (index, block) in blocks.into_iter().enumerate() {
        if page.len() + block.len() > height {
            if index > cursor {
                break;
            }
            page.clear();
        }
        page.extend(block);
    }
    if shown.is_empty() {
        page.push(Line::styled("  no scope is like that", palette.dim()));
    }
    let rest = document.rest.scopes;
    if rest > 0 && page.len() < height && cursor + page.len() >= shown.len() {
        let text = format!("  {} more, none of them worse", count(rest, "scope"));
        page.push(Line::styled(escape::cut(&text, width), palette.dim()));
    }
    page.truncate(height);
    page
}

fn block(model: &Model, scope: &ScopeState, here: bool, width: usize, palette: Palette) -> Vec<Line<'static>> {
    let columns = Columns::of(width);
    let mut line = Line::default();
    let name = escape::column(&scope.name, columns.name);
    let style = if here { palette.chosen() } else { Style::new() };
    line.push_span(if here { "> " } else { "  " });
    line.push_span(Span::styled(
        format!("{:<LEVEL$}", scope.level.name()),
        palette.level(scope.level),
    ));
    line.push_span(" ");
    line.push_span(Span::styled(name, style));
    for which in Signal::ALL {
        let state = signal(scope, which);
        let level = state.map_or(Level::Unknown, |state| state.level);
        let baseline = state.and_then(|state| state.baseline);
        let number = state.map_or_else(|| "-".to_owned(), number);
        let values = model.history().last(key(scope), which, columns.spark);
        let drawn = if columns.spark > 0 {
            format!("{} ", text::spark(&values, baseline, columns.spark))
        } else {
            String::new()
        };
        line.push_span(" ");
        line.push_span(Span::styled(format!("{drawn}{number:>NUMBER$}"), palette.cell(level)));
    }
    if columns.left {
        let left = exhaustion_s(scope).map_or_else(|| "-".to_owned(), span);
        line.push_span(format!(" {left:>LEFT$}"));
    }
    let mut lines = vec![line];
    if scope.level >= Level::Watch
        && let Some(state) = worst(scope)
    {
        let most = if here { SENTENCE_LINES } else { 1 };
        for part in text::wrap(&why(state), width.saturating_sub(INDENT), most) {
            lines.push(Line::styled(format!("{:INDENT$}{part}", ""), palette.dim()));
        }
    }
    lines
}

/// The value, or the level where it has none: a scope that only fails has no ratio, and still is the worst.
fn number(state: &SignalState) -> String {
    match state.value {
        None if state.level >= Level::Watch => state.level.name().to_owned(),
        value => text::value(state.signal, value),
    }
}

/// Cause, phase, and the sentence that was said.
pub(super) fn why(state: &SignalState) -> String {
    let mut parts = Vec::new();
    if !matches!(state.cause, Cause::None) {
        parts.push(text::words(state.cause.name()));
    }
    if let Some(phase) = state.phase.filter(|phase| *phase != Phase::Healthy) {
        parts.push(phase_name(phase).to_owned());
    }
    if let Some(summary) = &state.summary {
        parts.push(escape::line(summary));
    }
    parts.join(" · ")
}

/// A phase in words.
pub(super) const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Healthy => "healthy",
        Phase::Overloaded => "overloaded",
        Phase::Amplifying => "amplifying",
        Phase::Metastable => "metastable",
        Phase::Recovering => "recovering",
    }
}

/// How the list is chosen and ordered, where that is not as usual.
pub(super) fn choice(model: &Model) -> String {
    let mut parts = Vec::new();
    if model.filter.alarmed {
        parts.push("watch and veto only".to_owned());
    }
    if !model.filter.text.is_empty() || model.typing {
        let cursor = if model.typing { "_" } else { "" };
        parts.push(format!("filter: {}{cursor}", escape::line(&model.filter.text)));
    }
    if model.sort != rows::Sort::Severity {
        parts.push(format!("by {}", model.sort.name()));
    }
    parts.join(" · ")
}
