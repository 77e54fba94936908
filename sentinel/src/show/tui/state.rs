//! What is known and what the person chose. In: news, keys (see [`keys`](super::keys)), the time. Out: answers to what
//! the drawing asks. Draws nothing, reads nothing.

use std::sync::Arc;

use super::{
    actions::{Actions, Item},
    detail,
    history::{History, ScopeKey, key},
    paint::Palette,
    rows::{Filter, Sort, rows},
    view,
};
use crate::{
    act::control::Listed,
    config::Autonomy,
    show::state::{Document, ScopeState},
};

/// How long a message stays, nanoseconds.
const MESSAGE_NS: u64 = 8_000_000_000;
/// A document older than this many intervals is stale.
const STALE_INTERVALS: u64 = 3;
/// And never before this, milliseconds.
const STALE_MS: u64 = 3000;

/// What came.
#[derive(Clone, Debug)]
pub enum News {
    /// How the run stands.
    State(Arc<Document>),
    /// The state could not be had, and why.
    NoState(String),
    /// What holds, and what waits.
    Listed(Listed),
    /// That could not be had, and why.
    NoActions(String),
    /// What became of something that was asked of the agent: what was done, or why not.
    Answered(Result<String, String>),
    /// Something to tell the person.
    Said(String),
}

/// What the person wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Carry out the plan with this id.
    Approve(String),
    /// Undo the lease with this id, or drop the plan.
    Lift(String),
    /// Be gone for a while, as any program on a terminal.
    Suspend,
    /// End.
    Quit,
}

/// What is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Page {
    /// All scopes.
    #[default]
    Scopes,
    /// One scope, from this line on.
    Detail(ScopeKey, u16),
    /// The keys.
    Help,
}

/// Which list the cursor keys move in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Focus {
    #[default]
    Scopes,
    Actions,
}

/// A question that waits for yes or no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) ask: Ask,
    pub(super) text: String,
}

#[derive(Clone, Debug)]
struct Message {
    text: String,
    bad: bool,
    until_ns: u64,
}

/// A document with what came before it.
#[derive(Clone, Debug, Default)]
struct Frame {
    document: Option<Arc<Document>>,
    history: History,
}

/// The state of the screen.
#[derive(Clone, Debug, Default)]
pub struct Model {
    live: Frame,
    paused: Option<Frame>,
    /// When the last new document came.
    received_ns: u64,
    trouble: Option<String>,
    pub(super) actions: Actions,
    pub(super) page: Page,
    pub(super) focus: Focus,
    pub(super) question: Option<Question>,
    pub(super) filter: Filter,
    /// The filter is being typed.
    pub(super) typing: bool,
    pub(super) sort: Sort,
    /// The scope under the cursor; `None` follows the first one.
    pub(super) chosen: Option<ScopeKey>,
    /// The plan or lease under the cursor; `None` follows the first one.
    pub(super) chosen_action: Option<String>,
    message: Option<Message>,
    now_ns: u64,
    /// What was counted down when it was drawn last.
    counted: Vec<u64>,
    /// The agent runs inside this program.
    alone: bool,
    /// Columns and lines of the screen.
    size: (u16, u16),
}

impl Model {
    /// Nothing is known yet. `alone`: the agent runs inside this program.
    #[must_use]
    pub fn new(alone: bool, now_ns: u64) -> Self {
        Self {
            alone,
            now_ns,
            received_ns: now_ns,
            ..Self::default()
        }
    }

    /// Takes in news; whether anything that is shown changed.
    pub fn hear(&mut self, news: News, now_ns: u64) -> bool {
        self.now_ns = now_ns;
        match news {
            News::State(document) => {
                let same = |known: &Arc<Document>| (&known.run, known.seq) == (&document.run, document.seq);
                if self.live.document.as_ref().is_some_and(same) {
                    return self.trouble.take().is_some();
                }
                self.live.history.record(&document);
                self.live.document = Some(document);
                self.received_ns = now_ns;
                self.trouble = None;
            }
            News::NoState(why) => {
                let changed = self.trouble.as_ref() != Some(&why);
                self.trouble = Some(why);
                return changed;
            }
            News::Listed(listed) => self.actions.hear(listed, now_ns),
            News::NoActions(why) => {
                if self.actions.missing.as_ref() == Some(&why) {
                    return false;
                }
                self.actions.miss(why);
            }
            News::Answered(Ok(done)) => self.tell(done, false),
            News::Answered(Err(why)) => self.tell(why, true),
            News::Said(text) => self.tell(text, true),
        }
        true
    }

    /// The screen has another size. Details that were scrolled further than they now reach are shown to their end.
    pub fn resize(&mut self, columns: u16, lines: u16) {
        self.size = (columns, lines);
        let last = self.last_line();
        if let Page::Detail(_, first) = &mut self.page {
            *first = (*first).min(last);
        }
    }

