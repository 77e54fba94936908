//! Times as people and programs write them.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::{Complaint, number::shortened};

/// Numbers from these on are milliseconds, microseconds, nanoseconds: as seconds they would be after the year 5000.
const MILLISECONDS_FROM: f64 = 1e11;
const MICROSECONDS_FROM: f64 = 1e14;
const NANOSECONDS_FROM: f64 = 1e17;
/// `YYYY-MM-DD HH:MM`: what the next times are likely to begin with.
const MINUTE: usize = 16;

/// Reads times, and remembers the minute of the last one.
#[derive(Debug)]
pub(super) struct Clock {
    minute: [u8; MINUTE],
    minute_s: f64,
}

impl Default for Clock {
    /// In the minute that the epoch began with: something that is true of whatever comes first.
    fn default() -> Self {
        Self {
            minute: *b"1970-01-01 00:00",
            minute_s: 0.0,
        }
    }
}

impl Clock {
    /// Seconds since the epoch, and whether it is a number.
    pub(super) fn read(&mut self, text: &str) -> Result<(f64, bool), Complaint> {
        let text = text.trim_ascii();
        // No number looks like a minute.
        if let Some(seconds) = self.in_minute(text.as_bytes()) {
            return Ok((seconds, false));
        }
        if let Ok(number) = text.parse::<f64>() {
            return if number.is_finite() {
                Ok((scaled(number), true))
            } else {
                Err(Complaint::Time(shortened(text)))
            };
        }
        self.written(text)
            .map(|seconds| (seconds, false))
            .ok_or_else(|| Complaint::Time(shortened(text)))
    }

    /// A time in the minute of the last one.
    fn in_minute(&self, text: &[u8]) -> Option<f64> {
        let (minute, rest) = text.split_at_checked(MINUTE)?;
        if minute != self.minute {
            return None;
        }
        Some(self.minute_s + seconds(rest)?)
    }

    fn written(&mut self, text: &str) -> Option<f64> {
        let unix_s = parsed(text)?;
        let bytes = text.as_bytes();
        // Only what is in UTC by itself may be remembered: another line may have another offset.
        if let Some((minute, rest)) = bytes.split_at_checked(MINUTE)
            && let Some(seconds) = seconds(rest)
        {
            self.minute.copy_from_slice(minute);
            self.minute_s = unix_s - seconds;
        }
        Some(unix_s)
    }
}

/// `:SS`, with or without a fraction and a `Z`; nothing is zero.
fn seconds(rest: &[u8]) -> Option<f64> {
    let rest = rest.strip_suffix(b"Z").unwrap_or(rest);
    let [b':', tens @ b'0'..=b'5', ones @ b'0'..=b'9', fraction @ ..] = rest else {
        return rest.is_empty().then_some(0.0);
    };
    let whole = f64::from(tens - b'0') * 10.0 + f64::from(ones - b'0');
    let [b'.', digits @ ..] = fraction else {
        return fraction.is_empty().then_some(whole);
    };
    let (mut part, mut unit) = (0.0, 0.1);
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        part += f64::from(digit - b'0') * unit;
        unit /= 10.0;
    }
    (!digits.is_empty()).then_some(whole + part)
}

fn parsed(text: &str) -> Option<f64> {
    let stamp = match text.parse::<Timestamp>() {
        Ok(stamp) => stamp,
        Err(_) => {
            let local: DateTime = text.parse().ok()?;
            local.to_zoned(TimeZone::UTC).ok()?.timestamp()
        }
    };
    Some(stamp.as_second() as f64 + f64::from(stamp.subsec_nanosecond()) / 1e9)
}

fn scaled(number: f64) -> f64 {
    let size = number.abs();
    if size >= NANOSECONDS_FROM {
        number / 1e9
    } else if size >= MICROSECONDS_FROM {
        number / 1e6
    } else if size >= MILLISECONDS_FROM {
        number / 1e3
    } else {
        number
    }
}
