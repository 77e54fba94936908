//! What is sent, decoded by the types of OTLP, beside what the other surfaces say; and what each answer means.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse},
        metrics::v1::ExportMetricsServiceRequest,
    },
    common::v1::{KeyValue, any_value},
    logs::v1::SeverityNumber,
    metrics::v1::{metric::Data, number_data_point::Value},
};
use prost::Message;

use super::*;
use crate::show::{
    Publication, Sink, Snapshot, encode, journald, prometheus,
    samples::{self, HOSTILE},
    state::{Chronicle, Document, Facts},
};

const LIMIT: Duration = Duration::from_secs(20);

fn identity() -> Identity {
    Identity::new(&samples::origin(), &Facts::default())
}

fn document(snapshot: &Snapshot) -> Arc<Document> {
    Arc::new(Chronicle::new(Facts::default()).record(snapshot))
}

fn labels(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        other => panic!("{other:?} is no text"),
    };
    attributes.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

#[test]
fn every_sample_of_the_metrics_is_sent_with_its_name_labels_and_number() {
    let document = document(&samples::snapshot("/a.service"));
    let bytes = metrics::request(&document, None, &identity()).encode_to_vec();
    let sent = ExportMetricsServiceRequest::decode(bytes.as_slice()).unwrap();
    let resource = &sent.resource_metrics[0];
    let who = labels(&resource.resource.as_ref().unwrap().attributes);
    assert_eq!(
        (who["service.name"].as_str(), who["host.name"].as_str()),
        ("sentinel", "web-1")
    );
    let mut points = BTreeMap::new();
    for metric in &resource.scope_metrics[0].metrics {
        let (monotonic, found) = match metric.data.as_ref().unwrap() {
            Data::Gauge(gauge) => (false, &gauge.data_points),
            Data::Sum(sum) => {
                assert_eq!(sum.aggregation_temporality, 2, "{}: not cumulative", metric.name);
                (sum.is_monotonic, &sum.data_points)
            }
            other => panic!("{other:?}"),
        };
        for point in found {
            let Some(Value::AsDouble(value)) = point.value else {
                panic!("{point:?}")
            };
            assert_eq!(point.time_unix_nano, 1_767_270_645_007_000_000);
            let key = (metric.name.clone(), labels(&point.attributes));
            assert!(
                points.insert(key, (value, monotonic)).is_none(),
                "{} twice",
                metric.name
            );
        }
    }
    let mut compared = 0;
    for (metric, samples) in prometheus::collect(&document, None) {
        for sample in samples {
            let names = metric.labels.iter().map(|name| (*name).to_owned());
            let key = (metric.name_with_unit(), names.zip(sample.labels).collect());
            let counter = metric.kind == prometheus::Kind::Counter;
            assert_eq!(points.remove(&key), Some((sample.value, counter)), "{key:?}");
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
    assert!(points.is_empty(), "{points:?}");
}

#[test]
fn units_are_those_that_collectors_know() {
    for (ours, theirs) in [
        ("", ""),
        ("seconds", "s"),
        ("bytes", "By"),
        ("bytes_per_second", "By/s"),
        ("bytes_per_second_squared", "By/s2"),
        ("bytes_per_second_cubed", "By/s3"),
        ("seconds_per_second", "s/s"),
        ("packets_per_second", "{packets}/s"),
        ("attempts", "{attempts}"),
    ] {
        assert_eq!(metrics::unit(ours), theirs);
    }
}

#[test]
fn a_record_says_what_the_journal_says() {
    let snapshot = samples::snapshot(HOSTILE);
    let records = encode::records(&snapshot).unwrap();
    let bytes = logs::request(&records, 7, &identity()).encode_to_vec();
    let sent = ExportLogsServiceRequest::decode(bytes.as_slice()).unwrap();
    let sent = &sent.resource_logs[0].scope_logs[0].log_records;
    assert_eq!(sent.len(), 2);
    for (record, sent) in records.iter().zip(sent) {
        let entry = journald::entry(record);
        assert_eq!(sent.body, Some(messages::text(&entry.message)));
        let said = labels(&sent.attributes);
        let fields = entry.fields.iter().filter(|(name, _)| name.starts_with("SENTINEL_"));
        let fields: BTreeMap<_, _> = fields
            .map(|(name, value)| (name.to_lowercase().replacen('_', ".", 1), value.to_string()))
            .collect();
        assert_eq!(said, fields);
        assert_eq!(sent.observed_time_unix_nano, 7_000_000);
    }
    assert_eq!(labels(&sent[0].attributes)["sentinel.verdict"], *records[0].json);
    assert_eq!(sent[0].severity_number(), SeverityNumber::Error);
    assert_eq!(sent[0].time_unix_nano, 1_767_270_645_007_000_000);
    assert_eq!(
        (sent[0].event_name.as_str(), sent[1].event_name.as_str()),
        ("sentinel.verdict", "sentinel.outcome")
    );
}

/// A collector that gives these answers in turn, one a connection, and the heads and bodies that it got.
fn collector(answers: Vec<Vec<u8>>) -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (got, requests) = mpsc::channel();
    thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                reader.read_line(&mut head).unwrap();
            }
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.unwrap()];
            reader.read_exact(&mut body).unwrap();
            reader.get_mut().write_all(&answer).unwrap();
            got.send((head, body)).ok();
        }
    });
    (address, requests)
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A surface for records, after one tick with two of them.
fn told(endpoint: &str) -> Logs {
    let mut logs = Logs::start(
        Post::new(format!("{endpoint}/v1/logs"), Arc::default()),
        Arc::new(identity()),
    )
    .unwrap();
    let snapshot = samples::snapshot("/a.service");
    let records = encode::records(&snapshot).unwrap();
    logs.publish(&Publication::new(&snapshot, &records)).unwrap();
    logs
}

