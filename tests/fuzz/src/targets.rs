//! The targets. Each is one function of bytes; see the crate's documentation for what they promise.

use std::{
    cell::RefCell,
    io::Read as _,
    net::Shutdown,
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use nix::sys::socket::{MsgFlags, send};
use sentinel::{
    act::{actuator, control, message, privileged},
    config::{Autonomy, Config, Listen},
    judge::{Judge, JudgeConfig},
    kernel::{self, Btf},
    sense::{
        naming,
        record::{Header, Recorder},
        replay::Replay,
        sample::Sample,
        series::{Format, Reader},
    },
    show::{
        escape,
        state::Facts,
        web::{self, Web},
    },
    time::Now,
};
use tokio::signal::unix::{SignalKind, signal};
use unicode_width::UnicodeWidthStr as _;

/// Whatever a file says, what is taken over is in the range that is documented, and what is not names the file.
pub(crate) fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::from_toml(text, Path::new("fuzzed.toml")) {
        Ok(config) => {
            assert!((Duration::from_millis(100)..=Duration::from_secs(60)).contains(&config.interval));
            assert!(config.network_interval <= config.interval);
            assert!(config.false_alarms_per_week > 0.0 && config.false_alarms_per_week.is_finite());
            assert!(config.max_cgroups > 0);
        }
        Err(error) => assert!(error.to_string().contains("fuzzed.toml"), "{error}"),
    }
}

/// Whatever the types say, looking things up in them ends, and what a sensor would miss is named.
pub(crate) fn types(bytes: &[u8]) {
    let Ok(types) = Btf::parse(bytes) else { return };
    for (structure, path) in [
        ("task_struct", "sched_info.run_delay"),
        ("task_struct", "se.sum_exec_runtime"),
        ("rq", "cfs.h_nr_queued"),
        ("mm_struct", "rss_stat"),
        ("cgroup", "kn"),
        ("a", "b.c"),
        ("", ""),
    ] {
        if let Some((bytes, _)) = types.element_bytes(structure, path) {
            assert!(
                types.offset(structure, path).is_some(),
                "{structure}.{path} has {bytes} bytes"
            );
        }
        let _ = types.has_struct(structure);
    }
    let _ = types.tracepoint("mark_victim");
    let missing = kernel::missing(&types);
    assert!(
        missing.iter().all(|error| error.to_string().contains('.')),
        "{missing:?}"
    );
    if missing.is_empty() {
        let part = types.offset("task_struct", "sched_info.run_delay");
        assert!(part >= types.offset("task_struct", "sched_info") && types.has_struct("rq"));
    }
}

/// What is replayed rises in time, and is the same when it is recorded and replayed again; judged twice, it gets
/// the same verdicts.
pub(crate) fn recording(bytes: &[u8]) {
    let Ok(mut replay) = Replay::new(bytes) else { return };
    let header = replay.header().clone();
    let mut samples = Vec::new();
    for sample in replay.by_ref() {
        match sample {
            Ok(sample) => samples.push(sample),
            Err(error) => {
                assert!(error.to_string().contains("line "), "{error}");
                return;
            }
        }
    }
    assert!(
        samples
            .windows(2)
            .all(|pair| pair[0].now.monotonic_ns < pair[1].now.monotonic_ns)
    );
    let mut recorder = Recorder::new(Vec::new(), &header).expect("memory takes everything");
    for sample in &samples {
        recorder.record(sample).expect("memory takes everything");
    }
    let again = recorder.finish().expect("memory takes everything");
    let replay = Replay::new(&again[..]).expect("a recording of ours");
    let again: Vec<_> = replay.map(|sample| sample.expect("a sample of ours")).collect();
    assert_eq!(samples, again);
    assert_eq!(judged(&header, &samples), judged(&header, &samples));
}

/// The verdicts on some samples, as text: whatever was measured can be judged.
fn judged(header: &Header, samples: &[Sample]) -> String {
    let mut judge = Judge::new(JudgeConfig::from(&Config::default()), Arc::new(header.origin.clone()));
    let mut verdicts = Vec::new();
    for sample in samples {
        judge.observe(sample, &mut verdicts);
    }
    serde_json::to_string(&verdicts).expect("verdicts as JSON")
}

