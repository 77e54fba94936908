//! JSON lines.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Complaint, Point,
    number::{self, shortened},
    time::Clock,
};

/// A series that has no name.
const UNNAMED: &str = "value";

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, alias = "metric", alias = "name")]
    series: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "timestamp", alias = "ts")]
    time: &'a RawValue,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

pub(super) fn point(line: &str, clock: &mut Clock, take: &mut dyn FnMut(&Point<'_>)) -> Result<(), Complaint> {
    let object: Object<'_> = serde_json::from_str(line).map_err(|error| Complaint::Json(error.to_string()))?;
    let time = text(object.time)?;
    let (unix_s, time_is_number) = clock.read(&time)?;
    let time_is_number = time_is_number && matches!(time, Cow::Borrowed(_)) && !object.time.get().starts_with('"');
    let value = match object.value {
        None => None,
        Some(raw) => number::value(&text(raw)?)?,
    };
    take(&Point {
        series: object.series.as_deref().unwrap_or(UNNAMED),
        column: None,
        time: &time,
        time_is_number,
        unix_s,
        value,
    });
    Ok(())
}

/// A number or string as text.
fn text(raw: &RawValue) -> Result<Cow<'_, str>, Complaint> {
    let raw = raw.get();
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<Cow<'_, str>>(raw).map_err(|error| Complaint::Json(error.to_string())),
        Some(b'{' | b'[') => Err(Complaint::Value(shortened(raw))),
        _ => Ok(Cow::Borrowed(raw)),
    }
}
