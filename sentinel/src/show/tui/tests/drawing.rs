//! What is drawn, and where.

use super::*;

#[test]
fn the_list_is_as_it_was_agreed_on_at_both_sizes() {
    let mut model = busy_model();
    compare(
        "list-80x24.txt",
        &screen(&mut model, 80, 24),
        include_str!("golden/list-80x24.txt"),
    );
    compare(
        "list-120x40.txt",
        &screen(&mut model, 120, 40),
        include_str!("golden/list-120x40.txt"),
    );
}

#[test]
fn the_details_are_as_they_were_agreed_on_at_both_sizes() {
    let mut model = busy_model();
    press(&mut model, "\n");
    compare(
        "details-80x24.txt",
        &screen(&mut model, 80, 24),
        include_str!("golden/details-80x24.txt"),
    );
    compare(
        "details-120x40.txt",
        &screen(&mut model, 120, 40),
        include_str!("golden/details-120x40.txt"),
    );
}

#[test]
fn no_size_is_too_small_and_nothing_is_drawn_beyond_it() {
    let mut model = busy_model();
    for page in ["", "\n", "?"] {
        press(&mut model, "\u{1b}");
        press(&mut model, page);
        for (columns, lines) in [(0, 0), (1, 1), (3, 2), (10, 4), (20, 5), (39, 9), (60, 12), (300, 3)] {
            drawn(&mut model, columns, lines, PLAIN);
        }
    }
}

#[test]
fn names_of_others_command_no_terminal() {
    let mut model = model(HOSTILE, 6);
    let mut held = listed(vec![lease("01J", HOSTILE)], true);
    held.waiting[0].plan.scope = HOSTILE.to_owned();
    held.waiting[0].plan.action = HOSTILE.to_owned();
    held.leases[0].detail = HOSTILE.to_owned();
    model.hear(News::Listed(held), 6 * SECOND_NS);
    model.hear(News::Answered(Err(HOSTILE.to_owned())), 6 * SECOND_NS);
    for keys in ["", "\n", "\u{1b}a", "n", "/\u{202e}x"] {
        press(&mut model, keys);
        let terminal = drawn(&mut model, 120, 40, PLAIN);
        for cell in terminal.backend().buffer().content() {
            assert_eq!(cell.symbol(), escape::line(cell.symbol()), "after {keys:?}");
        }
    }
    let shown = text(&mut model);
    assert!(!shown.contains('\u{202e}'), "{shown}");
}

#[test]
fn without_colour_no_colour_is_used_and_what_is_bad_stands_out_still() {
    let mut model = busy_model();
    let plain = drawn(&mut model, 80, 24, PLAIN);
    let cells = plain.backend().buffer().content();
    assert!(
        cells
            .iter()
            .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset)
    );
    let veto = &plain.backend().buffer()[(2, 3)];
    assert_eq!(veto.symbol(), "v");
    assert!(veto.modifier.contains(Modifier::REVERSED | Modifier::BOLD));
    let coloured = drawn(&mut model, 80, 24, Palette { colour: true });
    assert_eq!(coloured.backend().buffer()[(2, 3)].fg, Color::Red);
}