    /// The line that details can start from at the latest.
    pub(super) fn last_line(&self) -> u16 {
        let Page::Detail(wanted, _) = self.page else { return 0 };
        let lines = detail::lines(self, wanted, self.size.0.into(), Palette { colour: false });
        let lines = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        lines.saturating_sub(view::body_lines(self, self.size.1))
    }

    /// Time goes on; whether anything that is shown changed by it.
    pub fn tick(&mut self, now_ns: u64) -> bool {
        self.now_ns = now_ns;
        if self.message.as_ref().is_some_and(|message| message.until_ns <= now_ns) {
            self.message = None;
        }
        let mut counted: Vec<u64> = self.items().into_iter().map(|item| self.left_s(item)).collect();
        counted.push(self.stale_s().unwrap_or(0));
        counted.push(u64::from(self.message.is_some()));
        std::mem::replace(&mut self.counted, counted.clone()) != counted
    }

    pub(super) fn tell(&mut self, text: impl Into<String>, bad: bool) {
        self.message = Some(Message {
            text: text.into(),
            bad,
            until_ns: self.now_ns.saturating_add(MESSAGE_NS),
        });
    }

    /// What to tell now, and whether it is bad: why there is no state comes first.
    pub(super) fn message(&self) -> Option<(&str, bool)> {
        let message = self
            .message
            .as_ref()
            .map(|message| (message.text.as_str(), message.bad));
        self.trouble.as_deref().map(|why| (why, true)).or(message)
    }

    fn frame(&self) -> &Frame {
        self.paused.as_ref().unwrap_or(&self.live)
    }

    /// The document that is shown; `None` before the first one.
    pub(super) fn document(&self) -> Option<&Document> {
        self.frame().document.as_deref()
    }

    /// The history that is shown.
    pub(super) fn history(&self) -> &History {
        &self.frame().history
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    pub(super) const fn is_alone(&self) -> bool {
        self.alone
    }

    /// Stops and goes on. News are still taken in, and actions stay live: a person must see what approves or lifts.
    pub(super) fn pause(&mut self) {
        self.paused = match self.paused.take() {
            Some(_) => None,
            None => Some(self.live.clone()),
        };
    }

    /// Seconds since the last new document, when that is too long ago; `None` when all is well or nothing came yet.
    pub(super) fn stale_s(&self) -> Option<u64> {
        let interval_ms = self.live.document.as_ref()?.agent.interval_ms;
        let age_ms = self.now_ns.saturating_sub(self.received_ns) / 1_000_000;
        (age_ms > STALE_MS.max(STALE_INTERVALS * interval_ms)).then_some(age_ms / 1000)
    }

    /// The scopes that are listed, in order.
    pub(super) fn rows(&self) -> Vec<&ScopeState> {
        self.document()
            .map_or_else(Vec::new, |document| rows(document, &self.filter, self.sort))
    }

    /// The place of the cursor among `rows`; a scope that is gone leaves it at the top.
    pub(super) fn cursor(&self, rows: &[&ScopeState]) -> usize {
        let chosen = self
            .chosen
            .and_then(|wanted| rows.iter().position(|row| key(row) == wanted));
        chosen.unwrap_or(0)
    }

    /// A scope of the document that is shown.
    pub(super) fn scope(&self, wanted: ScopeKey) -> Option<&ScopeState> {
        self.document()?.scopes.iter().find(|scope| key(scope) == wanted)
    }

    pub(super) fn items(&self) -> Vec<Item<'_>> {
        self.actions.items()
    }

    pub(super) fn item_cursor(&self, items: &[Item<'_>]) -> usize {
        let chosen = self.chosen_action.as_deref();
        items.iter().position(|item| Some(item.id()) == chosen).unwrap_or(0)
    }

    pub(super) fn left_s(&self, item: Item<'_>) -> u64 {
        self.actions.left_s(item, self.now_ns)
    }

    /// What the agent may do; `None` before the first document.
    pub(super) fn autonomy(&self) -> Option<Autonomy> {
        Some(self.live.document.as_ref()?.agent.autonomy)
    }

    /// What approving (a plan) or lifting (a lease) means now: what the cursor is on, else what concerns the scope that is
    /// looked at, else the first there is.
    pub(super) fn target(&self, plan: bool) -> Option<Item<'_>> {
        let items = self.items();
        let fits = |item: &Item<'_>| item.waits() == plan;
        if self.focus == Focus::Actions
            && let Some(item) = items.get(self.item_cursor(&items)).copied().filter(fits)
        {
            return Some(item);
        }
        let scope = match &self.page {
            Page::Detail(wanted, _) => self.scope(*wanted),
            _ => {
                let rows = self.rows();
                rows.get(self.cursor(&rows)).copied()
            }
        };
        let path = scope.map(|scope| scope.path.as_str());
        let fitting = || items.iter().copied().filter(fits);
        fitting()
            .find(|item| Some(item.scope()) == path)
            .or_else(|| fitting().next())
    }
}
