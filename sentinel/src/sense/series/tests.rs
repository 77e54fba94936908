//! Formats, times and what is wrong with a line.

use super::*;

type Taken = (String, f64, Option<f64>);

fn read(format: Format, lines: &[&str]) -> (Vec<Taken>, Vec<Complaint>) {
    let mut reader = Reader::new(format);
    let (mut points, mut complaints) = (Vec::new(), Vec::new());
    for line in lines {
        let result = reader.line(line.as_bytes(), &mut |point| {
            points.push((point.series.to_owned(), point.unix_s, point.value));
        });
        complaints.extend(result.err());
    }
    (points, complaints)
}

fn point(name: &str, unix_s: f64, value: f64) -> Taken {
    (name.to_owned(), unix_s, Some(value))
}

#[test]
fn the_first_line_tells_the_format() {
    let one = [point("value", 10.0, 1.5)];
    assert_eq!(read(Format::Auto, &["timestamp,value", "10,1.5"]).0, one);
    assert_eq!(read(Format::Auto, &["10,1.5"]).0, one);
    assert_eq!(read(Format::Auto, &[r#"{"time":10,"value":1.5}"#]).0, one);
    let wide = [point("a", 10.0, 1.0), point("b", 10.0, 2.0)];
    assert_eq!(read(Format::Auto, &["time,a,b", "10,1,2"]).0, wide);
    assert_eq!(read(Format::Auto, &["a,time,b", "1,10,2"]).0, wide);
    assert_eq!(
        read(Format::Auto, &["series,timestamp,value", "a,10,1", "b,10,2"]).0,
        wide
    );
    assert_eq!(read(Format::Long, &["a,10,1", "b,10,2"]).0, wide);
    let json = [
        r#"{"series":"a","time":10,"value":1}"#,
        r#"{"value":2,"series":"b","timestamp":"10"}"#,
    ];
    assert_eq!(read(Format::Auto, &json).0, wide);
    let unnamed = [point("value_1", 10.0, 1.0), point("value_2", 10.0, 2.0)];
    assert_eq!(read(Format::Auto, &["\u{feff}10,1,2"]).0, unnamed);
}

#[test]
fn times_are_read_however_they_are_written() {
    for time in [
        "1767225600",
        "1767225600000",
        "1767225600000000",
        "1767225600000000000",
        "1.7672256e9",
        "2026-01-01T00:00:00Z",
        "2026-01-01T01:00:00+01:00",
        "2026-01-01 00:00:00",
        "2026-01-01 00:00:00.000",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00",
        "2026-01-01",
    ] {
        let (points, complaints) = read(Format::Csv, &[&format!("{time},1")]);
        assert_eq!(points, [point("value", 1_767_225_600.0, 1.0)], "{time}: {complaints:?}");
    }
    // Nothing is remembered yet, and no bytes stand for that.
    let (points, complaints) = read(Format::Csv, &[&format!("{},1", "\0".repeat(16))]);
    assert!(points.is_empty() && complaints.len() == 1, "{points:?} {complaints:?}");
    assert_eq!(
        read(Format::Csv, &["1970-01-01 00:00:07,1"]).0,
        [point("value", 7.0, 1.0)]
    );
    // The minute before is remembered; it must not be taken for that of another offset.
    let lines = [
        "2026-01-01T01:00:00Z,1",
        "2026-01-01T01:00:30.25Z,1",
        "2026-01-01T01:00:30+01:00,1",
    ];
    let seconds: Vec<f64> = read(Format::Csv, &lines)
        .0
        .iter()
        .map(|point| point.1 - 1_767_225_600.0)
        .collect();
    assert_eq!(seconds, [3600.0, 3630.25, 30.0]);
}

#[test]
fn what_is_missing_is_none_and_what_is_wrong_is_said() {
    let missing = ["1,", "2,NaN", "3,null", "4,inf", "5,N/A", "6,1e999"];
    let (points, complaints) = read(Format::Csv, &missing);
    assert!(
        points.len() == 6 && points.iter().all(|point| point.2.is_none()),
        "{points:?}"
    );
    assert!(complaints.is_empty());
    let wrong = ["1,2", "1,2,3", "yesterday,1", "3,many", "\"4,1"];
    let said: Vec<String> = read(Format::Csv, &wrong).1.iter().map(ToString::to_string).collect();
    let remedies = ["3 fields instead of 2", "RFC 3339", "leave it empty", "not closed"];
    assert_eq!(said.len(), remedies.len(), "{said:?}");
    for (said, remedy) in said.iter().zip(remedies) {
        assert!(said.contains(remedy), "{said}");
    }
    assert!(matches!(
        read(Format::Json, &["{\"time\":1"]).1[..],
        [Complaint::Json(_)]
    ));
    assert!(matches!(
        read(Format::Auto, &["hello"]).1[..],
        [Complaint::Header { .. }]
    ));
}

#[test]
fn quotes_are_taken_off_and_one_bad_field_does_not_hide_the_others() {
    let (points, complaints) = read(Format::Auto, &["time,\"a, b\",c", "\"10\",\"1\",x"]);
    assert_eq!(points, [point("a, b", 10.0, 1.0)]);
    assert_eq!(complaints, [Complaint::Value("x".to_owned())]);
}
