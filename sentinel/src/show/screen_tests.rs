//! The screen and the terminal sink into a real pipe, with and without a cursor to move.

use std::io::Read;

use super::{
    super::{Publication, Sink, encode, samples::snapshot, terminal::Terminal, view::Opening},
    *,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// A screen that writes into a pipe; with `moves`, as if that were a terminal.
fn piped(moves: bool) -> (Screen, File) {
    let (reader, writer) = io::pipe().unwrap();
    let screen = Screen::on(OwnedFd::from(writer).into(), moves, false).unwrap();
    (screen, OwnedFd::from(reader).into())
}

fn read(mut reader: File) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn lines_appear_above_the_status_line() {
    let (screen, reader) = piped(true);
    screen.print("head\n");
    screen.redraw("", "calm".to_owned());
    screen.redraw("", "calm".to_owned());
    screen.print("verdict\n");
    screen.redraw("end\n", String::new());
    screen.finish(PATIENCE);
    drop(screen);
    assert_eq!(read(reader), "head\ncalm\r\u{1b}[2Kverdict\ncalm\r\u{1b}[2Kend\n");
}

#[test]
fn without_a_terminal_there_is_no_cursor_to_move() {
    let (screen, reader) = piped(false);
    let mut terminal = Terminal::start(screen, &Opening::default());
    let mut snapshot = snapshot("/system.slice/shop.service");
    let records = encode::records(&snapshot).unwrap();
    for tick in 1..=3 {
        snapshot.ticks = tick;
        snapshot.losses.insert("switch_unseen".to_owned(), 2 * tick);
        terminal.publish(&Publication::new(&snapshot, &records)).unwrap();
    }
    terminal.finish(PATIENCE);
    assert_eq!(
        (terminal.totals().ticks, terminal.totals().losses["switch_unseen"]),
        (3, 6)
    );
    drop(terminal);
    let text = read(reader);
    assert!(!text.contains(['\r', '\u{1b}']), "{text:?}");
    assert_eq!(text.matches("  veto     shop.service").count(), 3);
    assert!(text.ends_with("0 failed\nlost: switch_unseen 6\n"), "{text}");
}

#[test]
fn on_a_terminal_the_last_thing_is_the_summary_and_no_status_line() {
    let (screen, reader) = piped(true);
    let mut terminal = Terminal::start(screen, &Opening::default());
    let snapshot = snapshot("/system.slice/shop.service");
    terminal.publish(&Publication::new(&snapshot, &[])).unwrap();
    terminal.finish(PATIENCE);
    drop(terminal);
    let text = read(reader);
    let (_, end) = text.rsplit_once("\u{1b}[2K").unwrap();
    assert!(
        end.starts_with("\n1 tick, none late") && end.ends_with("lost: switch_unseen 2\n"),
        "{text:?}"
    );
}

#[test]
fn a_reader_that_left_is_noticed() {
    let (screen, reader) = piped(false);
    drop(reader);
    screen.print("head\n");
    screen.finish(PATIENCE);
    assert_eq!(screen.health(0), Health::Closed);
}

#[test]
fn colour_is_for_a_terminal_whose_owner_wants_it() {
    assert!(colour_wanted(true, None));
    assert!(colour_wanted(true, Some(OsStr::new(""))));
    assert!(!colour_wanted(true, Some(OsStr::new("1"))));
    assert!(!colour_wanted(false, None));
}
