//! What the keys do.

use ratatui::text::{Line, Span};

use super::paint::Palette;

const KEYS: [(&str, &str); 14] = [
    ("↑ ↓ j k", "move; PgUp, PgDn, Home and End too"),
    ("Enter", "details of a scope; Esc goes back"),
    ("Tab", "between scopes and actions"),
    ("s", "sort: severity, name, a signal, time left"),
    ("/", "filter by name or path; Enter keeps it, Esc clears it"),
    ("w", "only scopes at watch or veto"),
    ("p", "pause and go on; actions stay live"),
    ("a", "approve a plan that waits (asks first)"),
    ("l", "lift what is held, or drop a plan (asks first)"),
    ("q Ctrl-C", "quit; the agent goes on, and so does what it holds"),
    ("Ctrl-Z", "to the shell; `fg` comes back"),
    ("", ""),
    ("left", "time until memory is exhausted on the present course"),
    ("line", "a reading per tick, on the scale of what is usual"),
];

pub(super) fn lines(palette: Palette) -> Vec<Line<'static>> {
    let heading = Line::styled("keys", palette.heading());
    let keys = KEYS.iter().map(|(key, what)| {
        Line::from(vec![
            Span::styled(format!("  {key:<10}"), palette.bold()),
            Span::raw(*what),
        ])
    });
    std::iter::once(heading).chain(keys).collect()
}
