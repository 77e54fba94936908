//! The loop: news, keys, signals and time go to the [`Model`]; what changed is drawn, and nothing else is written.

use std::{io, time::Duration};

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc::{Receiver, Sender},
    time::{MissedTickBehavior, interval},
};

use super::{
    paint::Palette,
    screen::Screen,
    state::{Ask, Model, News},
    view,
};
use crate::time;

/// How exactly a countdown goes on.
const TICK: Duration = Duration::from_millis(250);

/// The ends of what the loop is between.
#[derive(Debug)]
pub struct Ends {
    /// What came.
    pub news: Receiver<News>,
    /// What is asked of the agent.
    pub asks: Sender<Ask>,
}

/// The screen could not go on.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// The terminal failed.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] io::Error),
    /// No more keys come.
    #[error("the terminal was closed")]
    Closed,
}

/// Runs until the person or a signal ends it. Needs a tokio runtime with I/O and time.
///
/// # Errors
/// See [`TopError`]; the terminal is given back before.
pub async fn run(mut model: Model, palette: Palette, mut ends: Ends) -> Result<(), TopError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut screen = Screen::take()?;
    let mut keys = EventStream::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut changed = true;
    loop {
        if changed {
            let size = screen.terminal.size()?;
            model.resize(size.width, size.height);
            screen.terminal.draw(|frame| view::draw(frame, &model, palette))?;
        }
        let now_ns = || time::monotonic_ns();
        let mut ask = None;
        changed = tokio::select! {
            biased;
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
            event = keys.next() => match event {
                None => return Err(TopError::Closed),
                Some(event) => match event? {
                    Event::Key(key) => {
                        model.tick(now_ns());
                        ask = model.press(key);
                        true
                    }
                    Event::Resize(..) => true,
                    _ => false,
                },
            },
            Some(news) = ends.news.recv() => model.hear(news, now_ns()),
            _ = ticks.tick() => model.tick(now_ns()),
        };
        match ask {
            Some(Ask::Quit) => return Ok(()),
            Some(Ask::Suspend) => screen.suspend()?,
            Some(ask) if ends.asks.try_send(ask.clone()).is_err() => {
                let why = "the agent is still busy with what was asked before; try again".to_owned();
                model.hear(News::Answered(Err(why)), now_ns());
            }
            Some(_) | None => {}
        }
    }
}
