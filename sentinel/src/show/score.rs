//! The score of a point as a line of JSON. In: a point, its score and level. Out: bytes. It never allocates for a line.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::judge::verdict::Level;

/// What `sentinel judge` says about a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// Name of the series.
    pub series: String,
    /// Its time as it came: a number or text.
    pub time: serde_json::Value,
    /// Its value; `None` when it is missing.
    pub value: Option<f64>,
    /// 0 to 1: a sixth for each decade of rarity, so 0.5 is one point in a thousand of this series, and 1 one in a million
    /// or rarer. `None` during warm-up, when the value is missing, and when its time is not after that of the point before.
    pub score: Option<f64>,
    /// What the score means with the false alarms that are accepted.
    pub level: Level,
}

/// A name or time as a JSON string, with its quotes.
#[must_use]
pub fn quoted(text: &str) -> String {
    // Marks that command a terminal or turn the direction of text are spelled out, as in verdicts.
    let json = serde_json::Value::from(text).to_string();
    let mut safe = String::with_capacity(json.len());
    for char in json.chars() {
        if super::escape::prints(char) {
            safe.push(char);
        } else {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    safe
}

/// Appends the line of a point, with its end. `series` is [`quoted`].
pub fn append(
    out: &mut Vec<u8>,
    series: &str,
    time: (&str, bool),
    value: Option<f64>,
    score: Option<f32>,
    level: Level,
) {
    out.extend_from_slice(b"{\"series\":");
    out.extend_from_slice(series.as_bytes());
    out.extend_from_slice(b",\"time\":");
    append_time(out, time);
    out.extend_from_slice(b",\"value\":");
    match value {
        Some(value) => append_number(out, value),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"score\":");
    match score {
        Some(score) => append_score(out, score),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"level\":\"");
    out.extend_from_slice(level.name().as_bytes());
    out.extend_from_slice(b"\"}\n");
}

fn append_time(out: &mut Vec<u8>, (time, is_number): (&str, bool)) {
    if is_number && is_json_number(time) {
        out.extend_from_slice(time.as_bytes());
    } else if time
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
    {
        out.push(b'"');
        out.extend_from_slice(time.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(quoted(time).as_bytes());
    }
}

/// Digits, with or without a sign and a fraction: what both sides write the same.
fn is_json_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    number(whole) && number(fraction) && (whole == "0" || !whole.starts_with('0'))
}

fn append_number(out: &mut Vec<u8>, value: f64) {
    // Writing to memory does not fail, and the number is finite.
    let _ = serde_json::to_writer(&mut *out, &value);
}

/// Four digits.
fn append_score(out: &mut Vec<u8>, score: f32) {
    let tenths = (score.clamp(0.0, 1.0) * 10_000.0 + 0.5) as u32;
    if tenths >= 10_000 {
        out.extend_from_slice(b"1.0");
        return;
    }
    let digit = |unit: u32| b'0' + (tenths / unit % 10) as u8;
    out.extend_from_slice(&[b'0', b'.', digit(1000), digit(100), digit(10), digit(1)]);
    while out.ends_with(b"0") && !out.ends_with(b".0") {
        out.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: (&str, bool), value: Option<f64>, score: Option<f32>) -> Score {
        let mut out = Vec::new();
        append(
            &mut out,
            &quoted("a\"\u{1b}\u{202e}b"),
            time,
            value,
            score,
            Level::Watch,
        );
        assert!(out.is_ascii(), "nothing commands a terminal");
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_line_is_what_the_schema_says() {
        for (score, written) in [
            (0.0, 0.0),
            (0.12345, 0.1235),
            (0.5, 0.5),
            (0.999_99, 1.0),
            (1.0, 1.0),
            (0.01, 0.01),
        ] {
            let read = line(("2026-01-01 00:00:00", false), Some(-1.5e300), Some(score));
            assert_eq!(read.score, Some(written));
            assert_eq!(read.series, "a\"\u{1b}\u{202e}b");
            assert_eq!(read.value, Some(-1.5e300));
            assert_eq!(read.level, Level::Watch);
        }
        let missing = line(("a\u{7}\"b", false), None, None);
        assert!(missing.value.is_none() && missing.score.is_none());
        assert_eq!(missing.time, "a\u{7}\"b");
    }

    #[test]
    fn times_come_back_as_they_came() {
        assert_eq!(
            line(("1767225600.25", true), None, None).time.to_string(),
            "1767225600.25"
        );
        assert_eq!(
            line(("1767225600000000000", true), None, None).time.to_string(),
            "1767225600000000000"
        );
        // What JSON does not call a number stays as it was, as text.
        for odd in ["+5", "1e9", ".5", "007", "5."] {
            assert_eq!(line((odd, true), None, None).time, odd);
        }
    }
}
