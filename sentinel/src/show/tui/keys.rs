//! What each key does to the state. Nothing is asked of the agent without a yes.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{
    history::key,
    state::{Ask, Focus, Model, Page, Question},
};
use crate::show::escape;

/// Rows that a page key moves by.
const PAGE: isize = 10;
/// Characters of a filter at the most.
const FILTER: usize = 60;
/// Columns of a scope's path in a question.
const PATH_COLUMNS: usize = 44;

impl Model {
    /// Takes in a key; what the person wants done, if that is now clear.
    pub fn press(&mut self, event: KeyEvent) -> Option<Ask> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        if event.modifiers.contains(KeyModifiers::CONTROL) {
            return match event.code {
                KeyCode::Char('c') => Some(Ask::Quit),
                KeyCode::Char('z') => Some(Ask::Suspend),
                _ => None,
            };
        }
        if let Some(question) = self.question.take() {
            let yes = matches!(event.code, KeyCode::Char('y' | 'Y'));
            self.tell(
                if yes {
                    "asking the agent …"
                } else {
                    "nothing was done"
                },
                false,
            );
            return yes.then_some(question.ask);
        }
        if self.typing {
            self.type_filter(event.code);
            return None;
        }
        match event.code {
            KeyCode::Char('q') => return Some(Ask::Quit),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => {
                self.page = if self.page == Page::Help {
                    Page::Scopes
                } else {
                    Page::Help
                };
            }
            KeyCode::Esc | KeyCode::Backspace => self.back(),
            KeyCode::Char('p') => self.pause(),
            KeyCode::Char('a') => self.question(true),
            KeyCode::Char('l') => self.question(false),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::PageUp => self.step(-PAGE),
            KeyCode::PageDown => self.step(PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.first(),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX),
            code if self.page == Page::Scopes => self.press_in_list(code),
            _ => {}
        }
        None
    }

    fn press_in_list(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.open(),
            KeyCode::Tab | KeyCode::BackTab => {
                self.focus = match self.focus {
                    Focus::Scopes if !self.items().is_empty() => Focus::Actions,
                    _ => Focus::Scopes,
                };
            }
            KeyCode::Char('s') => {
                self.sort = self.sort.next();
                self.chosen = None;
            }
            KeyCode::Char('w') => self.filter.alarmed = !self.filter.alarmed,
            KeyCode::Char('/') => self.typing = true,
            _ => {}
        }
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.text.clear();
            }
            KeyCode::Backspace => drop(self.filter.text.pop()),
            KeyCode::Char(char) if self.filter.text.chars().count() < FILTER => self.filter.text.push(char),
            _ => {}
        }
    }

    /// One thing less, the topmost first.
    fn back(&mut self) {
        if self.page != Page::Scopes {
            self.page = Page::Scopes;
        } else if self.focus == Focus::Actions {
            self.focus = Focus::Scopes;
        } else if !self.filter.text.is_empty() {
            self.filter.text.clear();
        } else if self.filter.alarmed {
            self.filter.alarmed = false;
        } else {
            self.chosen = None;
        }
    }

    /// The scope under the cursor, or the one that an action is about.
    fn open(&mut self) {
        let items = self.items();
        let rows = self.rows();
        let scope = if self.focus == Focus::Actions {
            let path = items.get(self.item_cursor(&items)).map(|item| item.scope());
            let document = self.document();
            document.and_then(|document| document.scopes.iter().find(|scope| Some(scope.path.as_str()) == path))
        } else {
            rows.get(self.cursor(&rows)).copied()
        };
        match scope.map(key) {
            Some(wanted) => self.page = Page::Detail(wanted, 0),
            None => self.tell("this scope is not among the most severe, and has no details here", true),
        }
    }

    fn first(&mut self) {
        match (&mut self.page, self.focus) {
            (Page::Detail(_, first), _) => *first = 0,
            (_, Focus::Actions) => self.chosen_action = None,
            _ => self.chosen = None,
        }
    }

    fn step(&mut self, by: isize) {
        let moved = |at: usize, count: usize| at.saturating_add_signed(by).min(count.saturating_sub(1));
        let lines = usize::from(self.last_line()) + 1;
        if let Page::Detail(_, first) = &mut self.page {
            *first = u16::try_from(moved((*first).into(), lines)).unwrap_or(u16::MAX);
        } else if self.focus == Focus::Actions {
            let items = self.items();
            let id = items.get(moved(self.item_cursor(&items), items.len()));
            self.chosen_action = id.map(|item| item.id().to_owned());
        } else {
            let rows = self.rows();
            self.chosen = rows.get(moved(self.cursor(&rows), rows.len())).map(|row| key(row));
        }
    }

    /// Asks before it approves a plan or lifts a lease. A plan can be lifted too: it is dropped.
    fn question(&mut self, approve: bool) {
        let found = self
            .target(approve)
            .or_else(|| if approve { None } else { self.target(true) });
        let Some(item) = found else {
            let text = match (&self.actions.missing, approve) {
                (Some(why), _) => why.clone(),
                (None, true) => "no plan waits for approval".to_owned(),
                (None, false) => "nothing is held".to_owned(),
            };
            self.tell(text, true);
            return;
        };
        let verb = match (approve, item.waits()) {
            (true, _) => "approve",
            (false, false) => "lift",
            (false, true) => "drop the plan",
        };
        let path = escape::cut(&escape::line(item.scope()), PATH_COLUMNS);
        let text = format!("{verb} {} on {path}? y/n", escape::line(item.action()));
        let id = item.id().to_owned();
        let ask = if approve { Ask::Approve(id) } else { Ask::Lift(id) };
        self.question = Some(Question { ask, text });
    }
}
