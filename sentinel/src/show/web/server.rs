//! The listener's thread: takes connections, bounds them, and gives each request to the routes.

use std::{io, sync::Arc, thread, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{runtime, sync::watch, task::JoinSet, time::sleep};
use tracing::warn;

use super::{
    Closed, Options, WebError,
    desk::{Counted, Desk},
    listener::{Listener, Stream},
    patient::Patient,
    routes,
};
use crate::config::Listen;

/// Connections at a time.
pub(super) const MOST_CONNECTIONS: usize = 128;
/// The head of a request must be there after this time; so must the next one on a connection that is kept.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// The other side must take something within this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a request's head, and of what waits to be written.
const BUFFER: usize = 16 * 1024;
/// Headers of a request.
const HEADERS: usize = 64;

/// The listener, which nobody serves yet.
pub(super) struct Opened {
    runtime: runtime::Runtime,
    listener: Listener,
    address: Listen,
}

/// The thread.
#[derive(Debug)]
pub(super) struct Server {
    address: Listen,
    stop: watch::Sender<bool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Opened {
    /// Opens the listener; takes connections only once it is [served](Self::serve).
    pub(super) fn open(listen: &Listen) -> Result<Self, WebError> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(WebError::Start)?;
        let (listener, address) = {
            let _inside = runtime.enter();
            Listener::open(listen)?
        };
        Ok(Self {
            runtime,
            listener,
            address,
        })
    }

    pub(super) const fn address(&self) -> &Listen {
        &self.address
    }

    /// Starts the thread.
    pub(super) fn serve(self, options: Options, desk: Arc<Desk>) -> Result<Server, WebError> {
        let Self {
            runtime,
            listener,
            address,
        } = self;
        let (stop, stopped) = watch::channel(false);
        let run = move || runtime.block_on(serve(listener, options, desk, stopped));
        let thread = thread::Builder::new()
            .name("sentinel-web".to_owned())
            .spawn(run)
            .map_err(WebError::Start)?;
        Ok(Server {
            address,
            stop,
            thread: Some(thread),
        })
    }
}

impl Server {
    pub(super) const fn address(&self) -> &Listen {
        &self.address
    }

    /// Closes every connection and ends the thread, which never works for longer than a moment at a time.
    pub(super) fn finish(&mut self, _patience: Duration) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}

async fn serve(listener: Listener, options: Options, desk: Arc<Desk>, mut stopped: watch::Receiver<bool>) {
    let routes = routes::routes(&options, &desk);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) => match desk.connection(MOST_CONNECTIONS) {
                Some(place) => {
                    connections.spawn(attend(stream, routes.clone(), Arc::clone(&desk), place));
                }
                None => closed(&desk, Closed::TooMany),
            },
            // Out of descriptors, or a connection that went while it waited: neither ends the listener.
            Err(error) => {
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

pub(super) async fn attend(stream: Box<dyn Stream>, routes: axum::Router, desk: Arc<Desk>, _place: Counted) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(BUFFER)
        .max_headers(HEADERS)
        .serve_connection(
            TokioIo::new(Patient::new(stream, PATIENCE)),
            TowerToHyperService::new(routes),
        )
        .await;
    if let Err(error) = served {
        if timed_out(&error) {
            closed(&desk, Closed::Slow);
        } else if error.is_parse() || error.is_timeout() {
            closed(&desk, Closed::Unreadable);
        }
    }
}

fn timed_out(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::TimedOut)
}

/// Counts it, and says it the first time.
fn closed(desk: &Desk, why: Closed) {
    if desk.closed(why) {
        let what = match why {
            Closed::Slow => "took nothing for 10 s and was dropped",
            Closed::TooMany => "was closed at once: there are 128 already",
            Closed::Unreadable => "sent no HTTP request in time and was closed",
        };
        warn!("web: a connection {what}; further ones are counted, not said");
    }
}
