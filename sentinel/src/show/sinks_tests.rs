//! What is said about a surface that is unwell, and how often.

use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// A sink that fails as told and loses as told.
struct Scripted(Arc<Mutex<(Option<SinkError>, u64, u64)>>);

impl Sink for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn publish(&mut self, _: &Publication<'_>) -> Result<(), SinkError> {
        let mut script = self.0.lock().unwrap();
        script.2 += 1;
        script.0.take().map_or(Ok(()), Err)
    }

    fn lost(&self) -> u64 {
        self.0.lock().unwrap().1
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn unwell() -> Option<SinkError> {
    Some(SinkError::Unwell {
        sink: "scripted",
        reason: "away".to_owned(),
    })
}

#[test]
fn an_unwell_surface_is_spoken_of_once_and_once_when_it_is_back() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .without_time()
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let script = Arc::new(Mutex::new((None, 0, 0)));
        let mut sinks = Sinks::new();
        sinks.add(Scripted(Arc::clone(&script)));
        for tick in 0..10 {
            if (2..6).contains(&tick) {
                script.lock().unwrap().0 = unwell();
                script.lock().unwrap().1 += 2;
            }
            sinks.publish(&Snapshot::default()).unwrap();
        }
        sinks.finish(Duration::ZERO);
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once("sinks: "))
        .map(|(_, said)| said)
        .collect();
    let expected = [
        "scripted: away; records wait until it is back",
        "scripted works again; 8 records were lost meanwhile",
    ];
    assert_eq!(lines, expected, "{text}");
}

#[test]
fn a_closed_surface_ends_the_run_after_the_others_got_the_snapshot() {
    let scripts = [(); 2].map(|()| Arc::new(Mutex::new((None, 0, 0))));
    let mut sinks = Sinks::new();
    for script in &scripts {
        sinks.add(Scripted(Arc::clone(script)));
    }
    scripts[0].lock().unwrap().0 = Some(SinkError::Closed { sink: "scripted" });
    assert!(matches!(
        sinks.publish(&Snapshot::default()),
        Err(SinkError::Closed { .. })
    ));
    assert_eq!(scripts[1].lock().unwrap().2, 1);
}
