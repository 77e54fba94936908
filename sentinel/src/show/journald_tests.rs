//! What the journal gets for a record; no journald is needed.

use super::{super::samples::*, *};
use crate::act::outcome::ActionResult;

fn field<'a>(entry: &'a Entry, name: &str) -> &'a str {
    let found = entry.fields.iter().find(|(field, _)| *field == name);
    found.map_or("", |(_, value)| value)
}

#[test]
fn a_verdict_carries_the_json_of_standard_output_and_fields_of_its_own() {
    let record = record(verdict("/system.slice/shop.service"));
    let entry = entry(&record);
    assert_eq!(
        entry.message,
        "shop.service sends 3.1 requests for each one it receives (baseline 1.02)"
    );
    assert!(matches!(entry.priority, Priority::Error));
    let expected = [
        ("SYSLOG_IDENTIFIER", "sentinel"),
        ("MESSAGE_ID", VERDICT_MESSAGE_ID),
        ("SENTINEL_VERDICT", &record.json),
        ("SENTINEL_VERDICT_ID", "01JGFJJZ00ABCDEFGHJKMNPQRS"),
        ("SENTINEL_SIGNAL", "amplification"),
        ("SENTINEL_LEVEL", "veto"),
        ("SENTINEL_SCOPE", "/system.slice/shop.service"),
        ("SENTINEL_CAUSE", "retry_storm"),
    ];
    for (name, value) in expected {
        assert_eq!(field(&entry, name), value, "{name}");
    }
}

#[test]
fn an_outcome_carries_its_json_and_its_verdict() {
    let outcome = Arc::new(outcome("/system.slice/shop.service", ActionResult::TimedOut, ""));
    let record = Record {
        json: super::super::encode::object(outcome.as_ref()).unwrap(),
        body: Body::Outcome(outcome),
    };
    let entry = entry(&record);
    assert!(matches!(entry.priority, Priority::Warning));
    assert_eq!(field(&entry, "MESSAGE_ID"), OUTCOME_MESSAGE_ID);
    assert_eq!(field(&entry, "SENTINEL_OUTCOME"), &*record.json);
    assert_eq!(field(&entry, "SENTINEL_VERDICT_ID"), "01JGFJJZ00ABCDEFGHJKMNPQRS");
    assert_eq!(field(&entry, "SENTINEL_VERDICT"), "");
}

#[test]
fn the_priority_follows_the_level_and_the_way_back_is_a_notice() {
    let table = [
        (Level::Veto, Level::Watch, 3),
        (Level::Watch, Level::Nominal, 4),
        (Level::Watch, Level::Veto, 4),
        (Level::Nominal, Level::Veto, 5),
        (Level::Nominal, Level::Watch, 5),
        (Level::Nominal, Level::Unknown, 6),
        (Level::Unknown, Level::Veto, 6),
    ];
    for (level, previous, expected) in table {
        assert_eq!(
            u8::from(priority(level, previous)),
            expected,
            "{level:?} after {previous:?}"
        );
    }
}

#[test]
fn no_field_carries_a_terminal_command_or_a_line_break() {
    let entry = entry(&record(verdict(HOSTILE)));
    for (name, value) in entry
        .fields
        .iter()
        .map(|(name, value)| (*name, &**value))
        .chain([("MESSAGE", &*entry.message)])
    {
        assert!(
            !value.contains(['\n', '\u{1b}', '\u{9b}', '\u{202e}']),
            "{name}: {value:?}"
        );
    }
}

#[test]
fn message_ids_are_128_bits_in_hexadecimal_and_differ() {
    for id in [VERDICT_MESSAGE_ID, OUTCOME_MESSAGE_ID] {
        assert!(id.len() == 32 && u128::from_str_radix(id, 16).is_ok());
    }
    assert_ne!(VERDICT_MESSAGE_ID, OUTCOME_MESSAGE_ID);
}
