//! Numbers and lines in a few columns. Pure.

use unicode_width::UnicodeWidthStr as _;

use crate::{
    judge::verdict::{Baseline, Signal},
    show::escape,
};

/// Heights of a cell, from nothing to full.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Sigmas above the past that still belong to the scope's usual range.
const USUAL_SIGMAS: f64 = 6.0;

/// `values` as a line of `columns` cells, the latest at the right. What was not measured is a gap; zero and less is the
/// lowest bar. The scale reaches to what is usual for the scope at least, so that ordinary noise stays low.
pub(super) fn spark(values: &[Option<f64>], baseline: Option<Baseline>, columns: usize) -> String {
    let shown = &values[values.len().saturating_sub(columns)..];
    let highest = shown.iter().flatten().copied().fold(0.0, f64::max);
    let usual = baseline.map_or(0.0, |past| past.mean + USUAL_SIGMAS * past.sigma);
    let scale = highest.max(usual);
    let mut line: String = std::iter::repeat_n(' ', columns - shown.len()).collect();
    line.extend(shown.iter().map(|value| match value {
        None => ' ',
        Some(value) if scale > 0.0 && value.is_finite() => {
            BARS[((value / scale).clamp(0.0, 1.0) * (BARS.len() - 1) as f64).round() as usize]
        }
        Some(_) => BARS[0],
    }));
    line
}

/// A value in at most six columns; `-` when it was not measured.
pub(super) fn short(value: Option<f64>, signed: bool) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else {
        return "-".to_owned();
    };
    let (scaled, suffix) = match value.abs() {
        size if size < 999.5 => (value, ""),
        size if size < 999_500.0 => (value / 1e3, "k"),
        size if size < 999_500_000.0 => (value / 1e6, "M"),
        size if size < 1e12 => (value / 1e9, "G"),
        _ => return if value > 0.0 { "huge" } else { "-huge" }.to_owned(),
    };
    let decimals = match scaled.abs() {
        size if size < 9.995 && suffix.is_empty() => 2,
        size if size < 99.95 => 1,
        _ => 0,
    };
    // No minus for what rounds to zero.
    let least = 0.5 * 10f64.powi(-decimals);
    let scaled = if scaled.abs() < least { 0.0 } else { scaled };
    let decimals = decimals as usize;
    if signed && scaled != 0.0 {
        format!("{scaled:+.decimals$}{suffix}")
    } else {
        format!("{scaled:.decimals$}{suffix}")
    }
}

/// The value of a signal: a growth has a sign.
pub(super) fn value(signal: Signal, value: Option<f64>) -> String {
    short(value, signal == Signal::Fever)
}

/// `text` in lines of at most `columns` columns, broken at spaces where there are some, at most `most` of them.
pub(super) fn wrap(text: &str, columns: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut words = text.split(' ');
    while let Some(word) = words.next() {
        let fits = |line: &String| line.width() + 1 + word.width() <= columns;
        let full = lines.len() >= most;
        match lines.last_mut() {
            Some(line) if fits(line) => {
                line.push(' ');
                line.push_str(word);
            }
            Some(line) if full => {
                // Whatever is left goes where it is cut.
                for word in std::iter::once(word).chain(words.by_ref()) {
                    line.push(' ');
                    line.push_str(word);
                }
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| escape::cut(line, columns)).collect()
}

/// Bytes for a reader.
pub(super) fn bytes(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else { return "-".to_owned() };
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1024.0 {
        format!("{mib:.0} MiB")
    } else {
        format!("{:.1} GiB", mib / 1024.0)
    }
}

/// Time of day of an RFC 3339 time.
pub(super) fn clock(time: &str) -> &str {
    time.get(11..19).unwrap_or("-")
}

/// A name of the closed lists with spaces.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_gaps_zero_is_low_and_the_latest_is_at_the_right() {
        let values = [Some(9.0), None, Some(0.0), Some(-3.0), Some(4.0), Some(8.0)];
        assert_eq!(spark(&values, None, 5), " ▁▁▅█");
        assert_eq!(spark(&values[4..], None, 4), "  ▅█");
        assert_eq!(spark(&[Some(0.0)], None, 2), " ▁");
        assert_eq!(spark(&[], None, 3), "   ");
    }

    #[test]
    fn noise_within_what_is_usual_stays_low() {
        let usual = Baseline {
            mean: 1.0,
            sigma: 0.5,
            samples: 300,
        };
        assert_eq!(spark(&[Some(1.0), Some(1.2)], Some(usual), 2), "▃▃");
        assert_eq!(spark(&[Some(1.0), Some(40.0)], Some(usual), 2), "▁█");
    }

    #[test]
    fn a_sentence_is_broken_at_spaces_and_what_does_not_fit_is_cut() {
        assert_eq!(wrap("one two three four", 9, 9), ["one two", "three", "four"]);
        assert_eq!(wrap("one two three four", 9, 2), ["one two", "three fo…"]);
        assert_eq!(wrap("日本語日本語 ab", 6, 3), ["日本…", "ab"]);
        assert_eq!(wrap("", 6, 3), [""]);
    }

    #[test]
    fn every_number_fits_in_six_columns() {
        let table = [
            (0.0, "0.00"),
            (-0.001, "0.00"),
            (2.345_67, "2.35"),
            (9.999, "10.0"),
            (99.97, "100"),
            (999.7, "1.0k"),
            (123_456.0, "123k"),
            (-98_760.0, "-98.8k"),
            (2.5e9, "2.5G"),
            (1e30, "huge"),
            (f64::NAN, "-"),
        ];
        for (value, text) in table {
            assert_eq!(short(Some(value), false), text);
            assert!(short(Some(value), true).len() <= 6, "{value}");
        }
        assert_eq!(short(Some(3.4), true), "+3.40");
        assert_eq!(short(None, true), "-");
    }
}
