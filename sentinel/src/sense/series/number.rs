//! A value, or that it is missing.

use super::Complaint;

/// What people write where there is no value.
const MISSING: [&str; 8] = ["", "null", "nan", "na", "n/a", "none", "-", "nil"];

/// A number; `None` for what is missing or not finite.
pub(super) fn value(text: &str) -> Result<Option<f64>, Complaint> {
    let text = text.trim_ascii();
    match text.parse::<f64>() {
        Ok(value) => Ok(value.is_finite().then_some(value)),
        Err(_) if MISSING.iter().any(|missing| text.eq_ignore_ascii_case(missing)) => Ok(None),
        Err(_) => Err(Complaint::Value(shortened(text))),
    }
}

/// Enough of a text to find it again.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