/// Points are numbers; a complaint says something.
pub(crate) fn series(bytes: &[u8]) {
    let formats = [Format::Auto, Format::Csv, Format::Long, Format::Json];
    let Some((choice, text)) = bytes.split_first() else {
        return;
    };
    let mut reader = Reader::new(formats[usize::from(*choice) % formats.len()]);
    for line in text.split(|byte| *byte == b'\n') {
        let mut take = |point: &sentinel::sense::series::Point<'_>| {
            assert!(point.value.is_none_or(f64::is_finite), "{point:?}");
            assert!(point.unix_s.is_finite(), "{point:?}");
        };
        if let Err(complaint) = reader.line(line, &mut take) {
            assert!(!complaint.to_string().is_empty());
        }
    }
}

/// Names are parts of their path; what is shown has no control characters and is as wide as it may be.
pub(crate) fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for name in [naming::unit(&text), naming::container(&text)].into_iter().flatten() {
        assert!(!name.is_empty() && text.contains(name), "{name:?}");
    }
    let line = escape::line(&text);
    assert!(!line.chars().any(char::is_control), "{line:?}");
    for columns in [0, 1, 7, 80] {
        let cut = escape::cut(&line, columns);
        assert!(cut.width() <= columns, "{cut:?} in {columns} columns");
        let column = escape::column(&text, columns);
        assert!(column.width() == columns, "{column:?} in {columns} columns");
        assert!(![cut, column].concat().chars().any(char::is_control));
    }
}

/// What is understood is the same when it is said again.
pub(crate) fn messages(bytes: &[u8]) {
    if let Ok(request) = message::decode::<message::Request>(bytes) {
        let said = message::encode(&request).expect("no longer than it came");
        let again = message::decode::<message::Request>(&said).expect("a message of ours");
        assert_eq!(request, again);
    }
    if let Ok(reply) = message::decode::<message::Reply>(bytes) {
        let said = message::encode(&reply).expect("no longer than it came");
        let again = message::decode::<message::Reply>(&said).expect("a message of ours");
        assert_eq!(reply, again);
    }
    for reread in [privileged::reread, privileged::reread_answer] {
        if let Ok(said) = reread(bytes) {
            assert_eq!(reread(&said).ok(), Some(said));
        }
    }
}

/// The same for persons.
pub(crate) fn control(bytes: &[u8]) {
    if let Ok(request) = control::server::decode::<control::Request>(bytes) {
        let said = serde_json::to_vec(&control::protocol::Envelope::new(&request)).expect("a request as JSON");
        assert_eq!(
            control::server::decode::<control::Request>(&said).as_ref(),
            Ok(&request)
        );
    }
}

/// A journal is understood or named.
pub(crate) fn leases(bytes: &[u8]) {
    const PATH: &str = "fuzzed.jsonl";
    match actuator::pending_in(bytes, Path::new(PATH), "0b98d3a9-1111-4222-8333-944444444444") {
        Ok(pending) => assert!(pending <= bytes.len()),
        Err(error) => assert!(error.to_string().contains(PATH), "{error}"),
    }
}

/// Requests over the real listener: whatever comes, the answer is one of HTTP or none, and the next request is served.
pub(crate) fn http(bytes: &[u8]) {
    thread_local! {
        static ANSWER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let mut stream = UnixStream::connect(listener()).expect("the listener listens");
    stream
        .set_read_timeout(Some(Duration::from_millis(20)))
        .expect("a timeout");
    // Who is refused early does not take all of it, and the fuzzer's `main` does not ignore the signal for that.
    let mut rest = bytes;
    while let Ok(sent @ 1..) = send(stream.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
        rest = &rest[sent..];
    }
    let _ = stream.shutdown(Shutdown::Write);
    ANSWER.with_borrow_mut(|answer| {
        answer.clear();
        let _ = stream.read_to_end(answer);
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1."),
            "{}",
            String::from_utf8_lossy(answer)
        );
    });
}

/// Where the real listener listens, for as long as this process lives.
fn listener() -> &'static Path {
    static LISTENER: OnceLock<(PathBuf, Web, tempfile::TempDir)> = OnceLock::new();
    let (path, _, _) = LISTENER.get_or_init(|| {
        // The fuzzer's own `main` does not ignore writes to who has gone, as the agent's does; once heard, it ends nobody.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime
            .expect("a runtime")
            .block_on(async { signal(SignalKind::pipe()).map(drop) })
            .expect("a signal to hear");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("web.sock");
        let web = Web::start(web::Options {
            listen: Listen::Unix(path.clone()),
            token: Some(web::Token::new("a token of the trial")),
            host: "fuzz".into(),
            facts: Facts {
                version: "0".into(),
                autonomy: Autonomy::Observe,
                interval_ms: 1000,
                began: Now::read(),
            },
            line: None,
        });
        (path, web.expect("a listener"), folder)
    });
    path
}
