//! The socket a person's requests come in by: a unix socket in the file system, for root and the agent's own user. Each
//! connection brings one request and takes one reply. A peer that is slow, says too much or is somebody else is
//! answered and let go; none delays the agent.

use std::{
    fs::{self, Permissions},
    io::{self, ErrorKind},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixStream as Blocking,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::unistd::Uid;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::timeout,
};

use super::{
    Caller, Line, Reply, Request,
    protocol::{Envelope, MAX_REQUEST_BYTES, SCHEMA},
};

/// Where the socket is, unless told otherwise.
pub const DEFAULT_PATH: &str = "/run/sentinel/control.sock";
/// Connections at a time; more wait in the kernel.
const CONNECTIONS: usize = 8;
/// How long a request may take to arrive, and a reply to be taken.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the agent may take to answer: undoing a limit of memory can take seconds.
const ANSWER: Duration = Duration::from_secs(10);
/// How long to wait after the system refused a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another agent is there.
    #[error("another agent answers at {}; end it, or choose another path with `--control FILE`", .0.display())]
    Taken(PathBuf),
    /// Something that is no socket is there.
    #[error("{} is there and is no socket; remove it, or choose another path with `--control FILE`", .0.display())]
    NoSocket(PathBuf),
    /// The system refuses.
    #[error("nothing can listen at {}: {source}; choose another path with `--control FILE`", path.display())]
    Refused {
        /// Where.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

/// A socket that listens. Dropping it removes it.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Server {
    /// Listens. Needs a tokio runtime.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub fn bind(path: &Path) -> Result<Self, ServeError> {
        let refused = |source| ServeError::Refused {
            path: path.to_owned(),
            source,
        };
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => return Err(ServeError::NoSocket(path.to_owned())),
            Ok(_) if Blocking::connect(path).is_ok() => return Err(ServeError::Taken(path.to_owned())),
            // Left by an agent that was killed.
            Ok(_) => fs::remove_file(path).map_err(refused)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder).map_err(refused)?;
                }
            }
            Err(error) => return Err(refused(error)),
        }
        let listener = UnixListener::bind(path).map_err(refused)?;
        let server = Self {
            listener,
            path: path.to_owned(),
        };
        // Whoever slips in before this is still asked who it is.
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(refused)?;
        Ok(server)
    }

    /// Serves until it is dropped.
    pub async fn serve(self, line: Line) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let line = line.clone();
                    tokio::spawn(async move {
                        attend(stream, &line).await;
                        drop(place);
                    });
                }
                // Out of descriptors, most likely; it passes.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

/// One request, one reply.
async fn attend(mut stream: UnixStream, line: &Line) {
    let reply = match caller(&stream) {
        Ok(by) => match timeout(PATIENCE, hear(&mut stream)).await {
            Ok(Ok(request)) => match timeout(ANSWER, line.ask(request, by)).await {
                Ok(reply) => reply,
                Err(_) => refused("the agent has not done it yet; `sentinel veto list` shows what holds"),
            },
            Ok(Err(reason)) => refused(&reason),
            Err(_) => refused("no whole line came within 2 s"),
        },
        Err(reason) => refused(&reason),
    };
    let _ = timeout(PATIENCE, part(&mut stream, &encode(&reply))).await;
}

/// Says the last word, and takes in what was said meanwhile: closing over something unread would take the reply away.
async fn part(stream: &mut UnixStream, reply: &[u8]) -> io::Result<()> {
    stream.write_all(reply).await?;
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Who is there, as the kernel says.
fn caller(stream: &UnixStream) -> Result<Caller, String> {
    let peer = stream
        .peer_cred()
        .map_err(|error| format!("who you are cannot be told: {error}"))?;
    let (uid, own) = (peer.uid(), Uid::effective().as_raw());
    if uid != 0 && uid != own {
        return Err(format!("uid {uid} may not ask this of the agent; run it as root"));
    }
    Ok(Caller::Socket {
        uid,
        pid: peer.pid().unwrap_or(0),
    })
}

async fn hear(stream: &mut UnixStream) -> Result<Request, String> {
    let mut text = Vec::new();
    let mut reader = BufReader::new(stream).take(MAX_REQUEST_BYTES as u64 + 1);
    reader
        .read_until(b'\n', &mut text)
        .await
        .map_err(|error| format!("the request could not be read: {error}"))?;
    decode(&text)
}

/// A message of one line.
pub(super) fn encode(message: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec(&Envelope::new(message)).unwrap_or_default();
    text.push(b'\n');
    text
}

/// A message from one line, checked.
///
/// # Errors
/// What is wrong with it.
pub fn decode<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    if text.len() > MAX_REQUEST_BYTES {
        return Err(format!("a request is one line of at most {MAX_REQUEST_BYTES} bytes"));
    }
    let envelope: Envelope<serde_json::Value> =
        serde_json::from_slice(text).map_err(|error| format!("not a message of {SCHEMA}: {error}"))?;
    if envelope.schema != SCHEMA {
        let found: String = envelope.schema.chars().take(64).collect();
        return Err(format!(
            "a message of schema {found:?}, and {SCHEMA:?} is understood; use the same version on both sides"
        ));
    }
    serde_json::from_value(envelope.message).map_err(|error| format!("not a request: {error}"))
}

fn refused(reason: &str) -> Reply {
    Reply::Refused { reason: reason.into() }
}
