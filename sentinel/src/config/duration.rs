//! Times as people write them: a number and its unit.

use std::time::Duration;

use humantime::DurationError;

/// A time from its text, or why it is none and what to write.
pub(super) fn parse_time(text: &str) -> Result<Duration, (&'static str, String)> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(("which is negative", "write a time without the sign".into()));
    }
    humantime::parse_duration(text).map_err(|error| match error {
        DurationError::NumberOverflow => ("which is too long", "write a shorter time".into()),
        // "0" passes without a unit; every other number needs one.
        _ if text.parse::<f64>().is_ok() => ("which has no unit", unit_remedy(text)),
        DurationError::Empty => ("which is empty", "write a time, as \"1s\" or \"200ms\"".into()),
        DurationError::UnknownUnit { .. } => (
            "whose unit is unknown",
            "use one of the units ms, s, m, h and d, as in \"1s\" or \"200ms\"".into(),
        ),
        _ => (
            "which is no time",
            "write a number and its unit, as \"1s\" or \"200ms\"".into(),
        ),
    })
}

/// The same number with a unit, for one that was written without.
pub(super) fn unit_remedy(number: &str) -> String {
    let number = number.trim_start_matches(['-', '+']);
    format!("write \"{number}s\" for seconds or \"{number}ms\" for milliseconds")
}
