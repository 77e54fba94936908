//! The listener over real sockets, told what to show by hand.

mod acting;
mod events;
mod refusing;
mod serving;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    ops::{Deref, DerefMut},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use super::*;
use crate::{
    act::control,
    show::{
        encode,
        samples::{self, HOSTILE},
        state::Chronicle,
    },
    time::monotonic_ns,
};

const LIMIT: Duration = Duration::from_secs(5);

fn since(began_ns: u64) -> Duration {
    Duration::from_nanos(monotonic_ns() - began_ns)
}

fn options(listen: Listen, token: Option<&str>) -> Options {
    Options {
        listen,
        token: token.map(Token::new),
        host: "web-1".to_owned(),
        line: None,
        facts: Facts {
            interval_ms: 1000,
            ..Facts::default()
        },
    }
}

/// A listener and the run it tells of.
struct Told {
    web: Web,
    run: Chronicle,
}

impl Told {
    fn new(options: Options) -> Self {
        Self {
            run: Chronicle::new(options.facts.clone()),
            web: Web::start(options).unwrap(),
        }
    }
}

impl Deref for Told {
    type Target = Web;

    fn deref(&self) -> &Web {
        &self.web
    }
}

impl DerefMut for Told {
    fn deref_mut(&mut self) -> &mut Web {
        &mut self.web
    }
}

fn web(token: Option<&str>) -> (Told, SocketAddr) {
    let told = Told::new(options(Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))), token));
    let Listen::Tcp(address) = *told.web.address() else {
        panic!("no address")
    };
    (told, address)
}

fn publish(told: &mut Told, path: &str) {
    let snapshot = samples::snapshot(path);
    let records = encode::records(&snapshot).unwrap();
    let document = Arc::new(told.run.record(&snapshot));
    let publication = Publication {
        document: Some(&document),
        ..Publication::new(&snapshot, &records)
    };
    told.web.publish(&publication).unwrap();
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Status and the whole answer to raw bytes.
fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, answer)
}

fn get(address: SocketAddr, path: &str, headers: &str) -> (u16, String) {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n"),
    )
}

/// Reads the stream until it has said this.
fn hear(stream: &mut TcpStream, wanted: &str) -> String {
    let (mut heard, mut bytes, began) = (String::new(), [0; 4096], monotonic_ns());
    while !heard.contains(wanted) {
        assert!(since(began) < LIMIT, "{wanted} was not said: {heard}");
        let length = stream.read(&mut bytes).unwrap();
        assert!(length > 0, "closed before {wanted}: {heard}");
        heard.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    heard
}

fn watch(address: SocketAddr, headers: &str) -> TcpStream {
    let mut stream = connect(address);
    write!(
        stream,
        "GET /api/v1/events HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n"
    )
    .unwrap();
    stream
}
