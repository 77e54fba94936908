//! Foreign text made safe to show. cgroup names, task names and what a hook printed are hostile input: they may carry
//! terminal commands, line breaks, marks that turn the direction of text, and characters nobody sees.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `text` on one line, with everything that does not print spelled out: `\n`, `\u{1b}`, `\u{202e}`.
#[must_use]
pub fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        if prints(char) {
            safe.push(char);
        } else {
            safe.extend(char.escape_debug());
        }
    }
    safe
}

/// `text` cut to `columns` columns of a terminal, the last of them `…` when something was cut. Expects what
/// [`line()`] returns.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut room = columns.saturating_sub(1);
    let mut short = String::new();
    for char in text.chars() {
        let width = char.width().unwrap_or(0);
        if width > room {
            break;
        }
        room -= width;
        short.push(char);
    }
    if columns > 0 {
        short.push('…');
    }
    short
}

/// `text` cut or filled with spaces to exactly `columns` columns.
#[must_use]
pub fn column(text: &str, columns: usize) -> String {
    let mut cell = cut(&line(text), columns);
    let width = cell.width();
    cell.extend(std::iter::repeat_n(' ', columns.saturating_sub(width)));
    cell
}

/// JSON `text` with everything outside of ASCII that does not print written as `\uXXXX`. Such characters only occur
/// inside strings, so the value stays the same; JSON itself already escapes the ASCII ones except DEL.
#[must_use]
pub fn json(text: String) -> String {
    if text.chars().all(prints) {
        return text;
    }
    let mut safe = String::with_capacity(text.len() + 64);
    for char in text.chars() {
        if prints(char) {
            safe.push(char);
        } else {
            for unit in char.encode_utf16(&mut [0; 2]) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    safe
}

/// Whether a character shows as itself. `escape_debug` knows which do; quotes and backslash are its only exceptions.
pub(super) fn prints(char: char) -> bool {
    matches!(char, ' '..='~') || (!char.is_ascii() && char.escape_debug().len() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_or_hides_is_spelled_out() {
        let table = [
            ("plain name 'x' \"y\" \\x2d", "plain name 'x' \"y\" \\x2d"),
            ("größe 日本", "größe 日本"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\r\n\tb\u{7f}", "a\\r\\n\\tb\\u{7f}"),
            ("a\u{9b}31mb", "a\\u{9b}31mb"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("a\u{200b}\u{feff}b\u{2028}c", "a\\u{200b}\\u{feff}b\\u{2028}c"),
            ("e\u{301}\u{301}", "e\\u{301}\\u{301}"),
            ("a\u{e0041}", "a\\u{e0041}"),
        ];
        for (hostile, safe) in table {
            assert_eq!(line(hostile), safe);
        }
    }

    #[test]
    fn width_counts_columns_and_not_characters() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(column("日本", 6), "日本  ");
        assert_eq!(column("a\u{1b}b", 4), "a\\u…");
    }

    #[test]
    fn escaped_json_is_the_same_value() {
        let hostile = "a\u{7f}\u{9b}\u{202e}\u{e0041}\"\\\u{1b}ü";
        let safe = json(serde_json::to_string(hostile).unwrap());
        assert!(safe.chars().all(prints));
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), hostile);
    }
}
