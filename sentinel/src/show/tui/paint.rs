//! What stands out, and how. Without colour, what is bad is bold or turned around, so that nothing is told by colour alone.

use ratatui::style::{Color, Modifier, Style};

use crate::judge::verdict::Level;

/// How things are painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Whether to use colour.
    pub colour: bool,
}

impl Palette {
    pub(super) fn level(self, level: Level) -> Style {
        match (level, self.colour) {
            (Level::Veto, true) => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
            (Level::Veto, false) => Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED),
            (Level::Watch, true) => Style::new().fg(Color::Yellow),
            (Level::Watch, false) => Style::new().add_modifier(Modifier::BOLD),
            (Level::Nominal, true) => Style::new().fg(Color::Green),
            (Level::Nominal, false) => Style::new(),
            (Level::Unknown, _) => self.dim(),
        }
    }

    /// A cell of a signal: what is as always is not painted.
    pub(super) fn cell(self, level: Level) -> Style {
        match level {
            Level::Nominal => Style::new(),
            level => self.level(level),
        }
    }

    #[expect(clippy::unused_self, reason = "all that is painted is asked of the palette")]
    pub(super) const fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    #[expect(clippy::unused_self, reason = "all that is painted is asked of the palette")]
    pub(super) const fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The line of the cursor.
    #[expect(clippy::unused_self, reason = "all that is painted is asked of the palette")]
    pub(super) const fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Headings and frames.
    pub(super) const fn heading(self) -> Style {
        if self.colour {
            Style::new().fg(Color::Cyan)
        } else {
            Style::new().add_modifier(Modifier::UNDERLINED)
        }
    }

    pub(super) fn bad(self) -> Style {
        self.level(Level::Veto)
    }

    pub(super) fn good(self) -> Style {
        self.level(Level::Nominal)
    }
}