/// Waits until the surface says this of itself.
fn health(logs: &mut Logs, wanted: &str) -> String {
    let snapshot = Snapshot::default();
    for _ in 0..1000 {
        let said = logs.publish(&Publication::new(&snapshot, &[])).err();
        let said = said.map_or_else(String::new, |error| error.to_string());
        if said.contains(wanted) {
            return said;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{wanted} was not said");
}

#[test]
fn a_collector_that_is_overloaded_is_asked_again_and_gets_the_same_message() {
    let (address, requests) = collector(vec![
        answer("503 Service Unavailable", "retry-after: 0\r\n", b""),
        answer("200 OK", "", b""),
    ]);
    let mut logs = told(&address);
    let (first, second) = (
        requests.recv_timeout(LIMIT).unwrap(),
        requests.recv_timeout(LIMIT).unwrap(),
    );
    assert!(first.0.starts_with("POST /v1/logs HTTP/1.1\r\n"), "{}", first.0);
    assert!(
        first.0.contains("content-type: application/x-protobuf\r\n"),
        "{}",
        first.0
    );
    assert_eq!(first.1, second.1);
    logs.finish(LIMIT);
    assert_eq!(logs.lost(), 0);
}

#[test]
fn a_message_that_is_refused_for_good_is_counted_and_the_reason_told() {
    let (address, _requests) = collector(vec![answer("401 Unauthorized", "", b"who are you?")]);
    let mut logs = told(&address);
    let said = health(&mut logs, "401");
    assert!(said.contains("who are you?") && said.contains("/v1/logs"), "{said}");
    assert_eq!(logs.lost(), 2);
}

#[test]
fn what_a_collector_refuses_of_a_message_is_counted() {
    let partly = ExportLogsServiceResponse {
        partial_success: Some(ExportLogsPartialSuccess {
            rejected_log_records: 1,
            error_message: "too \u{1b}[2Jold".to_owned(),
        }),
    };
    let (address, _requests) = collector(vec![answer("200 OK", "", &partly.encode_to_vec())]);
    let mut logs = told(&address);
    let said = health(&mut logs, "refused 1 records");
    assert!(!said.contains('\u{1b}'), "{said:?}");
    assert_eq!(logs.lost(), 1);
}

#[test]
fn a_collector_that_sends_us_elsewhere_is_not_followed() {
    let (elsewhere, requests) = collector(vec![answer("200 OK", "", b"")]);
    let (address, _) = collector(vec![answer(
        "307 Temporary Redirect",
        &format!("location: {elsewhere}/\r\n"),
        b"",
    )]);
    let mut logs = told(&address);
    health(&mut logs, "307");
    assert!(requests.try_recv().is_err());
}

#[test]
fn an_end_does_not_wait_for_a_collector_that_is_away_and_what_waited_is_lost() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut logs = told(&format!("http://{nobody}"));
    health(&mut logs, "efused");
    let began = crate::time::monotonic_ns();
    logs.finish(LIMIT);
    assert!(crate::time::monotonic_ns() - began < 5_000_000_000);
    assert_eq!(logs.lost(), 2);
}

#[test]
fn exports_keep_their_interval_however_often_something_is_said() {
    let (address, requests) = collector(vec![answer("200 OK", "", b""); 3]);
    let post = Post::new(format!("{address}/v1/metrics"), Arc::default());
    let mut metrics = Metrics::start(post, Duration::from_secs(10), Arc::new(identity()), None).unwrap();
    let mut snapshot = samples::snapshot("/a.service");
    // Readings between ticks, each tick a little early or late.
    for reading in 5..=105_u64 {
        let off_ns = if reading % 10 == 0 { 30_000_000 } else { 0 };
        snapshot.now.monotonic_ns = reading * samples::SECOND_NS / 5 - off_ns;
        let mut document = document(&snapshot);
        Arc::make_mut(&mut document).agent.interval_ms = 1000;
        let publication = Publication {
            document: Some(&document),
            ..Publication::new(&snapshot, &[])
        };
        // How the other side is does not matter here: this clock runs faster than it.
        let _ = metrics.publish(&publication);
    }
    metrics.finish(LIMIT);
    assert_eq!(requests.iter().take(3).count(), 3);
    assert_eq!(metrics.lost(), 0);
}
