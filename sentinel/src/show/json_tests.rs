//! JSON lines through a real pipe, with a reader that reads, sleeps or leaves.

use std::{
    io::{BufRead, BufReader, Read},
    os::fd::OwnedFd,
};

use super::{
    super::{Sinks, encode, samples::*},
    *,
};
use crate::judge::Verdict;

const PATIENCE: Duration = Duration::from_secs(10);

fn piped() -> (JsonLines, File) {
    let (reader, writer) = io::pipe().unwrap();
    (
        JsonLines::to(OwnedFd::from(writer).into()).unwrap(),
        OwnedFd::from(reader).into(),
    )
}

#[test]
fn each_verdict_and_outcome_is_one_line_that_reads_back_as_itself() {
    let (sink, mut reader) = piped();
    let mut sinks = Sinks::new();
    sinks.add(sink);
    let snapshot = snapshot(HOSTILE);
    sinks.publish(&snapshot).unwrap();
    assert_eq!(sinks.finish(PATIENCE), [("stdout", 0)]);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        serde_json::from_str::<Verdict>(lines[0]).unwrap(),
        *snapshot.verdicts[0]
    );
    assert!(lines[1].starts_with("{\"schema\":\"sentinel.outcome/1\""));
    assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']));
}

#[test]
fn a_reader_that_left_ends_the_run() {
    let (mut sink, reader) = piped();
    drop(reader);
    let snapshot = snapshot("/x.service");
    let records = encode::records(&snapshot).unwrap();
    let mut error = None;
    while error.is_none() {
        error = sink.publish(&Publication::new(&snapshot, &records)).err();
    }
    assert_eq!(error, Some(SinkError::Closed { sink: "stdout" }));
}

#[test]
fn a_reader_that_sleeps_delays_nothing_and_misses_nothing() {
    let (mut sink, reader) = piped();
    let mut snapshot = snapshot("/x.service");
    let records = encode::records(&snapshot).unwrap();
    for _ in 0..1000 {
        sink.publish(&Publication::new(&snapshot, &records)).ok();
    }
    // Progress ends when the pipe is full; from then on the next look but one says so.
    while sink.publish(&Publication::new(&snapshot, &[])).is_ok() {
        snapshot.now.monotonic_ns += 3 * SECOND_NS;
    }
    let lines = std::thread::spawn(move || BufReader::new(reader).lines().count());
    sink.finish(PATIENCE);
    assert_eq!(sink.lost(), 0);
    drop(sink);
    assert_eq!(lines.join().unwrap(), 2000);
}
