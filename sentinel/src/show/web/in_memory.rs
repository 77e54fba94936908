//! The listener without a listener: bytes of requests go in, the bytes of the answers come out. All that is between is what
//! serves a socket. For whoever wants to know what is answered to what; opens no socket and starts no thread.

use std::{cell::Cell, convert::Infallible, future::pending, io, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::yield_now,
};

use super::{
    Options, Served,
    desk::Desk,
    routes,
    server::{self, MOST_CONNECTIONS},
};
use crate::show::Publication;

/// Bytes on their way in each direction.
const ON_THE_WAY: usize = 64 * 1024;

/// Turns of everything else without a byte after which no more is expected.
const TURNS: u32 = 32;

/// Routes and what they serve.
pub struct InMemory {
    runtime: Runtime,
    routes: axum::Router,
    desk: Arc<Desk>,
}

impl InMemory {
    /// As [`Web::start`](super::Web::start), where `listen` only says which names are served.
    ///
    /// # Errors
    /// The system refuses a runtime.
    pub fn new(options: &Options) -> io::Result<Self> {
        let desk = Arc::new(Desk::new(&options.facts.run(), options.facts.interval_ms));
        Ok(Self {
            runtime: Builder::new_current_thread().enable_all().build()?,
            routes: routes::routes(options, &desk),
            desk,
        })
    }

    /// What is shown from now on.
    pub fn publish(&self, publication: &Publication<'_>) {
        if let Some(document) = publication.document {
            self.desk.publish(document, publication.records);
        }
    }

    /// What is answered to these bytes on a connection of their own, which ends when nothing more is said.
    ///
    /// # Errors
    /// The other side went on its own.
    pub fn answers(&self, requests: &[u8]) -> io::Result<Vec<u8>> {
        let (near, far) = duplex(ON_THE_WAY);
        let Some(place) = self.desk.connection(MOST_CONNECTIONS) else {
            return Err(io::Error::other("there are too many connections already"));
        };
        let attend = server::attend(Box::new(far), self.routes.clone(), Arc::clone(&self.desk), place);
        let (mut reads, mut writes) = tokio::io::split(near);
        let heard = Cell::new(0);
        let (over, mut is_over) = oneshot::channel::<()>();
        let silence = async || {
            let mut before = usize::MAX;
            while before != heard.get() {
                before = heard.get();
                for _ in 0..TURNS {
                    yield_now().await;
                }
            }
        };
        let ask = async {
            // Whoever does not want to hear more closes early.
            let _ = writes.write_all(requests).await;
            // Who closes at once is not answered.
            silence().await;
            let _ = writes.shutdown().await;
            // And an event stream goes on where more was asked after it: so this side goes, once nothing more comes.
            silence().await;
            drop(over);
        };
        let hear = async {
            let mut answers = Vec::new();
            loop {
                tokio::select! {
                    biased;
                    read = reads.read_buf(&mut answers) => match read? {
                        0 => return Ok(answers),
                        _ => heard.set(answers.len()),
                    },
                    _ = &mut is_over => return Ok(answers),
                }
            }
        };
        let served = async {
            attend.await;
            pending::<Infallible>().await
        };
        self.runtime.block_on(async {
            tokio::select! {
                (_, answers) = async { tokio::join!(ask, hear) } => answers,
                never = served => match never {},
            }
        })
    }

    /// Lets something else go on while requests are answered: an agent that is asked, for example.
    pub fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// What was served so far.
    #[must_use]
    pub fn served(&self) -> Served {
        self.desk.served()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Listen, show::state::Facts};

    #[test]
    fn a_request_is_answered_and_so_is_what_is_none() {
        let web = InMemory::new(&Options {
            listen: Listen::Off,
            token: None,
            host: "web-1".into(),
            facts: Facts::default(),
            line: None,
        })
        .unwrap();
        let answer = |request: &[u8]| String::from_utf8(web.answers(request).unwrap()).unwrap();
        let early = answer(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        assert!(early.starts_with("HTTP/1.1 503 "), "{early}");
        assert!(answer(b"\0\r\n\r\n").starts_with("HTTP/1.1 400 "));
        assert_eq!(web.served().connections, 0);
    }
}
